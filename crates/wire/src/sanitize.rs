//! Making a provider's error message fit to be seen: bounded, without control characters, and without
//! anything that looks like a key. It cannot recognise a prompt that a provider echoes; it only keeps
//! little of it.

/// Longest message that is shown, in characters.
pub const MAX_MESSAGE_CHARS: usize = 512;

/// Most of a message that is looked at, in bytes.
const MAX_INPUT_BYTES: usize = 8 * 1024;
/// What stands in a secret's place.
const REDACTED: &str = "[redacted]";
/// Runs of key characters this long are secrets unless they read like names.
const MIN_SECRET_RUN: usize = 20;
/// Longest part of a name: no word in providers' messages is longer.
const MAX_WORD: usize = 16;
/// Longest part of a name that mixes letters and digits, like `70b` or `v3`.
const MAX_MIXED_WORD: usize = 4;
/// Most mixed parts one name has.
const MAX_MIXED_WORDS: usize = 2;
/// Most digits one name has: a date and a version.
const MAX_DIGITS: usize = 10;

/// How known kinds of keys begin, in lower case.
const KEY_PREFIXES: [&str; 14] = [
    "sk-", "sk_", "pk-", "pk_", "rk_", "tl_", "tl-", "ghp_", "gho_", "xox", "aiza", "akia", "eyj",
    "gsk_",
];
/// Words after which the next word is a key, in lower case.
const KEY_WORDS: [&str; 2] = ["bearer", "basic"];

/// `message` as callers may see it: at most [`MAX_MESSAGE_CHARS`] characters on one line, without any of
/// `secrets` and without anything like a key.
#[must_use]
pub fn sanitize_provider_message(message: &str, secrets: &[&str]) -> String {
    let mut text = front(message).to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, REDACTED);
    }
    let mut out = String::new();
    let mut after_key_word = false;
    for word in text.split(|c: char| c.is_control() || c.is_whitespace()) {
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        if after_key_word {
            out.push_str(REDACTED);
        } else {
            redact_word(word, &mut out);
        }
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let named = bare.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        after_key_word = KEY_WORDS.contains(&named.to_ascii_lowercase().as_str());
    }
    match out.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => out.get(..end).unwrap_or_default().to_owned(),
        None => out,
    }
}

/// What is looked at: whole words only, so that no key is cut into a harmless-looking front.
fn front(message: &str) -> &str {
    if message.len() <= MAX_INPUT_BYTES {
        return message;
    }
    let mut end = MAX_INPUT_BYTES;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let front = message.get(..end).unwrap_or_default();
    front.rfind(char::is_whitespace).and_then(|space| front.get(..space)).unwrap_or_default()
}

/// Writes a word without its keys.
fn redact_word(word: &str, out: &mut String) {
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let run = rest.find(|c: char| !is_key_char(c)).unwrap_or(rest.len()).max(first.len_utf8());
        let (front, back) = rest.split_at(run);
        if has_key_prefix(front) {
            // Providers mask the middle of a key with other characters; none of the word is kept.
            out.push_str(REDACTED);
            return;
        }
        out.push_str(if front.len() >= MIN_SECRET_RUN && !reads_like_a_name(front) {
            REDACTED
        } else {
            front
        });
        rest = back;
    }
}

/// True when `run`, or what follows a `=` or `/` in it, begins like a key.
fn has_key_prefix(run: &str) -> bool {
    run.split(['=', '/', '+']).any(|part| {
        let part = part.to_ascii_lowercase();
        KEY_PREFIXES.iter().any(|prefix| part.starts_with(prefix) && part.len() > prefix.len())
    })
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '/' | '=')
}

/// True for names of fields, models and codes: words and short numbers between separators.
fn reads_like_a_name(run: &str) -> bool {
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    let (mut mixed, mut words) = (0, true);
    for part in run.split(['-', '_', '/']) {
        let letters = part.get(1..).unwrap_or_default().bytes().all(|b| b.is_ascii_lowercase());
        let word =
            letters && part.len() <= MAX_WORD && !part.starts_with(|c: char| c.is_ascii_digit());
        let number = part.bytes().all(|b| b.is_ascii_digit());
        let short = part.len() <= MAX_MIXED_WORD && part.bytes().all(|b| b.is_ascii_alphanumeric());
        mixed += usize::from(!word && !number && short);
        words &= word || number || short;
    }
    words && digits <= MAX_DIGITS && mixed <= MAX_MIXED_WORDS
}

#[cfg(test)]
mod tests;
