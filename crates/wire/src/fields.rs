//! An object of JSON written field by field, for the lines that every call writes: its names are plain words of
//! the program's own, so only values are looked at. Everything that is not written that often is serialised.

use crate::json::write_inside;
use crate::pico::{push_number, push_usd};

/// An object that is being written.
#[derive(Debug)]
pub struct Fields<'a> {
    text: &'a mut String,
    /// What stands before the next name.
    before: &'static str,
}

/// Before the first name.
const FIRST: &str = "{\"";
/// Before any other.
const NEXT: &str = ",\"";

impl<'a> Fields<'a> {
    /// Begins an object at the end of `text`.
    #[must_use]
    pub fn begin(text: &'a mut String) -> Self {
        Self { text, before: FIRST }
    }

    /// A whole number.
    pub fn number(&mut self, name: &'static str, number: u64) {
        push_number(self.value(name), number);
    }

    /// A whole number, or `null`.
    pub fn number_or_null(&mut self, name: &'static str, number: Option<u64>) {
        match number {
            Some(number) => self.number(name, number),
            None => self.value(name).push_str("null"),
        }
    }

    /// An amount in pico-USD, as USD.
    pub fn usd(&mut self, name: &'static str, pico_usd: u64) {
        push_usd(self.value(name), pico_usd);
    }

    /// A text.
    pub fn text(&mut self, name: &'static str, text: &str) {
        push_text(self.value(name), text);
    }

    /// A word of the program's own: plain, so it is not looked at.
    pub fn word(&mut self, name: &'static str, word: &'static str) {
        let to = self.value(name);
        to.push('"');
        to.push_str(word);
        to.push('"');
    }

    /// A text, or `null`.
    pub fn text_or_null(&mut self, name: &'static str, text: Option<&str>) {
        match text {
            Some(text) => self.text(name, text),
            None => self.value(name).push_str("null"),
        }
    }

    /// What comes after a name, to be written by the caller: one value of JSON.
    pub fn value(&mut self, name: &'static str) -> &mut String {
        self.text.push_str(std::mem::replace(&mut self.before, NEXT));
        self.text.push_str(name);
        self.text.push_str("\":");
        self.text
    }

    /// Ends the object; without a field it is empty.
    pub fn end(self) {
        if self.before == FIRST {
            self.text.push('{');
        }
        self.text.push('}');
    }
}

/// Appends a string of JSON.
pub fn push_text(to: &mut String, text: &str) {
    to.push('"');
    write_inside(text, |piece| to.push_str(piece));
    to.push('"');
}

/// Appends a string of JSON to bytes.
pub fn push_text_bytes(to: &mut Vec<u8>, text: &str) {
    to.push(b'"');
    write_inside(text, |piece| to.extend_from_slice(piece.as_bytes()));
    to.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(number in any::<u64>(), text in any::<String>(), none in any::<bool>()) {
            let (mut line, mut bytes) = (String::new(), Vec::new());
            push_text(&mut line, &text);
            push_text_bytes(&mut bytes, &text);
            prop_assert_eq!(line.as_bytes(), bytes);
            line.clear();
            let mut fields = Fields::begin(&mut line);
            fields.number("number", number);
            fields.text("text", &text);
            fields.text_or_null("perhaps", (!none).then_some(text.as_str()));
            fields.number_or_null("some", none.then_some(number));
            fields.value("list").push_str("[1]");
            fields.end();
            let read: Value = serde_json::from_str(&line).unwrap();
            let perhaps = (!none).then_some(&text);
            let some = none.then_some(number);
            let expected = json!({"number": number, "text": text, "perhaps": perhaps, "some": some, "list": [1]});
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn money_is_exact_and_an_object_may_be_empty() {
        let mut line = String::new();
        let mut fields = Fields::begin(&mut line);
        fields.usd("cost", 1_500_000);
        fields.end();
        Fields::begin(&mut line).end();
        assert_eq!(line, r#"{"cost":0.0000015}{}"#);
    }
}
