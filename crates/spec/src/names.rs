//! The syntax of names in documents. One alphabet for all, so that a name fits a store key, a metric
//! label and a URL as it is.

use std::collections::BTreeSet;

use trunkline_core::snapshot::nearest;

use crate::error::Problems;

/// The longest name, in bytes; ASCII, so characters as well.
const MAX_NAME_CHARS: usize = 128;
/// Names suggested for one that does not exist.
const MAX_SUGGESTIONS: usize = 3;

/// Reports a name that is not 1 to 128 of `A–Z a–z 0–9 . _ : / @ -`.
pub(crate) fn check(path: &str, name: &str, problems: &mut Problems) {
    if let Some(message) = fault(name) {
        problems.add(path, message);
    }
}

/// What is wrong with a name, if anything.
pub(crate) fn fault(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a name must not be empty".to_owned());
    }
    if name.len() > MAX_NAME_CHARS {
        return Some(format!("the name has {} characters; at most {MAX_NAME_CHARS}", name.len()));
    }
    let foreign = name.chars().find(|c| !allowed(*c))?;
    Some(format!(
        "`{}` holds {foreign:?}; a name is made of letters A-Z a-z, digits and . _ : / @ -",
        name.escape_debug()
    ))
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '/' | '@' | '-')
}

/// What to say about a name that does not exist: the nearest that do.
pub(crate) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: BTreeSet<&str> = known.collect();
    let near = nearest(name, known.iter().copied(), MAX_SUGGESTIONS);
    let hint = if near.is_empty() {
        format!("add it to the catalog or name one of its {} {what}s", known.len())
    } else {
        format!("did you mean `{}`?", near.join("` or `"))
    };
    format!("there is no {what} `{name}` in the catalog; {hint}")
}
