//! Whatever bytes arrive as a document: an answer within bounds, never a panic.

use proptest::prelude::*;
use trunkline_spec::{MAX_DOCUMENT_BYTES, catalog, keys, overrides, policy};

/// Pieces that documents are made of, in any order: far likelier to get past the parser than noise.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "version: 1\n",
            "providers:",
            "\n  - id: a",
            "\n    base_url: ",
            "endpoints: [",
            "{model: x",
            "}",
            "]",
            "routes:",
            "keys:",
            "drains:",
            "\n",
            "  ",
            "- ",
            "{",
            "[",
            ", ",
            ": ",
            "&a ",
            "*a",
            "<<: *a",
            "!!int ",
            "|\n",
            ">\n",
            "\"",
            "'",
            "\\u0000",
            "\u{feff}",
            "---\n",
            "...\n",
            "\t",
            "#",
            "null",
            "1e999",
            ".nan",
            "-0",
            "99999999999999999999999",
            "true",
            "~",
            "? ",
            "%YAML 1.1\n",
            "price: ",
            "scope: endpoint/a/b@",
            "{\"a\":",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn texts() -> impl Strategy<Value = String> {
    let noise = prop::collection::vec(any::<u8>(), 0..64)
        .prop_map(|b| String::from_utf8_lossy(&b).into_owned());
    prop_oneof![3 => pieces(), 1 => noise]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn any_text_as_a_catalog(text in texts()) {
        if let Err(problems) = catalog::parse(&text) {
            prop_assert!(!problems.to_string().is_empty());
        }
    }

    #[test]
    fn any_text_as_a_policy(text in texts()) {
        if let Err(problems) = policy::parse(&text) {
            prop_assert!(!problems.to_string().is_empty());
        }
    }

    #[test]
    fn any_text_as_keys(text in texts()) {
        if let Err(problems) = keys::parse(&text) {
            prop_assert!(!problems.to_string().is_empty());
        }
    }

    #[test]
    fn any_text_as_overrides(text in texts()) {
        if let Err(problems) = overrides::parse(&text) {
            prop_assert!(!problems.to_string().is_empty());
        }
    }
}

#[test]
fn a_text_too_long_is_not_looked_at() {
    let Err(problems) = catalog::parse(&" ".repeat(MAX_DOCUMENT_BYTES + 1)) else {
        panic!("accepted")
    };
    assert!(problems.to_string().contains("at most"), "{problems}");
}

#[test]
fn aliases_cannot_make_a_small_text_a_huge_tree() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (from, to) in
        ["ab", "bc", "cd", "de", "ef", "fg", "gh"].iter().filter_map(|p| p.split_at_checked(1))
    {
        let items = format!("*{from}, ").repeat(10);
        text.push_str(&format!("{to}: &{to} [{items}]\n"));
    }
    let Err(problems) = policy::parse(&text) else { panic!("accepted") };
    assert_eq!(problems.0.len(), 1, "refused while reading, not after: {problems}");
}

#[test]
fn nesting_is_bounded_in_both_forms() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [40, 5_000] {
            let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            assert!(policy::parse(&text).is_err());
        }
    }
}
