//! Stories about following a prefix, step by step.

use super::*;
use crate::port::KeyValue;

const CLUSTER: u64 = 7;
const SECOND: Duration = Duration::from_secs(1);

/// A machine, its clock, and what it told.
struct Story {
    machine: Machine,
    now: Instant,
}

impl Story {
    fn new() -> Self {
        let now = Instant::now();
        Self { machine: Machine::new(now), now }
    }

    /// One that has listed at revision 10 and follows from there.
    fn following() -> Self {
        let mut story = Self::new();
        story.late();
        story.listed(10);
        story.step(Input::Opened);
        assert_eq!(story.hear(Kind::Created, 10), Effect::AskProgress);
        story.hear(Kind::News, 10);
        assert_eq!(story.told(), [snapshot(10), progress(10)]);
        story
    }

    fn step(&mut self, input: Input) -> Effect {
        self.machine.step(input, self.now, 0)
    }

    fn late(&mut self) -> Effect {
        self.now = self.machine.deadline();
        self.step(Input::DeadlinePassed)
    }

    fn listed(&mut self, revision: u64) {
        let listing = Listing { revision: Revision(revision), entries: Vec::new() };
        self.step(Input::Listed { cluster: CLUSTER, listing });
    }

    fn hear(&mut self, kind: Kind, revision: u64) -> Effect {
        let (revision, events) = (Revision(revision), Vec::new());
        self.step(Input::Heard(Message { cluster: CLUSTER, revision, kind, events }))
    }

    fn events(&mut self, header: u64, events: &[(u64, &str)]) {
        let events = events.iter().map(|(revision, key)| (Revision(*revision), put(key)));
        let (revision, events) = (Revision(header), events.collect());
        let message = Message { cluster: CLUSTER, revision, kind: Kind::News, events };
        self.step(Input::Heard(message));
    }

    fn told(&mut self) -> Vec<Change> {
        self.machine.told.drain(..).collect()
    }

    fn wants(&mut self) -> Want {
        self.told();
        self.machine.want()
    }

    /// Waits until the machine has stopped pausing.
    fn after_pausing(&mut self) -> Want {
        while self.wants() == Want::Pause {
            self.late();
        }
        self.wants()
    }
}

fn put(key: &str) -> Event {
    Event::Put(KeyValue {
        key: key.to_owned(),
        value: "1".into(),
        create_revision: Revision(1),
        mod_revision: Revision(1),
        version: 1,
        lease: None,
    })
}

fn snapshot(revision: u64) -> Change {
    Change::Snapshot(Listing { revision: Revision(revision), entries: Vec::new() })
}

fn progress(revision: u64) -> Change {
    Change::Progress { revision: Revision(revision) }
}

fn batch(revision: u64, keys: &[&str]) -> Change {
    let events = keys.iter().map(|key| put(key)).collect();
    Change::Batch { revision: Revision(revision), events }
}

#[test]
fn it_lists_and_then_watches_from_there() {
    let mut story = Story::new();
    assert_eq!(story.wants(), Want::Pause);
    story.late();
    assert_eq!(story.wants(), Want::List);
    story.listed(10);
    assert_eq!(story.told(), [snapshot(10)]);
    assert_eq!(story.wants(), Want::Open(Revision(10)));
    story.step(Input::Opened);
    assert_eq!(story.wants(), Want::Listen);
}

#[test]
fn each_revision_is_one_batch_and_what_is_known_is_not_told_again() {
    let mut story = Story::following();
    story.events(13, &[(10, "old"), (11, "a"), (11, "b"), (13, "a")]);
    assert_eq!(story.told(), [batch(11, &["a", "b"]), batch(13, &["a"])]);
}

#[test]
fn a_failure_resumes_after_the_last_event_and_not_after_the_header() {
    let mut story = Story::following();
    story.events(15, &[(11, "a")]);
    assert_eq!(story.step(Input::Failed("cut".to_owned())), Effect::NextMember);
    assert_eq!(story.told().last(), Some(&Change::Silent { reason: "cut".to_owned() }));
    assert_eq!(story.after_pausing(), Want::Open(Revision(11)));
}

#[test]
fn progress_moves_the_resume_point() {
    let mut story = Story::following();
    story.hear(Kind::News, 20);
    assert_eq!(story.told(), [progress(20)]);
    story.step(Input::Failed("cut".to_owned()));
    assert_eq!(story.after_pausing(), Want::Open(Revision(20)));
}

#[test]
fn an_untrusted_answer_is_a_sign_of_life_and_moves_nothing() {
    let mut story = Story::following();
    story.late();
    assert_eq!(story.hear(Kind::Untrusted, 20), Effect::Nothing);
    assert_eq!(story.told(), []);
    assert_eq!(story.machine.deadline(), story.now + PROGRESS_INTERVAL);
    story.step(Input::Failed("cut".to_owned()));
    assert_eq!(story.after_pausing(), Want::Open(Revision(10)));
}

