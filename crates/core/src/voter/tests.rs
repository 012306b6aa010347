//! The life of a vote as small stories. Time is a number that the stories move.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

use super::falls::{FLAP_FORGIVEN_MS, FLAP_MAX};
use super::suspicion::SUSPICION_MAX_MS;
use super::*;

/// A voter and its clock.
struct Story {
    voter: Voter,
    now_ms: u64,
}

impl Story {
    /// An endpoint that was seen to work, at second 100.
    fn of_a_healthy_endpoint() -> Self {
        let mut story = Self { voter: Voter::new(Generation::Allowed), now_ms: 100_000 };
        story.succeeds(Level::Generate);
        assert_eq!(story.vote(), Vote::Up);
        story
    }

    fn of_a_dead_endpoint() -> Self {
        let mut story = Self::of_a_healthy_endpoint();
        for _ in 0..3 {
            story.fails(FailureKind::Connect);
        }
        story.after(10_000);
        assert_eq!(story.vote(), Vote::Down);
        story
    }

    /// As soon as the back-off is over, everything works.
    fn of_a_recovering_endpoint() -> Self {
        let mut story = Self::of_a_dead_endpoint();
        story.recover();
        story
    }

    fn recover(&mut self) {
        self.succeeds(Level::List);
        let steady_ms = self.now_ms + self.voter.falls.steady_ms();
        self.now_ms = self.voter.back_off_until_ms().unwrap().max(steady_ms);
        self.succeeds(Level::List);
        self.succeeds(Level::List);
        self.succeeds(Level::Generate);
        assert_eq!(self.vote(), Vote::Recovering);
    }

    fn finish_the_ramp(&mut self) {
        for _ in RAMP_PERMILLE {
            self.now_ms += STAGE_MS;
            for _ in 0..STAGE_SUCCESSES {
                self.succeeds(Level::List);
            }
        }
    }

    fn tell(&mut self, event: Event) -> Actions {
        self.voter.step(event, self.now_ms)
    }

    fn succeeds(&mut self, level: Level) -> Actions {
        self.tell(Event::Probed { level, failure: None })
    }

    fn fails(&mut self, kind: FailureKind) -> Actions {
        self.fails_at(Level::List, kind)
    }

    fn fails_at(&mut self, level: Level, kind: FailureKind) -> Actions {
        self.tell(Event::Probed { level, failure: Some(kind) })
    }

    fn traffic(&mut self, ok: u32, health: u32, consecutive_health: u32) -> Actions {
        self.traffic_of("r1", ok, health, consecutive_health)
    }

    fn traffic_of(
        &mut self,
        router: &str,
        ok: u32,
        health: u32,
        consecutive_health: u32,
    ) -> Actions {
        let counts = Counts { ok, health, ..Counts::default() };
        self.tells(router, counts, consecutive_health)
    }

    fn tells(&mut self, router: &str, counts: Counts, consecutive_health: u32) -> Actions {
        let router = RouterId::new(router);
        self.tell(Event::Traffic { router, counts, consecutive_health })
    }

    fn after(&mut self, ms: u64) -> Actions {
        self.now_ms += ms;
        self.tell(Event::Tick)
    }

    fn vote(&self) -> Vote {
        self.voter.vote()
    }
}

#[test]
fn nothing_seen_is_nothing_known() {
    assert_eq!(Voter::new(Generation::Allowed).vote(), Vote::Unknown);
}

#[test]
fn the_first_failure_is_a_suspicion_to_look_into_at_once() {
    let mut story = Story::of_a_healthy_endpoint();
    let actions = story.fails(FailureKind::Connect);
    assert_eq!(story.vote(), Vote::Suspect);
    assert!(actions.vote_changed && actions.look_now);
}

#[test]
fn two_successes_clear_a_suspicion() {
    let mut story = Story::of_a_healthy_endpoint();
    story.fails(FailureKind::Connect);
    story.succeeds(Level::List);
    assert_eq!(story.vote(), Vote::Suspect);
    story.succeeds(Level::List);
    assert_eq!(story.vote(), Vote::Up);
}

#[test]
fn a_list_of_models_does_not_clear_a_generation_that_fails() {
    let mut story = Story::of_a_healthy_endpoint();
    for _ in 0..3 {
        story.fails_at(Level::Generate, FailureKind::Stall);
        story.succeeds(Level::List);
        story.succeeds(Level::List);
    }
    assert_eq!(story.vote(), Vote::Suspect);
    story.after(10_000);
    assert_eq!(story.vote(), Vote::Down);
}

