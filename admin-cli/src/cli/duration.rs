//! Spans of time, and what happens in one, as people write them.

use std::time::Duration;

/// The longest span, in seconds: a century, so that nothing overflows.
const LONGEST_S: u64 = 100 * 365 * 86_400;

/// Reads `90s`, `15m`, `2h` or `30d`.
///
/// # Errors
/// What would be right.
pub fn duration(text: &str) -> Result<Duration, String> {
    let form = || "write a whole number and s, m, h or d, for example 15m".to_owned();
    let unit = text.chars().last().ok_or_else(form)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(form()),
    };
    let number = text.strip_suffix(unit).and_then(|n| n.parse::<u64>().ok()).ok_or_else(form)?;
    let span = number.checked_mul(seconds).filter(|s| (1..=LONGEST_S).contains(s));
    span.map(Duration::from_secs).ok_or_else(|| "use one second to a hundred years".to_owned())
}

/// Reads how long is waited: `600`, in seconds, or a span such as `10m`.
///
/// # Errors
/// What would be right.
pub fn patience(text: &str) -> Result<Duration, String> {
    match text.parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
        Err(_) => duration(text).map_err(|_| {
            "write seconds, or a whole number and s, m, h or d, for example 10m".to_owned()
        }),
    }
}

/// Reads `10%/min` into thousandths a minute.
///
/// # Errors
/// What would be right.
pub fn rate(text: &str) -> Result<u32, String> {
    let percent = text.strip_suffix("%/min").and_then(|n| n.parse::<u32>().ok());
    let percent = percent.filter(|percent| (1..=100).contains(percent));
    percent.map(|percent| percent * 10).ok_or_else(|| "write 1%/min to 100%/min".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_others_are_not() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(2_592_000)));
        for wrong in ["", "m", "15", "1.5h", "-1s", "0s", "9é", "99999999999999999999d", "99999d"]
        {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wait_is_in_seconds_or_a_span() {
        assert_eq!(patience("600"), Ok(Duration::from_secs(600)));
        assert_eq!(patience("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(patience("0"), Ok(Duration::ZERO));
        for wrong in ["", "-1", "1.5", "m", "99999999999"] {
            assert!(patience(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_are_read_and_others_are_not() {
        assert_eq!(rate("10%/min"), Ok(100));
        assert_eq!(rate("100%/min"), Ok(1_000));
        for wrong in ["", "10", "10%", "0%/min", "101%/min", "-1%/min", "10%/h"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
