//! What a certificate says: what it calls its owner (the common names of its subject and the URIs among its
//! alternative names) and when it ends. It proves nothing: whether to believe it is a TLS handshake's business.

/// Tags of the parts that are looked at (ITU-T X.690, RFC 5280).
mod tag {
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const OCTET_STRING: u8 = 0x04;
    pub(super) const OBJECT: u8 = 0x06;
    pub(super) const UTF8: u8 = 0x0c;
    pub(super) const PRINTABLE: u8 = 0x13;
    pub(super) const IA5: u8 = 0x16;
    /// A time with a year of two digits.
    pub(super) const UTC_TIME: u8 = 0x17;
    /// A time with a year of four digits.
    pub(super) const GENERALIZED_TIME: u8 = 0x18;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const SET: u8 = 0x31;
    /// A URI among the alternative names.
    pub(super) const URI: u8 = 0x86;
    /// The version of a certificate, which the first one does not write.
    pub(super) const VERSION: u8 = 0xa0;
    /// A certificate's extensions.
    pub(super) const EXTENSIONS: u8 = 0xa3;
}

/// `id-at-commonName`, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// `id-ce-subjectAltName`, 2.5.29.17.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// Fields between a certificate's version and its validity: number, algorithm, issuer.
const BEFORE_THE_VALIDITY: usize = 3;
/// Years of two digits below this one are of this century (RFC 5280, 4.1.2.5.1).
const CENTURY_TURNS: u64 = 50;
/// From 1 March of year 0 to 1 January 1970.
const DAYS_TO_1970: u64 = 719_468;

/// The URIs and then the common names of a certificate in DER; none of one that cannot be read.
#[must_use]
pub fn names(der: &[u8]) -> Vec<String> {
    read(der).unwrap_or_default()
}