#[test]
fn alone_it_takes_ten_seconds_and_three_failures() {
    let mut story = Story::of_a_healthy_endpoint();
    story.fails(FailureKind::Connect);
    story.fails(FailureKind::Connect);
    story.after(10_000);
    assert_eq!(story.vote(), Vote::Suspect, "two are not enough");
    story.fails(FailureKind::Connect);
    assert_eq!(story.vote(), Vote::Down);

    let mut story = Story::of_a_healthy_endpoint();
    for _ in 0..3 {
        story.fails(FailureKind::Connect);
    }
    story.after(9_999);
    assert_eq!(story.vote(), Vote::Suspect, "nor is a shorter time");
    assert!(story.after(1).vote_changed);
    assert_eq!(story.vote(), Vote::Down);
}

#[test]
fn the_more_suspect_the_sooner() {
    let wait = |suspecting, observers| {
        let mut story = Story::of_a_healthy_endpoint();
        story.tell(Event::Peers { suspecting, observers });
        for _ in 0..3 {
            story.fails(FailureKind::Connect);
        }
        story.voter.suspicion_ms()
    };
    assert_eq!([0, 1, 2, 3, 4].map(|c| wait(c, 5)), [10_000, 6_124, 3_857, 2_248, 1_000]);
    assert_eq!([wait(0, 1), wait(1, 2), wait(2, 3)], [10_000, 1_000, 1_000]);
    assert_eq!(wait(99, 5), 1_000, "more than there are changes nothing");
}

#[test]
fn others_suspecting_is_a_reason_to_look_and_none_to_vote() {
    let mut story = Story::of_a_healthy_endpoint();
    let actions = story.tell(Event::Peers { suspecting: 1, observers: 3 });
    assert!(actions.look_now && !actions.vote_changed);
    let actions = story.tell(Event::Peers { suspecting: 2, observers: 3 });
    assert!(!actions.look_now, "it is looking already");
    assert_eq!(story.vote(), Vote::Up);
}

#[test]
fn live_calls_that_work_forbid_a_verdict_from_probes() {
    let mut story = Story::of_a_healthy_endpoint();
    for _ in 0..5 {
        story.fails(FailureKind::Connect);
    }
    story.traffic(18, 2, 0);
    story.after(9_999);
    story.traffic(18, 2, 0);
    for _ in 0..5 {
        story.fails(FailureKind::Connect);
    }
    story.after(1);
    assert_ne!(story.vote(), Vote::Down);
    story.after(30_000);
    for _ in 0..3 {
        story.fails(FailureKind::Connect);
    }
    story.after(10_000);
    assert_eq!(story.vote(), Vote::Down, "and once they stop, they no longer do");
}

#[test]
fn the_veto_holds_between_two_batches_of_live_calls() {
    let mut story = Story::of_a_healthy_endpoint();
    story.tell(Event::Peers { suspecting: 2, observers: 3 });
    story.traffic(20, 0, 0);
    for _ in 0..3 {
        story.fails(FailureKind::Connect);
    }
    story.after(1_000);
    assert_eq!(story.vote(), Vote::Suspect);
    story.after(20_000);
    assert_eq!(story.vote(), Vote::Down);
}

#[test]
fn live_calls_of_one_router_make_a_suspicion_that_probes_confirm() {
    let mut story = Story::of_a_healthy_endpoint();
    let actions = story.traffic(0, 3, 3);
    assert_eq!(story.vote(), Vote::Suspect);
    assert!(actions.look_now && actions.look_free);
    story.after(10_000);
    story.traffic(0, 30, 33);
    assert_eq!(story.vote(), Vote::Suspect, "however many it tells of");
    story.fails(FailureKind::Connect);
    assert_eq!(story.vote(), Vote::Down);
    assert!(story.voter.evidence(story.now_ms).passive);
}

#[test]
fn a_suspicion_of_routers_ends_when_their_calls_work_again() {
    let mut story = Story::of_a_healthy_endpoint();
    story.traffic(0, 3, 3);
    assert_eq!(story.vote(), Vote::Suspect);
    story.traffic(1, 0, 0);
    assert_eq!(story.vote(), Vote::Up);
    story.traffic(0, 3, 3);
    story.after(20_000);
    assert_eq!(story.vote(), Vote::Up, "or when they tell no more, and no probe fails");
}

