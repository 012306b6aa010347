//! Stories about edits that meet: one is written, with its history; the other is not, and leaves no trace.

use serde_json::Value;
use trunkline_store::Memory;
use trunkline_store::keys::HISTORY;

use super::*;

const KEY: &str = "/trunkline/v1/cfg/overrides/drains/provider/a";

fn intent(reason: &str, expected: Option<i64>) -> Intent {
    Intent {
        verb: "drain",
        target: "provider/a".to_owned(),
        reason: reason.to_owned(),
        expected,
        mode: Mode::Write,
        rules: Rules::Hold,
    }
}

fn writes(reason: &str) -> Vec<Write> {
    let record = format!(r#"{{"reason":"{reason}","scope":"provider/a"}}"#);
    vec![(KEY.to_owned(), Some(Bytes::from(record)))]
}

async fn prepared(store: &Memory, reason: &str) -> Prepared {
    let state = State::read(store).await.unwrap();
    Prepared::new(&intent(reason, None), "key/k", &state, &writes(reason)).unwrap()
}

async fn history(store: &Memory) -> Vec<Value> {
    let entries = store.list(HISTORY).await.unwrap().entries;
    entries.iter().map(|entry| serde_json::from_slice(&entry.value).unwrap()).collect()
}

#[tokio::test]
async fn an_edit_is_written_with_who_why_before_and_after() {
    let store = Memory::new();
    prepared(&store, "first").await.commit(&store).await.unwrap().unwrap();
    prepared(&store, "second").await.commit(&store).await.unwrap().unwrap();
    let history = history(&store).await;
    assert_eq!(history.len(), 2);
    assert_eq!(history[0]["changes"][0]["before"], Value::Null);
    assert_eq!(history[1]["by"], "key/k");
    assert_eq!(history[1]["verb"], "drain");
    assert_eq!(history[1]["target"], "provider/a");
    assert_eq!(history[1]["reason"], "second");
    assert_eq!(history[1]["changes"][0]["key"], KEY);
    assert_eq!(history[1]["changes"][0]["before"]["reason"], "first");
    assert_eq!(history[1]["changes"][0]["after"]["reason"], "second");
}

#[tokio::test]
async fn of_two_edits_on_the_same_state_one_is_written() {
    let store = Memory::new();
    let (ours, theirs) = (prepared(&store, "ours").await, prepared(&store, "theirs").await);
    assert!(theirs.commit(&store).await.unwrap().is_some());
    assert!(ours.commit(&store).await.unwrap().is_none());
    let entry = store.get(KEY).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&entry.value).contains("theirs"));
    assert_eq!(history(&store).await.len(), 1);
}

#[tokio::test]
async fn an_edit_based_on_an_older_entry_is_a_conflict() {
    let store = Memory::new();
    let revision = prepared(&store, "theirs").await.commit(&store).await.unwrap().unwrap();
    let state = State::read(&store).await.unwrap();
    let expected = i64::try_from(revision.0).unwrap();
    let on = |expected| check_expected(&intent("ours", Some(expected)), &state, &writes("ours"));
    assert!(on(expected).is_ok());
    let conflict = on(expected - 1).unwrap_err();
    assert_eq!(conflict.code(), tonic::Code::Aborted);
    assert!(on(-1).is_err_and(|status| status.code() == tonic::Code::InvalidArgument));
}
