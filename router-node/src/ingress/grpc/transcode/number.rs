//! How the one number type of protobuf's `Struct` is written in JSON. Not for
//! money, which travels as text.

use super::BadField;

/// Appends `number`, as an integer when it is one: providers refuse `16.0`
/// where they expect `16`. NaN and the infinities do not exist in JSON.
pub(super) fn write(number: f64, out: &mut Vec<u8>) -> Result<(), BadField> {
    if !number.is_finite() {
        return Err(BadField::new("", "is not a finite number"));
    }
    let integer = number as i64;
    // `as` saturates: beyond the range of `i64` the comparison is either false
    // or, at its very end, would change the value.
    let exact = integer as f64 == number && integer != i64::MAX;
    let written = if exact {
        serde_json::to_writer(out, &integer)
    } else {
        serde_json::to_writer(out, &number)
    };
    written.map_err(|error| BadField::new("", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(number: f64) -> String {
        let mut out = Vec::new();
        write(number, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_have_no_fraction() {
        assert_eq!(written(16.0), "16");
        assert_eq!(written(-3.0), "-3");
        assert_eq!(written(-0.0), "0");
        assert_eq!(written(9_007_199_254_740_992.0), "9007199254740992");
    }

    #[test]
    fn fractions_are_the_shortest_that_reads_back() {
        assert_eq!(written(0.7), "0.7");
        assert_eq!(written(1e-9), "1e-9");
    }

    #[test]
    fn numbers_beyond_the_integers_keep_their_value() {
        for number in [1e300, -1e300, 9_223_372_036_854_775_808.0, -9_223_372_036_854_775_808.0] {
            assert_eq!(written(number).parse::<f64>().unwrap(), number);
        }
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(write(number, &mut Vec::new()).is_err());
        }
    }
}