#[test]
fn live_calls_of_three_routers_convict_without_a_probe() {
    let mut story = Story::of_a_healthy_endpoint();
    story.tell(Event::Routers(3));
    story.traffic_of("r1", 0, 3, 3);
    assert_eq!(story.vote(), Vote::Up, "one of three is no more than a third");
    story.traffic_of("r2", 0, 3, 3);
    assert_eq!(story.vote(), Vote::Suspect);
    story.after(10_000);
    assert_eq!(story.vote(), Vote::Suspect, "two are not yet three failures of a third each");
    story.traffic_of("r3", 0, 3, 3);
    assert_eq!(story.vote(), Vote::Down);
    assert!(story.voter.evidence(story.now_ms).passive);
}

#[test]
fn good_calls_before_a_row_of_failures_defend_nothing() {
    let mut story = Story::of_a_healthy_endpoint();
    let routers = ["r1", "r2", "r3"];
    story.tell(Event::Routers(3));
    routers.iter().for_each(|router| _ = story.traffic_of(router, 500, 0, 0));
    routers.iter().for_each(|router| _ = story.traffic_of(router, 0, 1, 1));
    assert_eq!(story.vote(), Vote::Up, "one failure each among hundreds is no news");
    routers.iter().for_each(|router| _ = story.traffic_of(router, 0, 4, 5));
    assert_eq!(story.vote(), Vote::Suspect);
    story.after(10_000);
    assert_eq!(story.vote(), Vote::Down);
}

#[test]
fn good_calls_do_not_defend_what_probes_and_the_last_calls_find_dead() {
    let routers = ["r1", "r2", "r3"];
    for last_calls_fail in [false, true] {
        let mut story = Story::of_a_healthy_endpoint();
        story.tell(Event::Routers(3));
        story.tell(Event::Peers { suspecting: 2, observers: 3 });
        routers.iter().for_each(|router| _ = story.traffic_of(router, 500, 0, 0));
        if last_calls_fail {
            routers.iter().for_each(|router| _ = story.traffic_of(router, 0, 1, 1));
        }
        (0..3).for_each(|_| _ = story.fails(FailureKind::Connect));
        story.after(1_000);
        let vote = if last_calls_fail { Vote::Down } else { Vote::Suspect };
        assert_eq!(story.vote(), vote);
    }
}

#[test]
fn calls_that_work_are_no_part_of_finding_it_down_and_calls_that_fail_are() {
    let routers = ["r1", "r2", "r3"];
    for calls_fail in [false, true] {
        let mut story = Story::of_a_healthy_endpoint();
        story.tell(Event::Routers(3));
        story.tell(Event::Peers { suspecting: 2, observers: 3 });
        if calls_fail {
            routers.iter().for_each(|router| _ = story.traffic_of(router, 0, 1, 1));
        }
        (0..3).for_each(|_| _ = story.fails(FailureKind::Connect));
        story.after(1_000);
        assert_eq!(story.vote(), Vote::Down);
        routers.iter().for_each(|router| _ = story.traffic_of(router, 500, 0, 0));
        assert_eq!(story.voter.evidence(story.now_ms).passive, calls_fail);
    }
}

#[test]
fn a_router_that_begins_to_fail_asks_for_a_look_and_not_again_and_again() {
    let mut story = Story::of_a_healthy_endpoint();
    story.tell(Event::Routers(3));
    assert!(story.traffic_of("r1", 0, 1, 1).look_free);
    story.traffic_of("r1", 1, 0, 0);
    assert!(!story.traffic_of("r1", 0, 1, 1).look_free, "so soon after the last look");
    story.after(2_000);
    assert!(!story.traffic_of("r1", 0, 1, 2).look_free, "it has not begun now");
    story.traffic_of("r1", 1, 0, 0);
    assert!(story.traffic_of("r1", 0, 1, 1).look_free);
    let refused = Counts { config: 1, ..Counts::default() };
    assert!(!story.tells("r2", refused, 0).look_free, "so soon after the last look");
    story.after(2_000);
    assert!(story.tells("r3", refused, 0).look_free);
}

