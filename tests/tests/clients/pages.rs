//! What the pages quote stands in the files that are tested: every block of code names its file, and is a part of it.

use std::collections::BTreeSet;
use std::fs;

use trunkline_tests::foreign::folder;

/// A block of code in a page.
struct Quote {
    page: String,
    file: String,
    lines: Vec<String>,
}

/// The blocks of a page. A block begins with a line that names its language and the file that it is from.
fn quotes(page: &str, text: &str) -> Vec<Quote> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(about) = line.strip_prefix("```") else { continue };
        let (_, file) = about.split_once(' ').unwrap_or((about, ""));
        let block = lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect();
        found.push(Quote { page: page.to_owned(), file: file.to_owned(), lines: block });
    }
    found
}

/// Whether a file has these lines one after another, all of them indented by as much.
fn has(file: &str, quote: &[String]) -> bool {
    let lines: Vec<&str> = file.lines().collect();
    lines.windows(quote.len().max(1)).any(|window| {
        let first = quote.first().map_or("", String::as_str);
        let Some(indent) = window[0].strip_suffix(first) else { return false };
        let same = |(line, quoted): (&&str, &String)| {
            quoted.is_empty() && line.is_empty() || line.strip_prefix(indent) == Some(quoted)
        };
        indent.trim().is_empty() && window.iter().zip(quote).all(same)
    })
}

#[test]
fn pages_quote_files_that_are_tested() {
    let pages = folder("../docs/clients");
    let mut quoted = BTreeSet::new();
    for page in fs::read_dir(&pages).unwrap() {
        let path = page.unwrap().path();
        if path.extension().is_none_or(|kind| kind != "md") {
            continue;
        }
        let page = path.file_name().unwrap().to_string_lossy().into_owned();
        let found = quotes(&page, &fs::read_to_string(&path).unwrap());
        for quote in found {
            let Quote { page, file, lines } = quote;
            let shown = lines.join("\n");
            assert!(!file.is_empty(), "{page}: name the file that this is from:\n{shown}");
            let text = fs::read_to_string(pages.join(&file)).unwrap_or_default();
            assert!(has(&text, &lines), "{page}: {file} does not have:\n{shown}");
            quoted.insert(file);
        }
    }
    assert!(quoted.len() > 10, "{quoted:?}");
}

#[test]
fn a_quote_is_a_run_of_lines_under_one_indent() {
    let file = "fn main() {\n    if here {\n        go();\n\n        stop();\n    }\n}\n";
    let has =
        |quote: &[&str]| has(file, &quote.iter().copied().map(str::to_owned).collect::<Vec<_>>());
    assert!(has(&["if here {", "    go();", "", "    stop();", "}"]));
    assert!(has(&["    if here {"]));
    assert!(!has(&["if here {", "go();"]));
    assert!(!has(&["go();", "stop();"]));
    assert!(!has(&["here {"]));
}
