//! The scanner against serde_json, which was written by others.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

fn whole(bytes: &[u8]) -> Result<Range<usize>, Fault> {
    let mut scan = Scanner::new(bytes)?;
    let span = scan.value()?;
    scan.end()?;
    Ok(span)
}

/// Accepts what serde_json accepts; its own depth does not matter for the short texts below.
fn reference(bytes: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(bytes).is_ok()
}

#[test]
fn agrees_with_the_reference_on_corner_cases() {
    for text in [
        "",
        " ",
        "0",
        "-0",
        "01",
        "-",
        "+1",
        "1.",
        ".1",
        "1.0",
        "1e",
        "1e+",
        "1E-9",
        "1e5x",
        "0x1",
        "true",
        "tru",
        "truex",
        "nul",
        "null ",
        "\"",
        "\"\"",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\u{7f}\"",
        "\"\t\"",
        "\"\u{0}\"",
        "[",
        "]",
        "[]",
        "[ ]",
        "[,]",
        "[1,]",
        "[1 2]",
        "[1,2]",
        "[1}",
        "{",
        "}",
        "{}",
        "{ }",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1,\"b\":2}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1]",
        "1 1",
        "[]]",
        "\u{feff}1",
    ] {
        assert_eq!(whole(text.as_bytes()).is_ok(), reference(text.as_bytes()), "{text:?}");
    }
}

#[test]
fn depth_counts_objects_and_lists() {
    let lists = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert!(whole(lists(MAX_DEPTH).as_bytes()).is_ok());
    assert!(whole(objects(MAX_DEPTH).as_bytes()).is_ok());
    let reason = "nested deeper than 64 levels";
    assert_eq!(whole(lists(MAX_DEPTH + 1).as_bytes()).unwrap_err().reason, reason);
    assert_eq!(whole(objects(MAX_DEPTH + 1).as_bytes()).unwrap_err().reason, reason);
    let siblings = format!("[{}]", vec![lists(MAX_DEPTH - 1); 3].join(","));
    assert!(whole(siblings.as_bytes()).is_ok(), "depth is given back when a list ends");
}

#[test]
fn strings_of_every_length_end_where_they_end() {
    for length in 0..40 {
        for stop in ["\"", "\\n\"", "\u{1}\"", "é\"", "\u{80}\""] {
            let text = format!("\"{}{stop}", "x".repeat(length));
            assert_eq!(whole(text.as_bytes()).is_ok(), reference(text.as_bytes()), "{text:?}");
        }
    }
}

#[test]
fn escapes_what_json_needs_escaped() {
    assert!(matches!(escape("plain é"), Cow::Borrowed("plain é")));
    assert_eq!(escape("a\"b\\\n\u{1}"), "a\\\"b\\\\\\n\\u0001");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn agrees_with_the_reference_on_almost_json(
        text in r#"([\[\]{}]|[:,]|"[a\\"u0-9é]{0,9}"|-?[0-9.]{1,3}|[eE+-]|true|null| ){0,12}"#,
    ) {
        prop_assert_eq!(whole(text.as_bytes()).is_ok(), reference(text.as_bytes()));
    }

    #[test]
    fn agrees_with_the_reference_on_strings(
        inside in prop::collection::vec(prop_oneof![
            8 => 0x20_u8..0x7f, 1 => Just(b'\\'), 1 => Just(b'"'), 1 => any::<u8>(),
        ], 0..40),
    ) {
        let mut text = vec![b'"'];
        text.extend(inside);
        text.push(b'"');
        prop_assert_eq!(whole(&text).is_ok(), reference(&text));
    }

    #[test]
    fn decodes_as_the_reference(text in any::<String>()) {
        let quoted = serde_json::to_string(&text).unwrap();
        let mut scan = Scanner::new(quoted.as_bytes()).unwrap();
        let decoded = scan.string().unwrap().decode().unwrap().into_owned();
        prop_assert_eq!(decoded, text.clone());
        prop_assert_eq!(format!("\"{}\"", escape(&text)), quoted);
    }
}
