//! Stories about the store's contents as a router understands them: what is refused, what is held back, and
//! what lets it through.

use serde_json::json;
use trunkline_spec::observation::{ProberRecord, encode_prober};
use trunkline_store::keys::{CONFIG, PROBERS, ROUTERS};

use super::*;

/// A fold, and the store's side of the story.
#[derive(Default)]
struct Story {
    fold: Fold,
    stored: BTreeMap<String, KeyValue>,
    revision: u64,
}

impl Story {
    /// One with a catalog of `endpoints`, a policy and a key.
    fn with(endpoints: usize) -> Self {
        let mut story = Self::default();
        let key = json!({"id": "testkey1", "hash": "0".repeat(64)});
        story.write(&[
            (CATALOG, &catalog_of(endpoints)),
            (POLICY, &json!({"version": 1}).to_string()),
            (KEYS, &json!({"version": 1, "keys": [key]}).to_string()),
        ]);
        story
    }

    fn put(&mut self, key: &str, value: &[u8]) -> Event {
        let created = self.stored.get(key).map_or(self.revision, |e| e.create_revision.0);
        let entry = KeyValue {
            key: key.to_owned(),
            value: value.to_vec().into(),
            create_revision: Revision(created),
            mod_revision: Revision(self.revision),
            version: 1,
            lease: None,
        };
        self.stored.insert(key.to_owned(), entry.clone());
        Event::Put(entry)
    }

    fn batch(&mut self, events: Vec<Event>) -> Haste {
        self.fold.apply(Change::Batch { revision: Revision(self.revision), events })
    }

    /// One revision that writes these documents.
    fn write(&mut self, documents: &[(&str, &str)]) -> Haste {
        self.revision += 1;
        let put = |(path, text): &(&str, &str)| (format!("{CONFIG}{path}"), (*text).to_owned());
        let documents: Vec<_> = documents.iter().map(put).collect();
        let events = documents.iter().map(|(key, text)| self.put(key, text.as_bytes())).collect();
        self.batch(events)
    }

    /// One revision that deletes everything under a prefix.
    fn delete_below(&mut self, prefix: &str) -> Haste {
        self.revision += 1;
        let below: Vec<String> =
            self.stored.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
        self.stored.retain(|key, _| !key.starts_with(prefix));
        self.batch(below.into_iter().map(|key| Event::Delete { key }).collect())
    }

    fn listing(&self) -> Change {
        let entries = self.stored.values().cloned().collect();
        Change::Snapshot(Listing { revision: Revision(self.revision), entries })
    }

    fn relist(&mut self) -> Haste {
        self.fold.apply(self.listing())
    }

    fn endpoints(&self) -> usize {
        self.fold.catalog.endpoints.len()
    }

    /// The keys refused, without the prefix of the configuration.
    fn refused(&self) -> Vec<String> {
        let short = |nack: Nack| nack.key.trim_start_matches(CONFIG).to_owned();
        self.fold.nacks().into_iter().map(short).collect()
    }
}

fn catalog_of(endpoints: usize) -> String {
    let entry = |at: usize| {
        json!({
            "model": format!("m{at}"),
            "price": {"input": 1.0, "output": 2.0},
            "capabilities": ["chat"],
        })
    };
    let entries: Vec<_> = (0..endpoints).map(entry).collect();
    let provider = json!({"id": "p", "base_url": "https://p.example", "endpoints": entries});
    let providers = if endpoints == 0 { vec![] } else { vec![provider] };
    json!({"version": 1, "providers": providers}).to_string()
}

fn manifest(endpoints: usize) -> String {
    json!({"endpoints": endpoints, "reason": "meant"}).to_string()
}

#[test]
fn a_record_that_cannot_be_read_leaves_the_last_good_one_and_is_named() {
    let mut story = Story::with(3);
    let refusals = story.fold.refusals;
    assert_eq!(story.write(&[(CATALOG, "{")]), Haste::None);
    assert_eq!((story.endpoints(), story.refused()), (3, vec![CATALOG.to_owned()]));
    assert_eq!(story.fold.nacks()[0].revision, story.revision);
    assert!(story.fold.refusals > refusals);
    story.write(&[(CATALOG, &catalog_of(4))]);
    assert_eq!((story.endpoints(), story.refused()), (4, vec![]));
}

