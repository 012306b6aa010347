//! Two releases live side by side while a cluster is upgraded. What the last release stored is read by this one,
//! what the next one adds is passed over or refused by name, and the published API breaks nobody who was built
//! against the last one.
//!
//! `tests/golden/` holds what releases stored, and `proto/released/` their API. Both are written once for each
//! release (docs/upgrades.md says how) and never changed after.
#![expect(clippy::unwrap_used, reason = "fails its test on the spot")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use router_node::fold::Fold;
use serde_json::{Value, json};
use trunkline_core::id::{EndpointId, ModelId, ProviderId, Region};
use trunkline_core::observation::{Counts, Evidence, Observation, Vote};
use trunkline_spec::observation::{
    ProberRecord, decode_observation, decode_prober_record, encode_observation, encode_prober,
};
use trunkline_spec::router::RouterRecord;
use trunkline_store::keys::ROOT;
use trunkline_store::{
    Change, Embedded, Event, Expect, KeyValue, Limits, Listing, Revision, Store,
};
use trunkline_tests::json::{chat, overlay};
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{KEY, Router, Setup, beside};

/// The release whose records are read.
const RELEASE: &str = "0.1";
/// Where nothing is called: golden records are read, not served from.
const NOWHERE: &str = "http://127.0.0.1:9/v1";

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn golden(file: &str) -> PathBuf {
    folder("tests/golden").join(RELEASE).join(file)
}

fn command(router: &Router, words: &[&str]) -> Output {
    let mut command = Command::new(beside("admin-cli"));
    command.env_clear().env("TRUNKLINE_ADMIN_KEY", KEY);
    command.env("TRUNKLINE_ENDPOINT", format!("http://{}", router.admin));
    command.args(words).output().unwrap()
}

fn reads(router: &Router, words: &[&str]) -> Value {
    let output = command(router, &[words, &["-o", "json"]].concat());
    assert!(output.status.success(), "{words:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What was stored under each key.
fn stored() -> Vec<(String, Vec<u8>)> {
    let text = fs::read_to_string(golden("store.json")).unwrap();
    let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
    let read = |entry: &Value| {
        let key = entry["key"].as_str().unwrap().to_owned();
        let value = match entry["text"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => from_hex(entry["hex"].as_str().unwrap()),
        };
        (key, value)
    };
    entries.iter().map(read).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let pairs = (0..text.len() / 2).map(|at| &text[2 * at..2 * at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// The one record whose key contains this.
fn one<'a>(records: &'a [(String, Vec<u8>)], part: &str) -> &'a (String, Vec<u8>) {
    records.iter().find(|(key, _)| key.contains(part)).unwrap()
}

fn listing(records: &[(String, Vec<u8>)]) -> Change {
    let entry = |(at, (key, value)): (usize, &(String, Vec<u8>))| entry(key, value, at as u64 + 1);
    let entries: Vec<KeyValue> = records.iter().enumerate().map(entry).collect();
    Change::Snapshot(Listing { revision: Revision(entries.len() as u64), entries })
}

fn entry(key: &str, value: &[u8], revision: u64) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: value.to_vec().into(),
        create_revision: Revision(revision),
        mod_revision: Revision(revision),
        version: 1,
        lease: None,
    }
}

/// A segment of records as the next release might write it: a further field in each, and a further kind of line.
fn with_additions(segment: &Path) -> String {
    let text = fs::read_to_string(segment).unwrap();
    let added = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        for kind in ["record", "scene"] {
            if let Some(object) = line.get_mut(kind).and_then(Value::as_object_mut) {
                object.insert("colour".to_owned(), json!("red"));
            }
        }
        format!("{line}\n")
    });
    added.chain(["{\"colour\":{\"red\":true}}\n".to_owned()]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_serves_from_what_the_last_release_stored() {
    let data = tempfile::tempdir().unwrap();
    let store = Embedded::open(data.path(), Limits::default()).await.unwrap();
    for (key, value) in stored() {
        store.put(&key, value.into(), Expect::Absent).await.unwrap();
    }
    store.close().await;
    drop(store);
    fs::create_dir(data.path().join("records")).unwrap();
    let segment = data.path().join("records/000000000000.jsonl");
    fs::write(segment, with_additions(&golden("records.jsonl"))).unwrap();

    let provider = Provider::start("other").await.serving("other");
    let embedded = json!({"store": {"embedded": {"dir": data.path()}}});
    let router = Setup::new(&[&provider]).config(embedded).start().await;
    assert!(router.metric("trunkline_refused_records", "").await < 1.0);
    let status = reads(&router, &["status"]);
    assert_eq!(status["nacks"].as_array().map_or(0, Vec::len), 0, "{status}");
    let drains = reads(&router, &["get", "drains"]);
    assert_eq!(drains["items"][0]["id"], "provider/b", "{drains}");
    let endpoints = reads(&router, &["get", "endpoints"]);
    let endpoints = endpoints["items"].as_array().unwrap();
    assert_eq!(endpoints.len(), 4, "those of the stored catalog: {endpoints:?}");
    let log = reads(&router, &["policy", "log"]);
    // Two that were applied, and the one that was there before.
    assert_eq!(log["items"].as_array().unwrap().len(), 3, "{log}");
    let keys = reads(&router, &["keys", "list"]);
    assert!(keys.to_string().contains("batch"), "{keys}");
    assert_eq!(router.client().get("/v1/models").await.status(), 200, "a stored key opens");

    let lines = fs::read_to_string(golden("records.jsonl")).unwrap();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let records: Vec<Value> = lines.filter(|line| line["record"].is_object()).collect();
    assert_eq!(records.len(), 3);
    for record in &records {
        let id = record["record"]["generation"]["id"].as_str().unwrap();
        let explained = reads(&router, &["explain", id]);
        assert_eq!(explained["identical"], true, "{explained}");
    }
}

#[test]
fn measurements_of_the_last_release_say_what_they_said() {
    let stored = stored();
    let (_, bytes) = one(&stored, "/obs/");
    assert_eq!(decode_observation(bytes).unwrap(), observation());
    let (_, bytes) = one(&stored, "/probers/");
    assert_eq!(decode_prober_record(bytes).unwrap(), prober());
    let (_, bytes) = one(&stored, "/routers/");
    assert_eq!(RouterRecord::decode(bytes).unwrap(), router_record());
}

/// What becomes of a record with a field that only the next release knows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Newer {
    /// The field is passed over: such records say how things are, and each says it anew within seconds.
    PassedOver,
    /// The record is refused, by name, and the last good one stays in force: such records are orders, and half
    /// an order may be the wrong one.
    Refused,
}