#[test]
fn one_router_that_is_refused_proves_nothing_until_a_probe_is() {
    let mut story = Story::of_a_healthy_endpoint();
    let refused = Counts { config: 9, ..Counts::default() };
    story.tells("r1", refused, 0);
    assert_eq!(story.vote(), Vote::Up);
    story.fails_at(Level::List, FailureKind::CredentialRefused);
    story.fails_at(Level::List, FailureKind::CredentialRefused);
    assert_eq!(story.vote(), Vote::Config);
    for router in ["r1", "r2", "r3"] {
        story.traffic_of(router, 9, 0, 0);
    }
    assert_eq!(story.vote(), Vote::Config, "our own credential is refused still");
    story.succeeds(Level::List);
    assert_eq!(story.vote(), Vote::Up);
    for router in ["r1", "r2", "r3"] {
        story.tells(router, refused, 0);
    }
    assert_eq!(story.vote(), Vote::Config);
}

#[test]
fn good_live_calls_are_those_of_half_a_minute_and_none_while_routers_see_failures() {
    let mut story = Story::of_a_healthy_endpoint();
    story.traffic(20, 0, 0);
    story.after(29_999);
    assert_eq!(story.voter.good_live_calls(story.now_ms), 20);
    story.after(10_001);
    assert_eq!(story.voter.good_live_calls(story.now_ms), 0);
    story.traffic(20, 0, 0);
    story.traffic(0, 1, 1);
    assert_eq!(story.voter.good_live_calls(story.now_ms), 0);
    story.traffic(1, 0, 0);
    assert_eq!(story.voter.good_live_calls(story.now_ms), 21);
}

#[test]
fn a_rare_failure_among_many_live_calls_is_no_suspicion() {
    let mut story = Story::of_a_healthy_endpoint();
    story.traffic(99, 1, 1);
    assert_eq!(story.vote(), Vote::Up);
}

#[test]
fn degraded_below_95_percent_and_up_again_from_97() {
    let mut story = Story::of_a_healthy_endpoint();
    story.traffic(180, 19, 0);
    story.after(10_000);
    assert_eq!(story.vote(), Vote::Up, "not on the word of one router");
    let mut story = Story::of_a_healthy_endpoint();
    story.fails_at(Level::Generate, FailureKind::ServerError);
    story.succeeds(Level::Generate);
    story.succeeds(Level::Generate);
    story.traffic(180, 19, 0);
    assert_eq!(story.vote(), Vote::Up, "not before ten seconds in a state");
    story.after(10_000);
    assert_eq!(story.vote(), Vote::Degraded);
    story.traffic(300, 0, 0);
    assert_eq!(story.vote(), Vote::Degraded, "96 % is between the two");
    story.traffic(300, 0, 0);
    assert_eq!(story.vote(), Vote::Degraded);
    story.after(10_000);
    assert_eq!(story.vote(), Vote::Up);
}

#[test]
fn a_rate_limit_is_capacity_and_an_overload_half_a_failure() {
    let mut story = Story::of_a_healthy_endpoint();
    for _ in 0..20 {
        story.fails(FailureKind::RateLimited);
    }
    for _ in 0..20 {
        story.fails(FailureKind::Overloaded);
    }
    assert_eq!(story.vote(), Vote::Up);
    let counts = story.voter.counts(story.now_ms);
    assert_eq!((counts.rate_limited, counts.overloaded, counts.health), (20, 20, 0));
}

#[test]
fn mistakes_of_ours_are_not_held_against_it() {
    let mut story = Story::of_a_healthy_endpoint();
    for kind in [FailureKind::Local, FailureKind::BadRequest, FailureKind::ContentFilter] {
        for _ in 0..9 {
            story.fails(kind);
        }
    }
    story.after(10_000);
    assert_eq!(story.vote(), Vote::Up);
}

#[test]
fn two_refusals_in_a_row_are_a_matter_of_configuration() {
    let mut story = Story::of_a_healthy_endpoint();
    story.fails_at(Level::Generate, FailureKind::ModelMissing);
    story.succeeds(Level::List);
    assert_eq!(story.vote(), Vote::Up);
    story.fails_at(Level::Generate, FailureKind::ModelMissing);
    assert_eq!(story.vote(), Vote::Config, "the list in between proves nothing about the model");
    story.succeeds(Level::List);
    assert_eq!(story.vote(), Vote::Config);
    story.succeeds(Level::Generate);
    assert_eq!(story.vote(), Vote::Up);
}

