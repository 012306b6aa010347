//! What a certificate calls its owner: the common names of its subject and the URIs among its alternative
//! names. It proves nothing: only certificates that a TLS handshake has verified come here.

/// Tags of the parts that are looked at (ITU-T X.690, RFC 5280).
mod tag {
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const OCTET_STRING: u8 = 0x04;
    pub(super) const OBJECT: u8 = 0x06;
    pub(super) const UTF8: u8 = 0x0c;
    pub(super) const PRINTABLE: u8 = 0x13;
    pub(super) const IA5: u8 = 0x16;
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
/// Fields between a certificate's version and its subject: number, algorithm, issuer, validity.
const BEFORE_THE_SUBJECT: usize = 4;

/// The URIs and then the common names of a certificate in DER; none of one that cannot be read.
#[must_use]
pub fn names(der: &[u8]) -> Vec<String> {
    read(der).unwrap_or_default()
}

fn read(der: &[u8]) -> Option<Vec<String>> {
    let certificate = first(der, tag::SEQUENCE)?;
    let mut fields = Parts(first(certificate, tag::SEQUENCE)?);
    if fields.clone().next()?.0 == tag::VERSION {
        fields.next();
    }
    let subject = fields.by_ref().nth(BEFORE_THE_SUBJECT)?.1;
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
    fn a_cut_certificate_has_no_names_and_does_no_harm() {
        let der = certificate(&[(DnType::CommonName, "alice")], &["spiffe://prod/ops"]);
        for length in 0..der.len() {
            assert_eq!(names(&der[..length]), [""; 0], "{length}");
        }
        for at in 0..der.len() {
            let mut odd = der.clone();
            odd[at] ^= 0xff;
            let _ = names(&odd);
        }
    }
}
