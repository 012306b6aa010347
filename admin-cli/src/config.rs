//! What this program is told beside its flags: the only place that reads the environment itself.

use std::path::PathBuf;

/// The operator's own folder; `None` for somebody who has none.
pub fn home() -> Option<PathBuf> {
    std::env::home_dir()
}

/// A variable that a context names; `None` when it is not set, is empty or is no text.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
