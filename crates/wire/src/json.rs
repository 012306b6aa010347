//! A pull scanner over one JSON text: validates every byte, yields spans, builds nothing.
//!
//! It is not a deserializer. It exists because forwarding bytes untouched needs to know where each
//! value lies, and because a skipping parser would not bound the depth of what it skips. Answers,
//! chunks and requests are all read with it, so "valid JSON" means one thing in the whole router.

mod inside;
mod plain;

use std::borrow::Cow;
use std::ops::Range;

pub(crate) use self::inside::{escape, write_inside};
use self::plain::plain_run;

/// Deepest nesting of objects and arrays that is accepted, counting the outermost as one.
///
/// Tool schemas in the wild stay under twenty; the bound keeps a hostile body from exhausting the
/// stack, here or at the provider.
pub const MAX_DEPTH: usize = 64;

/// Reads one JSON text from front to back.
///
/// `enter_*` opens a container, `next_*` steps to its next entry and leaves the container when there
/// is none, and every entry's value must be consumed by exactly one reading call.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// True between an opening bracket and the first step: no comma is due yet.
    fresh: bool,
}

/// Where and why a text is not acceptable JSON. Carries no part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) reason: &'static str,
}

/// What kind of value comes next, told by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// A string as it stands in the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    start: usize,
    quoted: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// The string's content; `None` when an escape does not form a character.
    pub(crate) fn decode(self) -> Option<Cow<'a, str>> {
        if self.escaped {
            return serde_json::from_str::<String>(self.quoted).ok().map(Cow::Owned);
        }
        self.inner().map(Cow::Borrowed)
    }

    /// The content for comparing with known names: an undecodable string equals none of them.
    pub(crate) fn name(self) -> Cow<'a, str> {
        self.decode().unwrap_or(Cow::Borrowed(self.quoted))
    }

    /// Where the string lies, quotes included.
    pub(crate) fn span(self) -> Range<usize> {
        self.start..self.start + self.quoted.len()
    }

    /// True for `""`.
    pub(crate) fn is_empty(self) -> bool {
        self.quoted.len() <= 2
    }

    fn inner(self) -> Option<&'a str> {
        self.quoted.get(1..self.quoted.len().saturating_sub(1))
    }
}

