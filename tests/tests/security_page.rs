//! The threat model names the test that shows each defence; this sees that there is such a test in that file.
#![expect(clippy::indexing_slicing, reason = "fails its test on the spot")]

use std::path::Path;

/// A test's name and the file it is linked to, for each link of the page whose text is a name in code.
fn proofs(page: &str) -> Vec<(&str, &str)> {
    let links = page.split("[`").skip(1).filter_map(|rest| rest.split_once("`](../"));
    let links = links.filter_map(|(name, rest)| Some((name, rest.split_once(')')?.0)));
    links.filter(|(name, _)| !name.contains('.')).collect()
}

/// Whether a test of that name is in this text.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.windows(2).any(|pair| {
        let signature = pair[1].trim_start_matches("async ");
        let named = signature.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(name));
        pair[0].contains("test") && named.is_some_and(|rest| rest.starts_with("()"))
    })
}

#[test]
fn every_defence_is_shown_by_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let proofs = proofs(&page);
    assert!(proofs.len() > 20, "only {} tests are named", proofs.len());
    for (name, file) in proofs {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        assert!(has_test(&text, name), "{file} has no test {name}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what"));
    for row in rows {
        assert!(row.contains("[`"), "nothing shows that: {row}");
    }
}

#[test]
fn a_test_that_is_not_there_is_found() {
    let text = "#[tokio::test]\nasync fn one() {\n}\nfn two() {\n}\n#[test]\nfn three() {}\n";
    assert!(has_test(text, "one") && has_test(text, "three"));
    assert!(!has_test(text, "two") && !has_test(text, "on") && !has_test(text, "none"));
    let page = "| x | y | [`a`](../tests/a.rs), [`b`](../b.rs) | [`c.toml`](../c.toml) [d](../d) |";
    assert_eq!(proofs(page), [("a", "tests/a.rs"), ("b", "b.rs")]);
}