#[test]
fn silence_is_asked_about_then_given_up_and_moves_nothing() {
    let mut story = Story::following();
    let quiet_since = story.now;
    assert_eq!(story.late(), Effect::AskProgress);
    assert_eq!(story.now, quiet_since + PROGRESS_INTERVAL);
    let mut effect = Effect::AskProgress;
    while effect == Effect::AskProgress {
        effect = story.late();
    }
    assert_eq!(effect, Effect::NextMember);
    assert_eq!(story.now, quiet_since + PROGRESS_INTERVAL + ANSWER_MAX);
    assert!(story.now - quiet_since < SILENCE_MAX);
    assert_eq!(story.after_pausing(), Want::Open(Revision(10)));
}

#[test]
fn any_message_answers_a_request_for_progress() {
    let mut story = Story::following();
    story.late();
    story.now += 5 * SECOND;
    story.events(11, &[(11, "a")]);
    assert_eq!(story.machine.deadline(), story.now + PROGRESS_INTERVAL);
}

#[test]
fn a_watch_that_is_never_set_up_is_given_up() {
    let mut story = Story::new();
    story.late();
    story.listed(10);
    let begun = story.now;
    story.step(Input::Opened);
    assert_eq!(story.late(), Effect::NextMember);
    assert_eq!(story.now, begun + SILENCE_MAX);
}

#[test]
fn compacted_history_and_another_cluster_are_listed_again() {
    let other = Message { cluster: 8, revision: Revision(12), ..Message::default() };
    let compacted = Message { kind: Kind::Compacted, ..Message::default() };
    for message in [other, compacted] {
        let mut story = Story::following();
        assert_eq!(story.step(Input::Heard(message)), Effect::CloseStream);
        assert_eq!(story.wants(), Want::List);
    }
}

#[test]
fn a_watch_from_the_future_is_listed_again_however_it_is_found() {
    let mut story = Story::following();
    story.hear(Kind::News, 20);
    story.step(Input::Failed("cut".to_owned()));
    story.after_pausing();
    story.step(Input::Opened);
    assert_eq!(story.hear(Kind::Created, 5), Effect::CloseStream);
    assert_eq!(story.wants(), Want::List);
    story.listed(5);
    assert_eq!(story.told(), [snapshot(5)]);
    assert_eq!(story.wants(), Want::Open(Revision(5)));
}

#[test]
fn a_failed_listing_is_repeated_even_when_something_is_known() {
    let mut story = Story::following();
    story.hear(Kind::Compacted, 0);
    story.step(Input::Failed("cut".to_owned()));
    assert_eq!(story.after_pausing(), Want::List);
}

#[test]
fn a_canceled_watch_is_opened_again_elsewhere() {
    let mut story = Story::following();
    let effect = story.hear(Kind::Canceled("no leader".to_owned()), 11);
    assert_eq!(effect, Effect::NextMember);
    assert_eq!(story.told(), [Change::Silent { reason: "no leader".to_owned() }]);
}

#[test]
fn a_renewed_identity_is_no_failure_and_loses_nothing() {
    let mut story = Story::following();
    assert_eq!(story.step(Input::Renewed), Effect::Reconnect);
    assert_eq!((story.told(), story.wants()), (vec![], Want::Open(Revision(10))));
}

#[test]
fn listings_come_in_a_burst_and_then_one_at_a_time() {
    let mut story = Story::new();
    let begun = story.now;
    let mut listings = 0;
    while story.now < begun + Duration::from_secs(60) {
        if story.after_pausing() == Want::List {
            listings += 1;
            story.listed(10);
        }
        story.step(Input::Opened);
        story.now += SECOND / 10;
        story.hear(Kind::Compacted, 0);
    }
    let steady = 60 / u32::try_from(RELIST_EVERY.as_secs()).unwrap();
    assert!((steady..=steady + RELIST_BURST + 1).contains(&listings), "{listings}");
}

#[test]
fn pauses_grow_to_a_bound_and_news_ends_the_growth() {
    let longest = |failures| (0..10_000).map(|dice| pause(failures, dice)).max().unwrap();
    let shortest = Duration::from_millis(PAUSE_MIN_MS);
    assert_eq!(longest(0), shortest);
    assert!(longest(3) > longest(1));
    assert_eq!(longest(u32::MAX), Duration::from_millis(PAUSE_MAX_MS));
    assert!((0..10_000).all(|dice| pause(9, dice) >= shortest));

    let mut story = Story::following();
    for _ in 0..5 {
        story.step(Input::Failed("cut".to_owned()));
    }
    assert_eq!(story.machine.failures, 5);
    story.after_pausing();
    story.step(Input::Opened);
    story.hear(Kind::Created, 10);
    assert_eq!(story.machine.failures, 5, "being set up proves little");
    story.hear(Kind::News, 10);
    assert_eq!(story.machine.failures, 0);
}