impl<'a> Scanner<'a> {
    /// Starts at the front of `bytes`, which must be UTF-8.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Fault> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self { text, at: 0, depth: 0, fresh: false }),
            Err(error) => Err(Fault { at: error.valid_up_to(), reason: "not valid UTF-8" }),
        }
    }

    /// Where the next unread byte lies.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The kind of the value that comes next, without consuming it.
    #[inline]
    pub(crate) fn kind(&mut self) -> Result<Kind, Fault> {
        match self.next_byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(_) => Err(self.fault("expected a value")),
            None => Err(self.fault("the text ends too early")),
        }
    }

    /// Consumes `{`.
    pub(crate) fn enter_object(&mut self) -> Result<(), Fault> {
        self.enter(b'{', "expected an object")
    }

    /// Consumes `[`.
    pub(crate) fn enter_array(&mut self) -> Result<(), Fault> {
        self.enter(b'[', "expected an array")
    }

    fn enter(&mut self, bracket: u8, reason: &'static str) -> Result<(), Fault> {
        self.expect(bracket, reason)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fault("nested deeper than 64 levels"));
        }
        self.fresh = true;
        Ok(())
    }

    /// Steps to the next member of the object and past its colon; `None` closes the object.
    #[inline]
    pub(crate) fn next_key(&mut self) -> Result<Option<Text<'a>>, Fault> {
        if !self.step(b'}', "expected a comma or the end of the object")? {
            return Ok(None);
        }
        let key = self.string()?;
        self.expect(b':', "expected a colon")?;
        Ok(Some(key))
    }

    /// Steps to the next item of the array; false closes the array.
    #[inline]
    pub(crate) fn next_item(&mut self) -> Result<bool, Fault> {
        self.step(b']', "expected a comma or the end of the array")
    }

    /// True when an entry follows, false when the container was closed by `end`.
    #[inline]
    fn step(&mut self, end: u8, reason: &'static str) -> Result<bool, Fault> {
        let first = std::mem::replace(&mut self.fresh, false);
        match self.next_byte() {
            Some(byte) if byte == end => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(_) if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(_) => Err(self.fault(reason)),
            None => Err(self.fault("the text ends too early")),
        }
    }

    /// Consumes any value and returns where it lies.
    pub(crate) fn value(&mut self) -> Result<Range<usize>, Fault> {
        self.kind()?;
        let start = self.at;
        self.skip()?;
        Ok(start..self.at)
    }

    /// Consumes any value. Recursion is bounded by [`MAX_DEPTH`].
    pub(crate) fn skip(&mut self) -> Result<(), Fault> {
        match self.kind()? {
            Kind::Object => {
                self.enter_object()?;
                while self.next_key()?.is_some() {
                    self.skip()?;
                }
            }
            Kind::Array => {
                self.enter_array()?;
                while self.next_item()? {
                    self.skip()?;
                }
            }
            Kind::String => {
                self.string()?;
            }
            Kind::Number => {
                self.number()?;
            }
            Kind::Bool => {
                self.boolean()?;
            }
            Kind::Null => self.literal("null")?,
        }
        Ok(())
    }

    /// Consumes `null` if it comes next.
    pub(crate) fn null(&mut self) -> Result<bool, Fault> {
        let found = self.kind()? == Kind::Null;
        if found {
            self.literal("null")?;
        }
        Ok(found)
    }

    /// Consumes `true` or `false`.
    pub(crate) fn boolean(&mut self) -> Result<bool, Fault> {
        let value = self.next_byte() == Some(b't');
        self.literal(if value { "true" } else { "false" })?;
        Ok(value)
    }

    /// Consumes a number and returns its text.
    pub(crate) fn number(&mut self) -> Result<&'a str, Fault> {
        self.skip_space();
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'.' | b'e' | b'E')) {
            self.fraction()?;
        }
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    /// Consumes what follows a number's whole part.
    fn fraction(&mut self) -> Result<(), Fault> {
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Consumes a string.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Text<'a>, Fault> {
        self.expect(b'"', "expected a string")?;
        let start = self.at - 1;
        self.at += plain_run(self.rest());
        let escaped = self.byte() != Some(b'"');
        if escaped {
            self.escapes()?;
        }
        self.at += 1;
        let quoted = self.text.get(start..self.at).unwrap_or_default();
        Ok(Text { start, quoted, escaped })
    }

    /// Goes on to the end of a string that is not plain to its end.
    #[cold]
    fn escapes(&mut self) -> Result<(), Fault> {
        loop {
            match self.byte() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                Some(_) => return Err(self.fault("a control character inside a string")),
                None => return Err(self.fault("a string without an end")),
            }
            self.at += plain_run(self.rest());
        }
    }

    /// Checks that nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        match self.next_byte() {
            None => Ok(()),
            Some(_) => Err(self.fault("more text after the end of the value")),
        }
    }

    /// Consumes what follows a backslash. Whether surrogates pair up is the reader's affair: the
    /// bytes are forwarded as they are.
    #[inline]
    fn escape(&mut self) -> Result<(), Fault> {
        let width = match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
            Some(b'u') => {
                let digits = self.rest().get(1..5).unwrap_or_default();
                if digits.len() != 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(self.fault("an escape needs four hexadecimal digits"));
                }
                5
            }
            _ => return Err(self.fault("an unknown escape")),
        };
        self.at += width;
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.fault("expected a digit"));
        }
        self.at += count;
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Result<(), Fault> {
        self.skip_space();
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.fault("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    #[inline]
    fn expect(&mut self, byte: u8, reason: &'static str) -> Result<(), Fault> {
        if self.next_byte() != Some(byte) {
            return Err(self.fault(reason));
        }
        self.at += 1;
        Ok(())
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.byte() == Some(byte);
        self.at += usize::from(found);
        found
    }

    #[inline]
    fn next_byte(&mut self) -> Option<u8> {
        self.skip_space();
        self.byte()
    }

    #[inline]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn fault(&self, reason: &'static str) -> Fault {
        Fault { at: self.at, reason }
    }
}

#[cfg(test)]
mod tests;
