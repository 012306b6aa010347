//! Compares what a command wrote with the page that a person has looked at.

use std::fs;
use std::path::Path;
use std::process::Output;

/// Compares, or writes the page when that is asked for.
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

/// Ids, digests, addresses, times and revisions are named instead of written. Gaps between columns are not
/// compared, because they follow the longest such word.
fn line(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    let (mut words, mut before) = (Vec::new(), "");
    for one in line.split_whitespace() {
        words.push(if moves(before, line) { number(one) } else { word(one) });
        before = one;
    }
    format!("{}{}", " ".repeat(indent), words.join(" "))
}

/// Whether the numbers after this word, or in this line, are others each time: revisions, and how long ago
/// the store was heard.
fn moves(before: &str, line: &str) -> bool {
    let before = before.trim_end_matches(':');
    ["revision", "heard_s_ago"].contains(&before) || line.starts_with("r1 ")
}

fn number(text: &str) -> String {
    let bare = text.trim_end_matches([';', ',']);
    match bare.parse::<f64>() {
        Ok(value) if bare.contains('.') || value > 0.0 => text.replace(bare, "<number>"),
        Ok(_) | Err(_) => word(text),
    }
}

fn word(word: &str) -> String {
    let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let base32 = |c: char| matches!(c, 'a'..='z' | '2'..='7');
    let named = if bare.len() == 10
        && bare.chars().all(base32)
        && bare.contains(|c: char| c.is_numeric())
    {
        "<id>"
    } else if bare.len() == 12 && bare.chars().all(|c| c.is_ascii_hexdigit()) {
        "<digest>"
    } else if bare.contains("127.0.0.1:") {
        "<address>"
    } else if bare.len() > 15 && bare.contains('T') && bare.ends_with('Z') {
        "<time>"
    } else {
        bare
    };
    word.replacen(bare, named, 1)
}