#[test]
fn what_the_next_release_adds_is_passed_over_or_refused_by_name() {
    let stored = stored();
    let kinds = [
        ("cfg/catalog", Newer::Refused),
        ("cfg/policy", Newer::Refused),
        ("cfg/keys", Newer::Refused),
        ("cfg/overrides/drains/", Newer::Refused),
        ("cfg/overrides/weights/", Newer::Refused),
        ("/probers/", Newer::PassedOver),
        ("/routers/", Newer::PassedOver),
    ];
    for (part, expected) in kinds {
        let mut fold = Fold::default();
        fold.apply(listing(&stored));
        assert_eq!(fold.nacks(), [], "{part}");
        let (catalog, policy) = (fold.catalog.clone(), fold.policy.clone());
        let (drained, keys) = (fold.drained(), fold.keys());
        let (key, value) = one(&stored, part);
        let mut newer: Value = serde_json::from_slice(value).unwrap();
        newer["colour"] = json!("red");
        let revision = stored.len() as u64 + 1;
        let put = Event::Put(entry(key, newer.to_string().as_bytes(), revision));
        fold.apply(Change::Batch { revision: Revision(revision), events: vec![put] });
        let refused: Vec<_> =
            fold.nacks().into_iter().map(|nack| (nack.key, nack.reason)).collect();
        match expected {
            Newer::PassedOver => assert_eq!(refused, [], "{part}"),
            Newer::Refused => {
                assert_eq!(refused.len(), 1, "{part}");
                assert_eq!(&refused[0].0, key);
                assert!(refused[0].1.contains("colour"), "{refused:?}");
            }
        }
        assert_eq!((&fold.catalog, &fold.policy), (&catalog, &policy), "{part}");
        assert_eq!((fold.drained(), fold.keys()), (drained, keys), "{part}");
    }
}

#[test]
fn an_observation_in_a_newer_layout_is_refused_and_the_last_one_counts() {
    let stored = stored();
    let (_, bytes) = one(&stored, "/obs/");
    let mut newer = bytes.clone();
    newer[0] += 1;
    let told = decode_observation(&newer).unwrap_err().to_string();
    assert!(told.contains("layout version 2"), "{told}");
}

/// The API that the release published.
fn published() -> PathBuf {
    folder("proto/released").join(format!("v{RELEASE}.binpb")).canonicalize().unwrap()
}

fn buf(proto: &Path, against: &Path) -> Output {
    let program = folder("target/venv/bin/buf");
    assert!(program.exists(), "{} is missing: run tests/provision/python.sh", program.display());
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.arg("breaking").arg("--against").arg(against).current_dir(proto);
    command.env("HOME", home.path()).output().unwrap()
}

#[test]
fn the_published_api_breaks_nobody_built_against_the_last_release() {
    let released = published();
    let output = buf(&folder("proto"), &released);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_field_that_changes_its_number_is_found() {
    let released = published();
    let copy = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(folder("proto/.")).arg(copy.path()).status();
    assert!(copied.unwrap().success());
    let file = copy.path().join("trunkline/inference/v1/usage.proto");
    let text = fs::read_to_string(&file).unwrap();
    let changed = text.replacen(" = 1;", " = 101;", 1);
    assert_ne!(text, changed);
    fs::write(&file, changed).unwrap();
    let output = buf(copy.path(), &released);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && told.contains("usage.proto"), "{told}");
}

