//! Writing the inside of a JSON string. It writes no quotes and knows no other value.

use std::borrow::Cow;

use super::plain::plain_run;

/// `text` as the inside of a JSON string, borrowed when nothing needs an escape.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if plain_run(text.as_bytes()) == text.len() {
        return Cow::Borrowed(text);
    }
    let mut inside = String::with_capacity(text.len() + 8);
    write_inside(text, |piece| inside.push_str(piece));
    Cow::Owned(inside)
}

/// Writes `text` as the inside of a JSON string, piece by piece: long runs of plain bytes as they are.
pub(crate) fn write_inside(text: &str, mut put: impl FnMut(&str)) {
    let mut rest = text;
    while !rest.is_empty() {
        // Ends before an ASCII character or at the end, so always between two characters.
        let (plain, after) = rest.split_at(plain_run(rest.as_bytes()));
        put(plain);
        let Some(special) = after.chars().next() else { return };
        put_escape(special, &mut put);
        rest = after.get(special.len_utf8()..).unwrap_or_default();
    }
}

fn put_escape(special: char, put: &mut impl FnMut(&str)) {
    match special {
        '"' => put("\\\""),
        '\\' => put("\\\\"),
        '\n' => put("\\n"),
        '\r' => put("\\r"),
        '\t' => put("\\t"),
        '\u{8}' => put("\\b"),
        '\u{c}' => put("\\f"),
        control => put(&format!("\\u{:04x}", u32::from(control))),
    }
}
