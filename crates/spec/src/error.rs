//! What is wrong with a document, in words for the person who wrote it. It holds no rules: those are
//! where the documents are.

use std::fmt;

/// The longest part of a source line that is shown; longer lines are cut around the problem.
const MAX_SNIPPET_CHARS: usize = 100;

/// One mistake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// The file it stands in, as the caller named it; empty when the text came from elsewhere.
    pub file: String,
    /// Where in the document: `providers[0].base_url`; empty for the document itself.
    pub path: String,
    /// The line, from 1; 0 when not known.
    pub line: u32,
    /// The column in characters, from 1; 0 when not known.
    pub column: u32,
    /// What is wrong and what would be right.
    pub message: String,
    /// The line as written; empty when not known.
    pub snippet: String,
}

impl Problem {
    /// A mistake at `path`; its line is filled in later by [`crate::Loaded::locate`].
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), ..Self::default() }
    }

    /// `file:line:column: path: message`, leaving out what is not known.
    fn headline(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        if !self.file.is_empty() {
            parts.push(self.file.clone());
        }
        if self.line > 0 {
            parts.push(if self.file.is_empty() { "line ".into() } else { String::new() });
            if let Some(last) = parts.last_mut() {
                last.push_str(&self.line.to_string());
            }
            parts.push(self.column.to_string());
        }
        let place = parts.join(":");
        [place, self.path.clone(), self.message.clone()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(": ")
    }

    /// The line as written with a mark under the column.
    fn picture(&self) -> String {
        let column = (self.column as usize).saturating_sub(1);
        let skipped = column.saturating_sub(MAX_SNIPPET_CHARS / 2);
        let line = without_secrets(&self.snippet);
        let shown: String =
            line.chars().skip(skipped).take(MAX_SNIPPET_CHARS).map(visible).collect();
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let indent = " ".repeat(column - skipped);
        format!("\n {number} | {shown}\n {margin} | {indent}^")
    }
}

/// A tab or control character would shift the mark or the terminal.
/// The line with everything blotted out, in its own length, that might be a secret: whoever pastes one into a
/// document should not find it in a log as well.
fn without_secrets(line: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let (mut shown, mut rest) = (String::with_capacity(line.len()), line);
    while let Some(first) = rest.chars().next() {
        let same = is_part(first);
        let end = rest.find(|c| is_part(c) != same).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if same && is_like_a_secret(word) {
            shown.extend(word.chars().map(|_| '•'));
        } else {
            shown.push_str(word);
        }
        rest = after;
    }
    shown
}

/// Providers' keys and ours begin so; others, and hashes, are long and mixed. Models' names are neither.
fn is_like_a_secret(word: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| word.as_bytes().iter().any(kind);
    let (digits, lower) = (has(u8::is_ascii_digit), has(u8::is_ascii_lowercase));
    let mixed = digits && lower && has(u8::is_ascii_uppercase);
    let named = word.starts_with("sk-") || word.starts_with("tl_");
    (named && word.len() >= 12) || (mixed && word.len() >= 20) || (digits && word.len() >= 32)
}

fn visible(c: char) -> char {
    match c {
        '\t' => '→',
        c if c.is_control() => '·',
        c => c,
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        if self.line > 0 && !self.snippet.is_empty() {
            f.write_str(&self.picture())?;
        }
        Ok(())
    }
}

/// Everything wrong with a document, in the order it was found. As a result's error it is never empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// A single mistake.
    pub fn one(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self(vec![Problem::new(path, message)])
    }

    /// Notes one more mistake.
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem::new(path, message));
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value, if nothing is wrong with it.
    ///
    /// # Errors
    /// The problems, if there are any.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }

    /// The same problems, said to stand in `file`.
    pub fn in_file(mut self, file: &str) -> Self {
        for problem in &mut self.0 {
            file.clone_into(&mut problem.file);
        }
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_shown_again() {
        for secret in [
            "sk-proj-something",
            "tl_testkey1_a-key-of-somebody",
            "AIzaSyA1b2C3d4E5f6G7h8I9j0",
            "0123456789abcdef0123456789abcdef",
        ] {
            let line = format!("  - key: {secret}, id: a");
            let shown = without_secrets(&line);
            assert_eq!(shown, format!("  - key: {}, id: a", "•".repeat(secret.len())));
        }
        let plain =
            "model: anthropic/claude-3-5-sonnet-20241022 # größer, über https://a.example:443/v1";
        assert_eq!(without_secrets(plain), plain);
    }
}