#[test]
fn who_refused_live_calls_and_may_not_be_asked_to_generate_gets_another_chance() {
    let mut story = Story::of_a_healthy_endpoint();
    story.tell(Event::Generation(Generation::Withheld));
    let counts = Counts { config: 2, ..Counts::default() };
    for router in ["r1", "r2", "r3"] {
        story.tells(router, counts, 0);
    }
    assert_eq!(story.vote(), Vote::Config);
    story.after(CONFIG_RETRY_MS - 1);
    story.succeeds(Level::List);
    assert_eq!(story.vote(), Vote::Config);
    story.after(1);
    story.succeeds(Level::List);
    assert_eq!(story.vote(), Vote::Up);
}

#[test]
fn successes_before_the_back_off_ends_do_not_count() {
    let mut story = Story::of_a_dead_endpoint();
    story.succeeds(Level::List);
    story.succeeds(Level::List);
    story.succeeds(Level::Generate);
    assert_eq!(story.vote(), Vote::Down);
    story.recover();
}

#[test]
fn a_recovery_needs_two_lists_and_a_generation() {
    let mut story = Story::of_a_dead_endpoint();
    story.now_ms = story.voter.back_off_until_ms().unwrap();
    for _ in 0..9 {
        story.succeeds(Level::List);
    }
    assert_eq!(story.vote(), Vote::Down);
    story.tell(Event::Generation(Generation::Withheld));
    story.succeeds(Level::List);
    assert_eq!(story.vote(), Vote::Recovering, "where no generation may be asked for, lists do");
}

#[test]
fn what_finds_fault_with_the_probes_generations_recovers_by_lists() {
    let mut story = Story::of_a_dead_endpoint();
    story.now_ms = story.voter.back_off_until_ms().unwrap();
    story.succeeds(Level::List);
    story.succeeds(Level::List);
    story.tell(Event::Generation(Generation::Allowed));
    story.fails_at(Level::Generate, FailureKind::BadRequest);
    assert_eq!(story.vote(), Vote::Down, "a mistake of ours proves nothing by itself");
    story.succeeds(Level::List);
    assert_eq!(story.vote(), Vote::Recovering);
}

#[test]
fn a_recovery_goes_through_three_stages_of_five_seconds_and_three_successes() {
    let mut story = Story::of_a_recovering_endpoint();
    for permille in [100, 300, 600] {
        assert_eq!(story.voter.ramp_permille(), permille);
        story.after(5_000);
        assert_eq!(story.voter.ramp_permille(), permille, "time alone is not enough");
        for _ in 0..2 {
            story.succeeds(Level::List);
        }
        assert!(story.succeeds(Level::List).ramp_changed);
    }
    assert_eq!((story.vote(), story.voter.ramp_permille()), (Vote::Up, 1000));
}

#[test]
fn every_fall_that_follows_soon_is_waited_out_for_longer() {
    let mut story = Story::of_a_recovering_endpoint();
    let mut waits = Vec::new();
    for _ in 0..3 {
        story.fails(FailureKind::ServerError);
        assert_eq!(story.vote(), Vote::Down);
        waits.push((story.voter.back_off_until_ms().unwrap() - story.now_ms) / 1000);
        story.recover();
    }
    assert_eq!(waits, [20, 300, 300]);
    assert_eq!(story.voter.flap(), FLAP_MAX);
}

#[test]
fn what_was_up_again_and_falls_soon_has_flapped_too() {
    let mut story = Story::of_a_recovering_endpoint();
    story.finish_the_ramp();
    assert_eq!((story.vote(), story.voter.flap()), (Vote::Up, 0));
    for _ in 0..3 {
        story.fails(FailureKind::ServerError);
    }
    story.now_ms += 10_000;
    story.tell(Event::Tick);
    assert_eq!((story.vote(), story.voter.flap()), (Vote::Down, 1));
}

#[test]
fn what_fell_for_the_third_time_must_work_for_a_while_before_it_is_let_in() {
    let mut story = Story::of_a_recovering_endpoint();
    story.fails(FailureKind::ServerError);
    story.recover();
    story.fails(FailureKind::ServerError);
    story.now_ms = story.voter.back_off_until_ms().unwrap();
    story.fails(FailureKind::ServerError);
    let works = |story: &mut Story| {
        story.succeeds(Level::List);
        story.succeeds(Level::List);
        story.succeeds(Level::Generate);
        story.vote()
    };
    assert_eq!(works(&mut story), Vote::Down);
    story.now_ms += 89_999;
    assert_eq!(works(&mut story), Vote::Down);
    story.now_ms += 1;
    assert_eq!(works(&mut story), Vote::Recovering);
}