#[test]
fn a_catalog_that_shrinks_by_more_than_a_third_waits_for_a_word() {
    let mut story = Story::with(10);
    story.write(&[(CATALOG, &catalog_of(7))]);
    assert_eq!(story.endpoints(), 7, "three of ten are 30 % and no more");
    story.write(&[(CATALOG, &catalog_of(4))]);
    assert_eq!((story.endpoints(), story.refused()), (7, vec![CATALOG.to_owned()]));
    let told = story.fold.nacks()[0].reason.clone();
    assert!(told.contains("3 of 7") && told.contains("--endpoints 4"), "{told}");
    story.write(&[(MANIFEST, &manifest(5))]);
    assert_eq!(story.endpoints(), 7, "another number is no word for it");
    assert_eq!(story.write(&[(MANIFEST, &manifest(4))]), Haste::Urgent);
    assert_eq!((story.endpoints(), story.refused()), (4, vec![]));
}

#[test]
fn a_manifest_in_the_same_revision_lets_it_through_at_once_and_an_old_one_does_not() {
    let mut story = Story::with(10);
    let refusals = story.fold.refusals;
    story.write(&[(CATALOG, &catalog_of(2)), (MANIFEST, &manifest(2))]);
    assert_eq!((story.endpoints(), story.fold.refusals), (2, refusals));
    story.write(&[(CATALOG, &catalog_of(10))]);
    story.write(&[(CATALOG, &catalog_of(2))]);
    assert_eq!(story.endpoints(), 10);
}

#[test]
fn the_last_provider_of_a_small_catalog_is_guarded_too() {
    let mut story = Story::with(2);
    story.write(&[(CATALOG, &catalog_of(0))]);
    assert_eq!(story.endpoints(), 2);
    story.write(&[(CATALOG, &catalog_of(1))]);
    assert_eq!(story.endpoints(), 1);
}

#[test]
fn deleting_all_configuration_changes_nothing_for_callers_until_it_is_confirmed() {
    let mut story = Story::with(5);
    let before = story.fold.changed;
    assert_eq!(story.delete_below(CONFIG), Haste::None);
    assert_eq!((story.endpoints(), story.fold.keys().len()), (5, 1));
    assert_eq!((story.refused().len(), story.fold.changed), (3, before));
    assert_eq!(story.relist(), Haste::None, "a listing says the same");
    assert_eq!((story.endpoints(), story.fold.keys().len()), (5, 1));
    story.write(&[(MANIFEST, &manifest(0))]);
    assert_eq!((story.endpoints(), story.fold.keys().len()), (0, 0));
    assert_eq!(story.refused(), [POLICY]);
}

