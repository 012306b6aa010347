//! Base64 with the standard alphabet and padding (RFC 4648, section 4): bytes
//! of a message ⇄ text in JSON. Not for secrets: timing depends on the input.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PAD: u8 = b'=';

/// Appends `data` to `out`, as text that needs no escaping in JSON.
pub(super) fn encode(data: &[u8], out: &mut Vec<u8>) {
    out.reserve(data.len().div_ceil(3) * 4);
    for group in data.chunks(3) {
        let mut bytes = [0; 3];
        for (byte, given) in bytes.iter_mut().zip(group) {
            *byte = *given;
        }
        let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        let digit = |shift: u32| ALPHABET.get((bits >> shift & 63) as usize).copied();
        let mut digits = [18, 12, 6, 0].map(|shift| digit(shift).unwrap_or(PAD));
        for digit in digits.iter_mut().skip(group.len() + 1) {
            *digit = PAD;
        }
        out.extend_from_slice(&digits);
    }
}

/// The bytes that `text` stands for; `None` when it is not base64. Missing
/// padding is forgiven, since some providers leave it out.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut out = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        if group.len() == 1 {
            return None;
        }
        let mut bits = 0;
        for digit in group {
            bits = bits << 6 | value(*digit)?;
        }
        bits <<= 6 * (4 - group.len());
        out.extend(bits.to_be_bytes().iter().skip(1).take(group.len() - 1));
    }
    Some(out)
}

fn value(digit: u8) -> Option<u32> {
    let (first, offset) = match digit {
        b'A'..=b'Z' => (b'A', 0),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'+' => (b'+', 62),
        b'/' => (b'/', 63),
        _ => return None,
    };
    Some(u32::from(digit - first) + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(data: &[u8]) -> String {
        let mut out = Vec::new();
        encode(data, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_vectors_of_rfc_4648_hold() {
        let vectors =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, text) in vectors {
            assert_eq!(encoded(plain.as_bytes()), text);
            assert_eq!(decode(text).unwrap(), plain.as_bytes());
        }
    }

    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encoded(&all)).unwrap(), all);
    }

    #[test]
    fn padding_may_be_missing_but_nothing_else() {
        assert_eq!(decode("Zg").unwrap(), b"f");
        for bad in ["Z", "Zm9v!", "Zm 9v", "Zm9vZ"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