#[test]
fn flaps_are_forgiven_one_by_one() {
    let mut story = Story::of_a_recovering_endpoint();
    story.fails(FailureKind::ServerError);
    story.recover();
    story.finish_the_ramp();
    assert_eq!((story.vote(), story.voter.flap()), (Vote::Up, 1));
    story.now_ms += FLAP_FORGIVEN_MS;
    story.succeeds(Level::List);
    assert_eq!(story.voter.flap(), 0);
}

#[test]
fn who_doubts_itself_says_nothing_and_takes_the_blame() {
    let mut story = Story::of_a_healthy_endpoint();
    let mut own = LocalHealth::default();
    own.note(Sign::SelfTestFailed);
    assert!(story.tell(Event::Own(own)).vote_changed);
    assert_eq!(story.vote(), Vote::Unknown);
    for _ in 0..9 {
        story.fails(FailureKind::Connect);
    }
    own.note(Sign::SelfTestPassed);
    story.tell(Event::Own(own));
    assert_eq!(story.vote(), Vote::Up);
}

#[test]
fn a_prober_that_does_badly_waits_longer() {
    let mut story = Story::of_a_healthy_endpoint();
    let mut own = LocalHealth::default();
    own.note(Sign::Bad);
    story.tell(Event::Own(own));
    assert_eq!(story.voter.suspicion_ms(), 20_000);
}

#[test]
fn without_evidence_for_five_minutes_nothing_is_known() {
    let mut story = Story::of_a_dead_endpoint();
    story.after(EVIDENCE_MAX_AGE_MS);
    assert_eq!(story.vote(), Vote::Unknown);
}

fn level() -> impl Strategy<Value = Level> {
    select(vec![Level::Connect, Level::List, Level::Generate])
}

fn own() -> impl Strategy<Value = Event> {
    let sign = select(vec![Sign::Good, Sign::Bad, Sign::SelfTestPassed, Sign::SelfTestFailed]);
    vec(sign, 0..6).prop_map(|signs| {
        let mut own = LocalHealth::default();
        signs.into_iter().for_each(|sign| own.note(sign));
        Event::Own(own)
    })
}

fn probed() -> impl Strategy<Value = Event> {
    let failure = proptest::option::of(select(FailureKind::ALL.to_vec()));
    (level(), failure).prop_map(|(level, failure)| Event::Probed { level, failure })
}

fn anything() -> impl Strategy<Value = Event> {
    let traffic = any::<(u8, u8, u8, u8, u8)>().prop_map(|(ok, health, config, in_a_row, of)| {
        let [ok, health, config] = [ok, health, config].map(u32::from);
        let counts = Counts { ok, health, config, ..Counts::default() };
        let router = RouterId::new(["r1", "r2", "r3", "r4"][usize::from(of) % 4]);
        Event::Traffic { router, counts, consecutive_health: u32::from(in_a_row) }
    });
    let peers = any::<(u32, u32)>()
        .prop_map(|(suspecting, observers)| Event::Peers { suspecting, observers });
    let generation = select(vec![Generation::Allowed, Generation::Withheld]);
    prop_oneof![
        6 => probed(),
        2 => traffic,
        1 => peers,
        1 => own(),
        1 => generation.prop_map(Event::Generation),
        1 => (0..5u32).prop_map(Event::Routers),
        3 => Just(Event::Tick),
    ]
}