/// When a certificate in DER ends, in seconds since 1970; `None` for one that cannot be read.
#[must_use]
pub fn expires_s(der: &[u8]) -> Option<u64> {
    let (_, validity) = fields(der)?.nth(BEFORE_THE_VALIDITY)?;
    let (kind, text) = Parts(validity).nth(1)?;
    seconds(kind, std::str::from_utf8(text).ok()?)
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` in seconds since 1970.
fn seconds(kind: u8, text: &str) -> Option<u64> {
    let number = |digits: &str| digits.parse::<u64>().ok();
    let (year, rest) = match kind {
        tag::UTC_TIME => {
            let (year, rest) = (number(text.get(..2)?)?, text.get(2..)?);
            (year + if year < CENTURY_TURNS { 2000 } else { 1900 }, rest)
        }
        tag::GENERALIZED_TIME => (number(text.get(..4)?)?, text.get(4..)?),
        _ => return None,
    };
    let at = |from: usize| rest.get(from..from + 2).and_then(number);
    let (month, day) = (at(0)?, at(2)?);
    let seconds = at(4)? * 3_600 + at(6)? * 60 + at(8)?;
    // Days since 1 March of year 0, the leap day being the last of its year, as in Howard Hinnant's
    // "chrono-Compatible Low-Level Date Algorithms"; `moment` is the way back.
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let leaps = year / 4 + year / 400 - year / 100;
    let days = year * 365 + leaps + (153 * month + 2) / 5 + day.checked_sub(1)?;
    Some(days.checked_sub(DAYS_TO_1970)? * 86_400 + seconds)
}

/// A moment in seconds since 1970 as `2026-11-26 17:00 UTC`.
pub(crate) fn moment(at_s: u64) -> String {
    let (days, minutes) = (at_s / 86_400 + DAYS_TO_1970, at_s % 86_400 / 60);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (year * 365 + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month < 3);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// The fields of a certificate after its version.
fn fields(der: &[u8]) -> Option<Parts<'_>> {
    let certificate = first(der, tag::SEQUENCE)?;
    let mut fields = Parts(first(certificate, tag::SEQUENCE)?);
    if fields.clone().next()?.0 == tag::VERSION {
        fields.next();
    }
    Some(fields)
}

fn read(der: &[u8]) -> Option<Vec<String>> {
    let mut fields = fields(der)?;
    let subject = fields.by_ref().nth(BEFORE_THE_VALIDITY + 1)?.1;
    let mut names = Vec::new();
    for (_, extensions) in fields.filter(|(tag, _)| *tag == tag::EXTENSIONS) {
        names.extend(uris(first(extensions, tag::SEQUENCE)?));
    }
    names.extend(common_names(subject));
    Some(names)
}

fn uris(extensions: &[u8]) -> Vec<String> {
    let alternative = Parts(extensions).find_map(|(_, extension)| {
        let mut parts = Parts(extension);
        parts.next().filter(|(tag, id)| *tag == tag::OBJECT && *id == ALTERNATIVE_NAMES)?;
        let value = parts.find(|(tag, _)| *tag != tag::BOOLEAN)?;
        (value.0 == tag::OCTET_STRING).then_some(value.1)
    });
    let list = alternative.and_then(|value| first(value, tag::SEQUENCE)).unwrap_or_default();
    Parts(list).filter(|(tag, _)| *tag == tag::URI).filter_map(|(_, uri)| text(uri)).collect()
}

fn common_names(subject: &[u8]) -> Vec<String> {
    let sets = Parts(subject).filter(|(tag, _)| *tag == tag::SET);
    let pairs = sets.flat_map(|(_, set)| Parts(set));
    let name = |(_, pair)| {
        let mut parts = Parts(pair);
        parts.next().filter(|(tag, id)| *tag == tag::OBJECT && *id == COMMON_NAME)?;
        let (kind, value) = parts.next()?;
        matches!(kind, tag::UTF8 | tag::PRINTABLE | tag::IA5).then(|| text(value))?
    };
    pairs.filter_map(name).collect()
}

fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// The content of the first part, if it has this tag.
fn first(der: &[u8], tag: u8) -> Option<&[u8]> {
    Parts(der).next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
}

/// The parts of a value, one after the other: tag and content. It ends where no whole part follows.
#[derive(Clone)]
struct Parts<'a>(&'a [u8]);

impl<'a> Iterator for Parts<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[tag, short], rest) = self.0.split_first_chunk()?;
        let (length, rest) = if short < 0x80 {
            (usize::from(short), rest)
        } else {
            let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            let bytes = (bytes.len() <= size_of::<u32>()).then_some(bytes)?;
            (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn certificate(names: &[(DnType, &str)], uris: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["router.test".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn uris_and_common_names_are_found_among_others() {
        let subject = [(DnType::OrganizationName, "Ops Ltd"), (DnType::CommonName, "alice")];
        let der = certificate(&subject, &["spiffe://prod/ops", "https://example.test/x"]);
        assert_eq!(names(&der), ["spiffe://prod/ops", "https://example.test/x", "alice"]);
        assert_eq!(names(&certificate(&[(DnType::OrganizationName, "alice")], &[])), [""; 0]);
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_spellings() {
        for (year, month, day, end_s) in [
            (2026, 11, 26, 1_795_651_200),
            (2024, 2, 29, 1_709_164_800),
            (1999, 12, 31, 946_598_400),
            (2049, 12, 31, 2_524_521_600),
            // From 2050 on a year has four digits.
            (2050, 1, 1, 2_524_608_000),
            (4096, 1, 1, 67_090_118_400),
        ] {
            let mut params = CertificateParams::new(vec!["router.test".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, month, day);
            let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let date = format!("{year}-{month:02}-{day:02}");
            assert_eq!(expires_s(made.der()), Some(end_s), "{date}");
            assert_eq!(moment(end_s + 3_661), format!("{date} 01:01 UTC"));
        }
    }

    #[test]
    fn a_cut_certificate_has_no_names_and_does_no_harm() {
        let der = certificate(&[(DnType::CommonName, "alice")], &["spiffe://prod/ops"]);
        for length in 0..der.len() {
            assert_eq!(names(&der[..length]), [""; 0], "{length}");
        }
        for at in 0..der.len() {
            let mut odd = der.clone();
            odd[at] ^= 0xff;
            let _ = (names(&odd), expires_s(&odd));
        }
    }
}
