//! Reads Rust source just well enough for the rules: what is code, what is a test, how long a
//! function is. It is no parser: it follows comments, literals and brackets.

/// What [`masked`] turns into spaces besides comments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Literals {
    Kept,
    Masked,
}

/// One function: its name, the line where it starts (from 1) and its length in lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// The source with comments (and literals) turned into spaces; lines stay where they are.
pub(crate) fn masked(source: &str, literals: Literals) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (length, hide) = token(rest, first, &out);
        let (taken, left) = rest.split_at(length);
        let hide = hide == Hide::Comment || (hide == Hide::Literal && literals == Literals::Masked);
        if hide {
            out.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            out.push_str(taken);
        }
        rest = left;
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hide {
    Nothing,
    Comment,
    Literal,
}

/// The length in bytes of what starts here, and what it is.
fn token(rest: &str, first: char, before: &str) -> (usize, Hide) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Hide::Comment);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), Hide::Comment);
    }
    if first == '"' {
        return (quoted(rest, 1, '"'), Hide::Literal);
    }
    let in_word = before.chars().next_back().is_some_and(is_word);
    if !in_word
        && matches!(first, 'r' | 'b' | 'c')
        && let Some(length) = prefixed_literal(rest)
    {
        return (length, Hide::Literal);
    }
    if first == '\'' && is_char_literal(rest) {
        return (quoted(rest, 1, '\''), Hide::Literal);
    }
    (first.len_utf8(), Hide::Nothing)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(here) = rest.get(at..) {
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            match here.chars().next() {
                Some(c) => at += c.len_utf8(),
                None => break,
            }
        }
    }
    rest.len()
}

/// The length of a literal that ends at the first `end` without a backslash before it.
fn quoted(rest: &str, start: usize, end: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip_while(|(at, _)| *at < start) {
        if !escaped && c == end {
            return at + c.len_utf8();
        }
        escaped = !escaped && c == '\\';
    }
    rest.len()
}

/// `r"…"`, `br#"…"#`, `b"…"`, `c"…"`, `b'…'`; `None` when a word only starts with these letters.
fn prefixed_literal(rest: &str) -> Option<usize> {
    let letters = rest.find(|c| !matches!(c, 'r' | 'b' | 'c'))?;
    let after = rest.get(letters..)?;
    if after.starts_with('\'') && rest.starts_with("b'") {
        return Some(quoted(rest, 2, '\''));
    }
    let hashes = after.len() - after.trim_start_matches('#').len();
    if !after.get(hashes..)?.starts_with('"') {
        return None;
    }
    let body = letters + hashes + 1;
    if !rest.get(..letters)?.contains('r') {
        return (hashes == 0).then(|| quoted(rest, body, '"'));
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let length = rest.get(body..)?.find(&close).map(|at| body + at + close.len());
    Some(length.unwrap_or(rest.len()))
}

/// Tells `'a'` from the lifetime `'a`.
fn is_char_literal(rest: &str) -> bool {
    let mut after = rest.chars().skip(1);
    match after.next() {
        Some('\\') => true,
        Some(_) => after.next() == Some('\''),
        None => false,
    }
}

/// The source up to a trailing test module, and so without tests.
pub(crate) fn without_tests(source: &str) -> &str {
    let mut at = 0;
    let mut lines = source.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let next_opens =
            lines.peek().is_some_and(|next| next.trim_start().starts_with("mod tests"));
        if line.trim() == "#[cfg(test)]" && next_opens {
            return source.get(..at).unwrap_or(source);
        }
        at += line.len();
    }
    source
}

/// Every function with a body.
pub(crate) fn functions(source: &str) -> Vec<Function> {
    let code = masked(source, Literals::Masked);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let starts_word = !code.get(..at).is_some_and(|before| before.ends_with(is_word));
        let rest = code.get(at + 3..).unwrap_or_default();
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        if !starts_word || name.is_empty() {
            continue;
        }
        if let Some(length) = body_end(rest) {
            let line = code.get(..at).unwrap_or_default().matches('\n').count() + 1;
            let lines = rest.get(..length).unwrap_or_default().matches('\n').count() + 1;
            found.push(Function { name, line, lines });
        }
    }
    found
}

/// Where the body that follows a signature ends; `None` for a signature alone.
fn body_end(rest: &str) -> Option<usize> {
    let mut inside = 0_usize;
    let mut braces = 0_usize;
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' if braces == 0 => inside += 1,
            ')' | ']' if braces == 0 => inside = inside.saturating_sub(1),
            ';' if braces == 0 && inside == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// The lines (from 1) where `pattern` occurs as a whole word.
pub(crate) fn lines_with(code: &str, pattern: &str) -> Vec<usize> {
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let whole = line.match_indices(pattern).any(|(at, _)| {
            !pattern.starts_with(is_word) || !line.get(..at).is_some_and(|b| b.ends_with(is_word))
        });
        if whole {
            found.push(number + 1);
        }
    }
    found
}
