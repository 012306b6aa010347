//! How long a provider asks to be left alone, read from headers that come in every shape.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// Longer waits are cut to this: a provider's mistake must not take it out for a day.
pub(crate) const RETRY_AFTER_MAX_MS: u64 = 60_000;

/// `retry-after-ms`, else `retry-after` in seconds (fractions allowed) or as a date, in milliseconds and
/// at most [`RETRY_AFTER_MAX_MS`]. `None` when absent, negative or unreadable.
pub(crate) fn retry_after_ms(headers: &HeaderMap, now: SystemTime) -> Option<u64> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    let millis = text("retry-after-ms").and_then(|t| number(t, 1.0));
    let seconds =
        || text(RETRY_AFTER.as_str()).and_then(|t| number(t, 1000.0).or_else(|| date(t, now)));
    millis.or_else(seconds).map(|ms| ms.min(RETRY_AFTER_MAX_MS))
}

fn number(text: &str, unit_ms: f64) -> Option<u64> {
    let value: f64 = text.parse().ok()?;
    // Saturates above u64, which the bound then cuts.
    (value.is_finite() && value >= 0.0).then_some((value * unit_ms) as u64)
}

fn date(text: &str, now: SystemTime) -> Option<u64> {
    let when = httpdate::parse_http_date(text).ok()?;
    let wait = when.duration_since(now).unwrap_or(Duration::ZERO);
    Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        retry_after_ms(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770))
    }

    #[test]
    fn seconds_fractions_millis_and_dates_are_read() {
        assert_eq!(read("retry-after", "2"), Some(2_000));
        assert_eq!(read("retry-after", "0.5"), Some(500));
        assert_eq!(read("retry-after-ms", "250"), Some(250));
        assert_eq!(read("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), Some(7_000));
    }

    #[test]
    fn odd_values_are_bounded_or_ignored() {
        assert_eq!(read("retry-after", "0"), Some(0));
        assert_eq!(read("retry-after", "1e9"), Some(RETRY_AFTER_MAX_MS));
        assert_eq!(read("retry-after", "-5"), None);
        assert_eq!(read("retry-after", "soon"), None);
        assert_eq!(read("retry-after", "inf"), None);
        assert_eq!(read("retry-after", "Tue, 06 Nov 1990 08:49:37 GMT"), Some(0));
    }
}
