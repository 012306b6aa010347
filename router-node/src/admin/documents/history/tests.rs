//! Stories about versions: what is kept, how it is found, and what is forgotten.

use super::*;

fn entry(number: u64, before: Option<&str>, after: &str, text: &str) -> Kept {
    let changed = Changed {
        key: key_of(Versioned::Policy),
        before: before.map(str::to_owned),
        after: after.to_owned(),
    };
    let entry = Entry {
        at_ms: number,
        by: "key/k".to_owned(),
        verb: "policy apply".to_owned(),
        target: "policy".to_owned(),
        reason: "because".to_owned(),
        changes: vec![changed],
        replaced: before.map(|_| replaced(text)),
    };
    let value = serde_json::to_vec(&entry).unwrap();
    let stored = KeyValue {
        key: Key::History(number).to_string(),
        value: value.into(),
        create_revision: Revision(number),
        mod_revision: Revision(number),
        version: 1,
        lease: None,
    };
    kept(&stored, Versioned::Policy).unwrap()
}

fn head(version: &str) -> Head {
    Head { version: version.to_owned(), text: "{}".to_owned(), revision: Revision(9) }
}

#[test]
fn a_version_is_found_by_its_beginning_and_only_if_one_begins_so() {
    let history = History(vec![
        entry(1, Some("aaaaaaaa11"), "bbbbbbbb22", r#"{"version":1}"#),
        entry(2, Some("bbbbbbbb22"), "aaaaaaaa33", r#"{"version":2}"#),
    ]);
    let head = head("aaaaaaaa33");
    let found = |asked| history.find(asked, Some(&head)).map(|(version, _)| version);
    assert_eq!(found("bbbbbbbb").unwrap(), "bbbbbbbb22");
    assert_eq!(found("aaaaaaaa3").unwrap(), "aaaaaaaa33");
    assert!(found("aaaaaaaa").is_err(), "two begin like that");
    assert!(found("bbbb").is_err(), "too short to mean anything");
    assert!(found("cccccccc").is_err());
    assert_eq!(history.find("aaaaaaaa11", None).unwrap().1, r#"{"version":1}"#);
}

#[test]
fn the_version_before_the_present_is_the_one_that_was_replaced_last() {
    let history = History(vec![entry(1, Some("aaaaaaaa"), "bbbbbbbb", r#"{"version":1}"#)]);
    let before = |history: &History| {
        history.text_of(Some(Source::Version(String::new())), Some(&head("bbbbbbbb")))
    };
    assert_eq!(before(&history).unwrap(), r#"{"version":1}"#);
    assert!(before(&History(Vec::new())).is_err());
}

#[test]
fn the_version_before_a_deletion_is_the_last_one_and_never_an_older_one() {
    let asked = || Some(Source::Version(String::new()));
    let mut history = History(vec![
        entry(1, Some("aaaaaaaa"), "bbbbbbbb", r#"{"version":1}"#),
        entry(2, Some("bbbbbbbb"), "aaaaaaaa", r#"{"version":2}"#),
    ]);
    let text = history.text_of(asked(), None).unwrap();
    assert_eq!(text, r#"{"version":1}"#, "what was in force when it was deleted");
    history.0.push(entry(3, Some("aaaaaaaa"), "cccccccc", r#"{"version":1}"#));
    let lost = history.text_of(asked(), None).unwrap_err();
    assert!(lost.message().starts_with("cccccccc was in force last"), "{}", lost.message());
}

#[test]
fn versions_are_listed_from_the_newest_to_what_was_there_first() {
    let history = History(vec![
        entry(1, Some("aaaaaaaa"), "bbbbbbbb", "{}"),
        entry(2, Some("bbbbbbbb"), "cccccccc", "{}"),
    ]);
    let listed = history.versions(Some(&head("cccccccc")));
    let names: Vec<_> = listed.iter().map(|v| (v.version.as_str(), v.in_force)).collect();
    assert_eq!(names, [("cccccccc", true), ("bbbbbbbb", false), ("aaaaaaaa", false)]);
    let listed = history.versions(Some(&head("dddddddd")));
    assert!(listed.len() == 4 && listed[0].in_force, "written past the admin API");
    assert_eq!(History(Vec::new()).versions(Some(&head("aaaaaaaa"))).len(), 1);
    assert!(History(Vec::new()).versions(None).is_empty());
}

#[test]
fn the_oldest_are_forgotten_by_number_and_by_size() {
    let text = |kib: usize| format!(r#"{{"x":"{}"}}"#, "y".repeat(kib << 10));
    let of = |count: u64, kib: usize| {
        History((1..=count).map(|n| entry(n, Some("aaaaaaaa"), "bbbbbbbb", &text(kib))).collect())
    };
    assert!(of(99, 1).forgotten(100).is_empty());
    assert_eq!(of(100, 1).forgotten(100), [Key::History(1).to_string()]);
    assert_eq!(
        of(20, 1 << 10).forgotten(100).len(),
        13,
        "seven of a MiB and a little fit in eight"
    );
    assert_eq!(of(300, 1).forgotten(100).len(), MAX_FORGOTTEN_AT_ONCE);
}

#[test]
fn other_edits_are_no_versions() {
    let other = r#"{"at_ms":1,"by":"k","verb":"confirm","target":"policy","reason":"r",
        "changes":[{"key":"/trunkline/v1/cfg/policy","before":{"a":1},"after":{"a":2}}]}"#;
    let mut stored = KeyValue {
        key: Key::History(1).to_string(),
        value: other.into(),
        create_revision: Revision(1),
        mod_revision: Revision(1),
        version: 1,
        lease: None,
    };
    assert!(kept(&stored, Versioned::Policy).is_none());
    stored.value = "nonsense".into();
    assert!(kept(&stored, Versioned::Policy).is_none());
}