fn fixed_seed() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(20),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(fixed_seed())]

    #[test]
    fn whatever_happens_the_vote_keeps_its_rules(
        events in vec((anything(), 0..20_000u64), 1..200),
    ) {
        let mut story = Story { voter: Voter::new(Generation::Allowed), now_ms: 0 };
        for (event, wait_ms) in events {
            let before = story.voter.phase;
            story.now_ms += wait_ms;
            story.tell(event);
            let after = story.voter.phase;
            let ramping = matches!(after, Phase::Recovering { .. });
            prop_assert_eq!(story.voter.ramp_permille() < FULL_PERMILLE, ramping);
            prop_assert!(story.voter.flap() <= FLAP_MAX);
            prop_assert!(!story.voter.own.suspect() || story.vote() == Vote::Unknown);
            let fell = matches!(after, Phase::Down { .. }) && !matches!(before, Phase::Down { .. });
            prop_assert!(
                !fell || matches!(before, Phase::Suspect { .. } | Phase::Recovering { .. }),
                "{:?} -> {:?}", before, after
            );
            let rose = ramping && !matches!(before, Phase::Recovering { .. });
            let waited = matches!(before, Phase::Down { until_ms, .. } if story.now_ms >= until_ms);
            prop_assert!(!rose || waited, "{:?} -> {:?}", before, after);
        }
    }

    #[test]
    fn while_live_calls_work_no_probe_brings_an_endpoint_down(
        probes in vec((probed(), 0..2_000u64), 1..200),
    ) {
        let mut story = Story::of_a_healthy_endpoint();
        for (probe, wait_ms) in probes {
            story.now_ms += wait_ms;
            story.traffic(20, 0, 0);
            story.tell(probe);
            prop_assert_ne!(story.vote(), Vote::Down);
        }
    }

    /// Three routers, two of whom tell of calls that work: whatever the third claims changes no vote, and no
    /// number goes beyond what the honest say.
    #[test]
    fn one_router_of_three_cannot_accuse(
        lies in vec((lie(), 0..1_000u64), 1..200),
        honest in (20..200u32, 20..200u32),
    ) {
        let mut story = Story::of_a_healthy_endpoint();
        story.tell(Event::Routers(3));
        for (at, ((counts, in_a_row), wait_ms)) in lies.into_iter().enumerate() {
            story.now_ms += wait_ms;
            if at % 8 == 0 {
                story.succeeds(Level::List);
                story.traffic_of("honest1", honest.0, honest.0 / 100, 0);
                story.traffic_of("honest2", honest.1, 0, 0);
            }
            story.tells("liar", counts, in_a_row);
            prop_assert_eq!(story.vote(), Vote::Up);
            let (all, ok) = story.voter.counts(story.now_ms).judged_halves();
            prop_assert!(ok * 1000 >= all * 980, "{} of {}", ok, all);
            prop_assert_eq!(story.voter.recent_refusals(story.now_ms).1, 0);
        }
    }

    /// An endpoint that fails for probes and for two routers goes down, and stays down, whatever the third says.
    #[test]
    fn one_router_of_three_cannot_defend(
        lies in vec((lie(), 100..1_000u64), 60..100),
        failing_calls in 1..50u32,
    ) {
        let mut story = Story::of_a_healthy_endpoint();
        story.tell(Event::Routers(3));
        let began = story.now_ms;
        for (at, ((counts, in_a_row), wait_ms)) in lies.into_iter().enumerate() {
            story.now_ms += wait_ms;
            let row = failing_calls * (at as u32 + 1);
            story.traffic_of("honest1", 0, failing_calls, row);
            story.fails(FailureKind::Connect);
            story.traffic_of("honest2", 0, failing_calls, row);
            story.tells("liar", counts, in_a_row);
            let long = story.now_ms >= began + SUSPICION_MAX_MS + 1_000;
            prop_assert!(!long || story.vote() == Vote::Down, "{:?}", story.vote());
        }
    }

    /// No probe, and fewer routers than three: at most a suspicion.
    #[test]
    fn live_calls_of_fewer_than_three_routers_alone_make_at_most_a_suspicion(
        told in vec((lie(), select(vec!["r1", "r2"]), 0..3_000u64), 1..200),
        routers in 0..4u32,
    ) {
        let mut story = Story::of_a_healthy_endpoint();
        story.tell(Event::Routers(routers));
        for ((counts, in_a_row), router, wait_ms) in told {
            story.now_ms += wait_ms;
            story.tells(router, counts, in_a_row);
            prop_assert!(matches!(story.vote(), Vote::Up | Vote::Suspect), "{:?}", story.vote());
        }
    }
}

/// Any claim about calls, and about how many failed in a row.
fn lie() -> impl Strategy<Value = (Counts, u32)> {
    let claims = any::<(u32, u32, u32, u32, u32)>();
    let claims = (claims, any::<[bool; 5]>(), any::<u32>(), any::<bool>());
    claims.prop_map(|((ok, health, rate_limited, overloaded, config), keep, row, failing)| {
        let [ok, health, rate_limited, overloaded, config] =
            [(ok, 0), (health, 1), (rate_limited, 2), (overloaded, 3), (config, 4)]
                .map(|(claim, at): (u32, usize)| if keep[at] { claim } else { 0 });
        let counts = Counts { ok, health, rate_limited, overloaded, config, ..Counts::default() };
        (counts, if failing { row } else { 0 })
    })
}