fn endpoint() -> EndpointId {
    EndpointId::of(&ProviderId::new("a"), &ModelId::new("m"), &Region::new("global"))
}

fn observation() -> Observation {
    Observation {
        sequence: 4_711,
        incarnation: 12,
        vote: Vote::Up,
        evidence: Evidence { active: true, passive: true },
        ramp_permille: 1_000,
        window_s: 60,
        counts: Counts { ok: 300, health: 2, rate_limited: 1, ..Counts::default() },
        flap: 1,
        since_revision: 9,
        ..Observation::default()
    }
}

fn prober() -> ProberRecord {
    let (zone, version) = ("zone-a".to_owned(), "0.1.0".to_owned());
    ProberRecord { zone, version, address: "10.0.0.7:9092".to_owned(), ..ProberRecord::default() }
}

fn router_record() -> RouterRecord {
    RouterRecord {
        address: "10.0.0.8:8080".to_owned(),
        zone: "zone-b".to_owned(),
        version: "0.1.0".to_owned(),
        applied_revision: 40,
        changed_revision: 38,
        ..RouterRecord::default()
    }
}

/// Writes the golden records of this release, when asked to: once, before it is released.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "a variable tells a test to write the records")]
async fn golden_records_are_written_when_asked_for() {
    if std::env::var("UPDATE_GOLDEN").is_err() {
        assert!(golden("store.json").exists() && golden("records.jsonl").exists());
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let embedded = json!({"node_id": "golden", "store": {"embedded": {"dir": data.path()}}});
    let serving = |provider: Provider| {
        let keys = json!({"jurisdiction": "eu", "retention": {"days": 30}, "training": "no"});
        provider.serving_as("m", keys.clone()).serving_as("n", keys)
    };
    let (a, b) = (serving(Provider::start("a").await), serving(Provider::start("b").await));
    let router = Setup::new(&[&a, &b]).config(embedded).start().await;
    for body in [json!({}), json!({"stream": true}), json!({"provider": {"order": ["b", "a"]}})] {
        let body = overlay(chat("m"), body);
        assert_eq!(router.client().chat(&body).await.status(), 200);
    }
    let policy = data.path().join("policy.json");
    for (strategy, reason) in [("latency", "first"), ("price", "second")] {
        let routes = json!({"version": 1, "strategy": strategy, "tags": ["feature"]});
        fs::write(&policy, routes.to_string()).unwrap();
        let path = policy.to_str().unwrap();
        done(&router, &["policy", "apply", "-f", path, "--reason", reason, "--force"]);
    }
    let reason = ["--reason", "golden", "--force"];
    done(&router, &[&["drain", "provider/b"], &reason[..]].concat());
    done(&router, &["weight", "set", "endpoint/a/m", "250", "--reason", "golden", "--force"]);
    done(&router, &["keys", "create", "--note", "batch", "--reason", "golden"]);
    router.stop().await;
    fs::create_dir_all(golden("")).unwrap();
    let mut lines = Vec::new();
    for file in fs::read_dir(data.path().join("records")).unwrap() {
        lines.push(fs::read_to_string(file.unwrap().path()).unwrap());
    }
    fs::write(golden("records.jsonl"), lines.concat()).unwrap();
    let store = Embedded::open(data.path(), Limits::default()).await.unwrap();
    let mut records: Vec<(String, Vec<u8>)> = Vec::new();
    for found in store.list(ROOT).await.unwrap().entries {
        records.push((found.key, found.value.to_vec()));
    }
    let key = |rest: String| format!("{ROOT}{rest}");
    records.push((key("probers/p0".to_owned()), encode_prober(&prober())));
    let observed = encode_observation(&observation());
    records.push((key(format!("obs/p0/{}", endpoint())), observed));
    records.push((key("routers/r0".to_owned()), router_record().encode()));
    let written: Vec<Value> = records.iter().map(|(key, value)| written(key, value)).collect();
    let text = serde_json::to_string_pretty(&written).unwrap();
    let places = [&a, &b].map(|provider| provider.sim.base_url());
    let text = places.iter().fold(text, |text, place| text.replace(place, NOWHERE));
    fs::write(golden("store.json"), text + "\n").unwrap();
}

fn written(key: &str, value: &[u8]) -> Value {
    match std::str::from_utf8(value) {
        Ok(text) if text.starts_with('{') => json!({"key": key, "text": text}),
        _ => {
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"key": key, "hex": hex})
        }
    }
}

fn done(router: &Router, words: &[&str]) {
    let output = command(router, words);
    assert!(output.status.success(), "{words:?}: {output:?}");
}
