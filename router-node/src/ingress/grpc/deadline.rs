//! `grpc-timeout`: how long a caller will wait. Only reads it; the pipeline keeps the deadline, through the
//! end of a stream.

use std::time::Duration;

/// Most digits of a timeout, by gRPC's specification.
const MAX_DIGITS: usize = 8;

/// The timeout that the header's value spells; `None` for one that gRPC does not know, which is no reason to
/// fail a call: the policy's own limit holds then.
pub fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let plain = digits.len() <= MAX_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    let count: u64 = digits.parse().ok().filter(|_| plain)?;
    match unit {
        "H" => Some(Duration::from_secs(count * 60 * 60)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, wanted) in [
            ("2H", Duration::from_secs(7200)),
            ("3M", Duration::from_secs(180)),
            ("60S", Duration::from_secs(60)),
            ("99999999m", Duration::from_millis(99_999_999)),
            ("5u", Duration::from_micros(5)),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(parse(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_timeout_sets_none() {
        for text in ["", "S", "5", "5s", "+5S", "-5S", "5 S", "123456789S", "5é", "1.5S"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
