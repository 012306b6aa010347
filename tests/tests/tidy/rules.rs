//! The rules for Rust files and for every text file. Each takes one file and tells its breaches,
//! with the remedy; what a rule exempts is written beside it.

use super::source::{self, Literals};
use super::tree::{File, Finding};

const MAX_FILE_LINES: usize = 400;
const MAX_MAIN_LINES: usize = 80;
const MAX_FUNCTION_LINES: usize = 70;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 10] = [
    "util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "context",
    "stuff",
];

/// Test files may be longer: a list of stories is read one story at a time.
pub(crate) fn file_length(file: &File) -> Vec<Finding> {
    let most = if file.name() == "main.rs" { MAX_MAIN_LINES } else { MAX_FILE_LINES };
    let lines = source::without_tests(&file.text).lines().count();
    if !file.is_rust() || file.is_test() || lines <= most {
        return Vec::new();
    }
    let what = format!("{lines} lines without tests, {most} at most: split it by meaning");
    vec![file.finding(lines, what)]
}

pub(crate) fn function_length(file: &File) -> Vec<Finding> {
    if !file.is_rust() {
        return Vec::new();
    }
    let functions = source::functions(&file.text).into_iter();
    let long = functions.filter(|function| function.lines > MAX_FUNCTION_LINES);
    long.map(|function| {
        let source::Function { name, line, lines } = function;
        let what = format!("`{name}` has {lines} lines, {MAX_FUNCTION_LINES} at most: split it");
        file.finding(line, what)
    })
    .collect()
}

pub(crate) fn header(file: &File) -> Vec<Finding> {
    if !file.is_rust() || file.text.trim_start().starts_with("//!") {
        return Vec::new();
    }
    vec![file.finding(1, "begins without `//!`: say what the file is, and what it is not")]
}

pub(crate) fn no_allow(file: &File) -> Vec<Finding> {
    let remedy = "use #[expect(lint, reason = \"…\")], which tells when it is no longer needed";
    attributes(file, &["#[allow(", "#![allow("], remedy)
}

pub(crate) fn no_ignore(file: &File) -> Vec<Finding> {
    attributes(file, &["#[ignore"], "a test runs or goes: make what it needs available")
}

fn attributes(file: &File, patterns: &[&str], remedy: &str) -> Vec<Finding> {
    if !file.is_rust() {
        return Vec::new();
    }
    find(file, &source::masked(&file.text, Literals::Masked), patterns, remedy)
}

pub(crate) fn names_say_something(file: &File) -> Vec<Finding> {
    let mut parts = file.path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
    if !file.is_rust() || !parts.any(|part| EMPTY_NAMES.contains(&part)) {
        return Vec::new();
    }
    vec![file.finding(1, "this name says nothing: name the file after what is inside")]
}

/// Exempt: `app.rs`, which wires a program, and the runtime's own `tasks.rs`.
pub(crate) fn spawning(file: &File) -> Vec<Finding> {
    if file.name() == "app.rs" || file.path == "crates/runtime/src/tasks.rs" {
        return Vec::new();
    }
    let remedy = "let app.rs start it through runtime::Tasks, so that it has a name and an end";
    product_code(file, Literals::Masked, &["tokio::spawn(", "tokio::task::spawn("], remedy)
}

/// Exempt: `etcd.rs`, which sets up what a cluster needs before there is a router to ask.
pub(crate) fn admin_cli_and_the_store(file: &File) -> Vec<Finding> {
    if !file.path.starts_with("admin-cli/src/") || file.name() == "etcd.rs" {
        return Vec::new();
    }
    let remedy = "ask the admin API: it validates, and writes down who did it";
    product_code(file, Literals::Masked, &["trunkline_store"], remedy)
}

/// Exempt: `config.rs`, and build scripts, which have no other way to be told anything.
pub(crate) fn environment(file: &File) -> Vec<Finding> {
    if matches!(file.name(), "config.rs" | "build.rs") {
        return Vec::new();
    }
    let remedy = "read the environment in config.rs and pass the value on";
    product_code(file, Literals::Masked, &["env::var(", "env::var_os(", "env::vars("], remedy)
}

/// Exempt: `telemetry.rs`, and build scripts, which measure nothing and name files after packages.
/// A crate's name in a string is no metric's.
pub(crate) fn metrics(file: &File) -> Vec<Finding> {
    if matches!(file.name(), "telemetry.rs" | "build.rs") {
        return Vec::new();
    }
    let remedy = "give telemetry.rs a method that records it; names and labels live there";
    let macros = ["counter!(", "gauge!(", "histogram!("];
    let mut findings = product_code(file, Literals::Masked, &macros, remedy);
    let crates = ["core", "spec", "store", "wire", "upstream", "runtime", "proto", "tests"];
    let named = product_code(file, Literals::Kept, &["\"trunkline_"], remedy);
    findings.extend(named.into_iter().filter(|finding| {
        let line = file.text.lines().nth(finding.line - 1).unwrap_or_default();
        let name = line.split("\"trunkline_").nth(1).unwrap_or_default();
        !crates.iter().any(|known| name.strip_prefix(known).is_some_and(|r| !r.starts_with('_')))
    }));
    findings
}

/// Paths of one machine in a file that travels.
pub(crate) fn foreign_paths(file: &File) -> Vec<Finding> {
    let remedy = "an absolute path of one machine: make it relative to the repository";
    let mut findings = Vec::new();
    for folder in ["work", "root", "home"] {
        let pattern = format!("/{folder}/");
        for (number, line) in file.text.lines().enumerate() {
            let absolute = line.match_indices(&pattern).any(|(at, _)| {
                let before = line.get(..at).and_then(|text| text.chars().next_back());
                // After a letter, a dot, a brace… it is the middle of a longer path or address.
                !before.is_some_and(|c| c.is_alphanumeric() || "_-.~/}*)".contains(c))
            });
            if absolute {
                findings.push(file.finding(number + 1, remedy));
            }
        }
    }
    findings
}

/// Looks for patterns in what is neither a comment nor a test.
fn product_code(file: &File, literals: Literals, patterns: &[&str], remedy: &str) -> Vec<Finding> {
    if !file.is_rust() || file.is_test() {
        return Vec::new();
    }
    let code = source::masked(source::without_tests(&file.text), literals);
    find(file, &code, patterns, remedy)
}

fn find(file: &File, code: &str, patterns: &[&str], remedy: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pattern in patterns {
        for line in source::lines_with(code, pattern) {
            findings.push(file.finding(line, format!("`{pattern}`: {remedy}")));
        }
    }
    findings
}
