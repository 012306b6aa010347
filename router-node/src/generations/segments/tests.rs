//! Stories about segments.

use std::fs;

use tempfile::TempDir;
use trunkline_core::catalog::ProbeMode;
use trunkline_core::id::ModelId;
use trunkline_core::policy::Strategy;
use trunkline_core::snapshot::{EndpointState, Snapshot};

use super::super::tests::{decided, scene};
use super::*;

/// Records in one segment of a folder: so many, all of one scene.
fn write(folder: &TempDir, records: u64) -> PathBuf {
    let segments = Segments::new(folder.path().to_owned());
    let (scene, mut lines) = (scene(3, &Arc::default()), Vec::new());
    written::scene(0, &scene, &mut lines);
    for seed in 0..records {
        written::record(&decided(seed, Arc::clone(&scene)), Some(0), &mut lines);
    }
    segments.append(&[Batch { segment: segments.at_hand(), lines }]);
    segments.path(segments.at_hand())
}

fn without_what_only_calls_need(snapshot: &Snapshot) -> Vec<EndpointState> {
    let mut states = snapshot.endpoints.clone();
    for state in &mut states {
        state.endpoint.upstream_model.clear();
        state.endpoint.probe = ProbeMode::None;
    }
    states
}

fn recall(folder: &TempDir) -> Vec<Kept> {
    Segments::new(folder.path().to_owned()).recall(&Arc::default())
}

#[test]
fn what_was_written_is_read_back_and_replays() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, 30);
    let read = recall(&folder);
    assert_eq!(read.len(), 30);
    for (seed, kept) in (0..).zip(&read) {
        let before = decided(seed, scene(3, &Arc::default()));
        assert_eq!(kept.generation(), before.generation());
        assert_eq!(kept.tenant(), before.tenant());
        assert!(kept.explained().replayed.unwrap().identical);
        let (now, then) = (kept.story.as_ref().unwrap(), before.story.as_ref().unwrap());
        assert_eq!((&now.plan, &now.facts, now.seed), (&then.plan, &then.facts, then.seed));
        assert_eq!((now.revision, now.digest), (then.revision, then.digest));
        let (now, then) = (&now.scene.excerpt.snapshot, &then.scene.excerpt.snapshot);
        assert_eq!((now.policy.retry, &now.policy.data), (then.policy.retry, &then.policy.data));
        assert_eq!(Snapshot::strategy(&now.policy, &ModelId::new("m")), Strategy::Latency);
        assert_eq!(now.endpoints, without_what_only_calls_need(then));
        let past = kept.past().unwrap();
        assert_eq!((past.asked, past.tokens, past.loads.len()), ("m", Some((3, 4)), 3));
    }
}

#[test]
fn a_torn_line_is_cut_off_and_what_is_written_next_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, 5);
    let whole = fs::read(&path).unwrap();
    for cut in [1, 10, 200] {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        assert_eq!(recall(&folder).len(), 4);
        assert!(fs::read(&path).unwrap().ends_with(b"}\n"));
    }
    assert_ne!(write(&folder, 2), path, "each process has its own segments");
    assert_eq!(recall(&folder).len(), 6);
}

#[test]
fn lines_of_another_release_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, 3);
    let text = fs::read_to_string(&path).unwrap();
    let newer = text.replacen("\"reason\":\"", "\"reason\":\"by_", 1);
    fs::write(&path, format!("{newer}{{\"telegram\":1}}\n\u{0}\n")).unwrap();
    assert_eq!(recall(&folder).len(), 2);
}

#[test]
fn only_the_newest_records_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, 8);
    let last = read_segment(&path, 3, &Arc::default());
    let seeds = last.iter().map(|kept| kept.past().unwrap().seed);
    assert_eq!(seeds.collect::<Vec<_>>(), [5, 6, 7]);
}

#[test]
fn the_oldest_segments_go_when_there_is_too_much_or_they_are_too_old() {
    let folder = tempfile::tempdir().unwrap();
    let mut segments = Segments::new(folder.path().to_owned());
    let size = 8 * 1024 * 1024;
    for _ in 0..12 {
        // Without contents, so that only its length takes room.
        File::create(segments.path(segments.at_hand())).unwrap().set_len(size).unwrap();
        segments.next();
    }
    let now = SystemTime::now();
    segments.prune(now).unwrap();
    let left = list(folder.path());
    assert_eq!(left.len() as u64, MAX_BYTES / size);
    assert_eq!(left.keys().next_back(), Some(&11));
    segments.prune(now + MAX_AGE + Duration::from_secs(60)).unwrap();
    assert_eq!(list(folder.path()).len(), 0);
}
