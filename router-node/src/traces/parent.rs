//! What callers say of their trace, by W3C Trace Context. What cannot be read is as good as not said: a broken
//! header must not fail a call.

use http::{HeaderMap, HeaderValue};

use super::{TRACEPARENT, TRACESTATE};

/// `00-` and the three fields of version 0.
const BYTES: usize = 55;
/// The version that is reserved for what is no version.
const NO_VERSION: u8 = 0xff;
/// The flag that says that a trace is told of.
const SAMPLED: u8 = 1;
/// The longest `tracestate` that is taken over: what the standard asks to carry at least.
const MAX_STATE_BYTES: usize = 512;

/// A caller's span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    pub(super) sampled: bool,
}

impl Parent {
    /// The span that the headers name, if there is one such header and it can be read.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(value.as_bytes())
    }

    /// A later version may add fields at the end, after a dash; version 0 has none.
    fn parse(text: &[u8]) -> Option<Self> {
        let (fields, rest) = text.split_at_checked(BYTES)?;
        let (version, fields) = fields.split_at_checked(2)?;
        let [version] = bytes(version)?;
        let whole = rest.is_empty() || (version > 0 && rest.starts_with(b"-"));
        if version == NO_VERSION || !whole {
            return None;
        }
        let mut fields = fields.strip_prefix(b"-")?.split(|byte| *byte == b'-');
        let trace: [u8; 16] = bytes(fields.next()?)?;
        let span: [u8; 8] = bytes(fields.next()?)?;
        let [flags] = bytes(fields.next()?)?;
        let named = trace != [0; 16] && span != [0; 8];
        named.then_some(Self { trace, span, sampled: flags & SAMPLED != 0 })
    }
}

/// The `tracestate` that came with a trace, in one line; one that is empty, too long or no text is left out.
pub(super) fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let lines: Vec<&[u8]> = headers.get_all(TRACESTATE).iter().map(HeaderValue::as_bytes).collect();
    let text = lines.join(&b","[..]);
    let plain = text.iter().all(|byte| (b' '..=b'~').contains(byte));
    let fits = plain && !text.is_empty() && text.len() <= MAX_STATE_BYTES;
    fits.then(|| HeaderValue::from_bytes(&text).ok())?
}

/// Bytes in lower-case hexadecimal, and nothing else.
fn bytes<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = (digit(high)? << 4) | digit(low)?;
    }
    Some(bytes)
}

fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn parse(text: &str) -> Option<Parent> {
        Parent::parse(text.as_bytes())
    }

    #[test]
    fn a_parent_is_read_with_its_flag() {
        let read = parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!(u128::from_be_bytes(read.trace), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(u64::from_be_bytes(read.span), 0x00f0_67aa_0ba9_02b7);
        assert!(read.sampled);
        assert!(!parse(&format!("00-{TRACE}-{SPAN}-02")).unwrap().sampled);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let read = parse(&format!("01-{TRACE}-{SPAN}-01-more")).unwrap();
        assert_eq!(Some(read), parse(&format!("00-{TRACE}-{SPAN}-01")));
        assert_eq!(Some(read), parse(&format!("cc-{TRACE}-{SPAN}-01")));
    }

    #[test]
    fn what_is_no_parent_is_ignored() {
        let zero = "0".repeat(32);
        let texts = [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("01-{TRACE}-{SPAN}-01more"),
            format!("00-{zero}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zero[..16]),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{SPAN}-{TRACE}-01"),
            format!("00-{}-{SPAN}-01", &TRACE[..31]),
            format!("zz-{TRACE}-{SPAN}-01"),
        ];
        for text in texts {
            assert_eq!(parse(&text), None, "{text}");
        }
    }

    #[test]
    fn two_parents_are_none() {
        let value: HeaderValue = format!("00-{TRACE}-{SPAN}-01").parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, value.clone());
        assert!(Parent::read(&headers).is_some());
        headers.append(TRACEPARENT, value);
        assert_eq!(Parent::read(&headers), None);
    }

    #[test]
    fn a_state_is_taken_over_when_it_is_one_of_ordinary_length() {
        let with = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            lines.iter().for_each(|l| _ = headers.append(TRACESTATE, l.parse().unwrap()));
            state(&headers)
        };
        assert_eq!(with(&["a=1,b=2", "c=3"]).unwrap(), "a=1,b=2,c=3");
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[""]), None);
        assert_eq!(with(&[&"x".repeat(MAX_STATE_BYTES + 1)]), None);
    }
}
