//! Compares what a command wrote with the page that a person has looked at.

use std::fs;
use std::path::Path;
use std::process::Output;

/// Compares, or writes the page when that is asked for.
#[expect(clippy::disallowed_methods, reason = "a person asks for new pages")]
pub fn is_as_before(name: &str, output: &Output) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots");
    let file = folder.join(format!("{name}.txt"));
    let shown = page(output);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(&file, &shown).unwrap();
    }
    let before = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(shown, before, "{name} reads differently; see the top of operator_views.rs");
}

/// Both streams and the exit code, with what differs from run to run made equal.
fn page(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<String> = text.lines().map(line).collect();
    format!("{}\n[exit {}]\n", lines.join("\n"), output.status.code().unwrap())
}

/// Words that hold a digit of a time, a port, a revision, a digest or an id become `#`s; distances between
/// columns are not compared, because they follow the longest such word.
fn line(line: &str) -> String {
    let gap = line.len() - line.trim_start().len();
    let words = line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    format!("{}{words}", " ".repeat(gap.min(3)))
}

fn word(word: &str) -> String {
    let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let is_id =
        bare.len() == 10 && bare.chars().all(|c| "abcdefghijklmnopqrstuvwxyz234567".contains(c));
    let is_digest = bare.len() == 12 && bare.chars().all(|c| c.is_ascii_hexdigit());
    if is_id && !["127", "acme"].contains(&bare) {
        return word.replace(bare, "<id>");
    }
    if is_digest {
        return word.replace(bare, "<digest>");
    }
    if bare.starts_with("http://127.0.0.1:") || bare.starts_with("127.0.0.1:") {
        return "<address>".to_owned();
    }
    if bare.len() > 15 && bare.contains('T') && bare.ends_with('Z') {
        return word.replace(bare, "<time>");
    }
    word.to_owned()
}
