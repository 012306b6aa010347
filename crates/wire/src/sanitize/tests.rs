//! Messages with planted secrets, and messages that must stay readable.

use proptest::prelude::*;

use super::*;

fn clean(message: &str) -> String {
    sanitize_provider_message(message, &[])
}

#[test]
fn ordinary_messages_stay_as_they_are() {
    for message in [
        "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
        "This model's maximum context length is 128000 tokens (context_length_exceeded).",
        "The model `anthropic/claude-sonnet-4-20250514` does not exist",
        "meta-llama/llama-3.1-70b-instruct is overloaded, retry after 2.5s",
        "task-based disk-like sky tl;dr",
        "Größe überschritten: 42 €",
    ] {
        assert_eq!(clean(message), message);
    }
}

#[test]
fn keys_are_taken_out() {
    for (message, expected) in [
        ("bad key sk-a1b2.", "bad key [redacted]"),
        (
            "Incorrect API key provided: sk-ab***********yz.",
            "Incorrect API key provided: [redacted]",
        ),
        ("Authorization: Bearer abc", "Authorization: Bearer [redacted]"),
        ("{\"authorization\":\"Bearer abc\"}", "{\"authorization\":\"Bearer [redacted]"),
        ("key tl_live1", "key [redacted]"),
        ("api_key=sk-x", "[redacted]"),
        ("request 123e4567-e89b-12d3-a456-426614174000", "request [redacted]"),
        ("AB12-CD34-EF56-GH78-IJ90", "[redacted]"),
    ] {
        assert_eq!(clean(message), expected);
    }
}

#[test]
fn known_secrets_go_whatever_they_look_like() {
    assert_eq!(
        sanitize_provider_message("hi hunter2, bye", &["hunter2", ""]),
        "hi [redacted], bye"
    );
}

#[test]
fn messages_are_one_bounded_line() {
    assert_eq!(clean("a\r\n\tb\u{0}c\u{1b}[31m"), "a b c [31m");
    let long = clean(&"é ".repeat(40_000));
    assert_eq!(long.chars().count(), MAX_MESSAGE_CHARS);
    assert_eq!(clean(&"x".repeat(100_000)), "", "a word too long to judge is dropped");
}

/// Secrets of the kinds that providers hand out.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9]{20,60}",
        "[0-9a-f]{32,64}",
        "[A-Za-z0-9+]{19,60}[A-Z0-9]==",
        "sk-[A-Za-z0-9_-]{4,40}",
        "sk-(proj|ant|or-v1)-[A-Za-z0-9_-]{6,40}",
        "tl_[A-Za-z0-9]{4,40}",
        "gsk_[A-Za-z0-9]{10,40}",
        "Bearer [A-Za-z0-9._~+/-]{3,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn planted_secrets_never_come_through(
        before in "([a-zA-Z:,.'\"(){}é]{0,12}[ :\"'(,]){0,60}",
        secret in secret(),
        after in "([ \"'),.:;][a-zA-Z]{0,12}){0,4}",
    ) {
        let seen = clean(&format!("{before}{secret}{after}"));
        let bare = secret.strip_prefix("Bearer ").unwrap_or(&secret);
        // Three letters may also be one of the words around.
        let words = format!("{before}{after}");
        prop_assert!(!seen.contains(bare) || words.contains(bare), "{}", seen);
        prop_assert!(seen.chars().count() <= MAX_MESSAGE_CHARS);
    }

    #[test]
    fn nothing_panics_and_nothing_is_a_control_character(message: String, secret: String) {
        let seen = sanitize_provider_message(&message, &[&secret]);
        prop_assert!(!seen.chars().any(char::is_control));
    }
}