#[test]
fn what_was_deleted_and_is_written_again_is_in_force_without_a_word() {
    let mut story = Story::with(5);
    story.delete_below(CONFIG);
    let key = json!({"id": "testkey2", "hash": "1".repeat(64)});
    let keys = json!({"version": 1, "keys": [key]}).to_string();
    story.write(&[(CATALOG, &catalog_of(5)), (KEYS, &keys), (POLICY, r#"{"version": 1}"#)]);
    assert_eq!(story.refused(), Vec::<String>::new());
    assert_eq!(story.fold.keys()[0].tenant.key.as_str(), "testkey2");
    story.relist();
    assert_eq!((story.endpoints(), story.fold.keys().len()), (5, 1));
}

#[test]
fn a_key_that_is_deleted_alone_is_revoked_at_once() {
    let mut story = Story::with(1);
    story.delete_below(&format!("{CONFIG}{KEYS}"));
    assert_eq!(story.fold.keys().len(), 0);
    assert_eq!(story.refused(), Vec::<String>::new());
}

#[test]
fn a_store_that_went_back_is_taken_as_it_is_now_and_its_small_catalog_waits() {
    let mut story = Story::with(2);
    let backup = (story.stored.clone(), story.revision);
    story.write(&[(CATALOG, &catalog_of(8))]);
    story.write(&[(POLICY, r#"{"version": 1, "tags": ["later"]}"#)]);
    (story.stored, story.revision) = backup;
    story.relist();
    assert_eq!(story.fold.revision, story.revision);
    assert!(story.fold.changed <= story.revision);
    assert_eq!((story.endpoints(), story.refused()), (8, vec![CATALOG.to_owned()]));
    assert!(story.fold.policy.tags.is_empty(), "the policy of the backup is in force");
    story.write(&[(MANIFEST, &manifest(2))]);
    assert_eq!((story.endpoints(), story.refused()), (2, vec![]));
}

#[test]
fn what_is_kept_on_disk_is_what_is_in_force() {
    let mut story = Story::with(5);
    story.write(&[(CATALOG, "nonsense")]);
    story.delete_below(&format!("{CONFIG}{POLICY}"));
    let mut again = Fold::default();
    again.apply(Change::Snapshot(story.fold.in_force()));
    assert!(again.configured && again.nacks().is_empty());
    assert_eq!((&again.catalog, &again.policy), (&story.fold.catalog, &story.fold.policy));
    assert_eq!(again.keys().len(), 1);
    again.apply(story.listing());
    assert_eq!(again.catalog, story.fold.catalog, "the store's bad catalog is refused again");
    assert_eq!(again.nacks().len(), 2);
}

#[test]
fn other_routers_change_nothing_and_are_counted() {
    let mut story = Story::with(1);
    let changed = story.fold.changed;
    story.revision += 1;
    let sign = br#"{"changed_revision": 7, "table_digest": "aa"}"#;
    let sign = story.put(&format!("{ROUTERS}r1"), sign);
    assert_eq!(story.batch(vec![sign]), Haste::None);
    assert_eq!((story.fold.changed, story.fold.routers.len()), (changed, 1));
    assert_eq!(story.fold.revision, story.revision);
    assert_eq!(story.relist(), Haste::None);
    assert_eq!((story.fold.changed, story.fold.routers.len()), (changed, 1));
    let sign = TableSign { changed: 7, digest: "aa".to_owned() };
    assert_eq!(story.fold.signs.get("r1"), Some(&sign));
    story.delete_below(ROUTERS);
    assert!(story.fold.routers.is_empty() && story.fold.signs.is_empty());
}

#[test]
fn a_prober_that_went_while_nobody_looked_is_gone_after_a_listing() {
    let mut story = Story::with(1);
    story.revision += 1;
    let record = ProberRecord { zone: "a".into(), ..ProberRecord::default() };
    let sign = story.put(&format!("{PROBERS}p1"), &encode_prober(&record));
    assert_eq!(story.batch(vec![sign]), Haste::Urgent);
    assert_eq!(story.relist(), Haste::None);
    story.stored.retain(|key, _| !key.starts_with(PROBERS));
    story.revision += 1;
    assert_eq!(story.relist(), Haste::Urgent);
    assert!(story.fold.probers.is_empty());
}

#[test]
fn a_canary_runs_while_the_policy_that_it_is_compared_with_is_in_force() {
    let mut story = Story::with(1);
    let canary = json!({
        "policy": {"version": 1, "tags": ["new"]},
        "base": story.fold.policy.version,
        "share_permille": 50,
        "reason": "x",
        "at_ms": 1,
    });
    assert_eq!(story.write(&[(CANARY, &canary.to_string())]), Haste::Urgent);
    assert_eq!(story.fold.canary().unwrap().policy.tags, ["new"]);
    story.write(&[(POLICY, &json!({"version": 1, "tags": ["other"]}).to_string())]);
    assert_eq!(story.fold.canary(), None);
    story.write(&[(POLICY, &json!({"version": 1}).to_string())]);
    assert!(story.fold.canary().is_some());
    story.write(&[(CANARY, "{}")]);
    assert!(story.fold.canary().is_some(), "the last good one stays in force");
    story.delete_below(&format!("{CONFIG}{CANARY}"));
    assert_eq!(story.fold.canary(), None);
    assert_eq!(story.fold.nacks(), []);
}
