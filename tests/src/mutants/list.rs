//! The list. A seeded bug names a passage that occurs once in its file, so that a change nearby does not matter
//! and a change of the passage itself is noticed (`tests/mutants.rs`).

/// One seeded bug.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its name on the command line.
    pub name: &'static str,
    /// The file, from the root of the project.
    pub file: &'static str,
    /// What stands there.
    pub right: &'static str,
    /// What stands there instead.
    pub wrong: &'static str,
    /// The tests that must fail.
    pub tests: Tests,
}

/// Some tests: `cargo test --package … --lib|--test … -- filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tests {
    /// The package.
    pub package: &'static str,
    /// An integration test; the unit tests when there is none.
    pub target: Option<&'static str>,
    /// A part of the names of the tests to run.
    pub filter: &'static str,
}

const fn core(filter: &'static str) -> Tests {
    Tests { package: "trunkline-core", target: None, filter }
}

const fn consensus(filter: &'static str) -> Tests {
    Tests { package: "trunkline-core", target: Some("consensus"), filter }
}

const fn machine(filter: &'static str) -> Tests {
    Tests { package: "trunkline-store", target: None, filter }
}

const fn prober(filter: &'static str) -> Tests {
    Tests { package: "health-prober", target: None, filter }
}

const DECIDE: &str = "crates/core/src/assess/decide.rs";
const TALLY: &str = "crates/core/src/assess/tally.rs";
const LIMIT: &str = "crates/core/src/assess/limit.rs";
const WEIGH: &str = "crates/core/src/assess/weigh.rs";
const BREAKER: &str = "crates/core/src/breaker.rs";
const PLAN: &str = "crates/core/src/plan.rs";
const MACHINE: &str = "crates/store/src/etcd/machine.rs";
const PURSE: &str = "health-prober/src/purse.rs";

/// All seeded bugs, those of one package together, because each change of a package costs a build.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "weighted-median",
        file: DECIDE,
        right: "lower_median(observations().map(|o| success_permille(&o.counts)))",
        wrong: "Some(success_permille(&observations().fold(Default::default(), |sum, o| o.counts.plus(&sum))))",
        tests: consensus("liars"),
    },
    Mutant {
        name: "upper-median",
        file: "crates/core/src/score.rs",
        right: "few.get(count.checked_sub(1)? / 2)",
        wrong: "few.get(count / 2)",
        tests: core("the_median_is_the_lower_one"),
    },
    Mutant {
        name: "who-measured-decides-alone",
        file: DECIDE,
        right: "lower_median(observations().map(|o| pick(&o.latency))).flatten()",
        wrong: "lower_median(observations().filter_map(|o| pick(&o.latency)))",
        tests: consensus("liars"),
    },
    Mutant {
        name: "who-tells-of-a-limit-decides-alone",
        file: DECIDE,
        right: "lower_median(told().map(|left| left.unwrap_or(NO_LIMIT_PERMILLE)))",
        wrong: "lower_median(told().flatten())",
        tests: consensus("liars"),
    },
    Mutant {
        name: "quorum-off-by-one",
        file: DECIDE,
        right: "let ejecting_quorum = heard.assigned / 2 + 1;",
        wrong: "let ejecting_quorum = heard.assigned / 2;",
        tests: consensus("liars"),
    },
    Mutant {
        name: "quorum-of-the-heard",
        file: DECIDE,
        right: "let ejecting_quorum = heard.assigned / 2 + 1;",
        wrong: "let ejecting_quorum = heard.voices / 2 + 1;",
        tests: consensus("ejects"),
    },
    Mutant {
        name: "one-zone-ejects",
        file: DECIDE,
        right: "down.len() >= all.len().min(2)",
        wrong: "!down.is_empty() || all.is_empty()",
        tests: core("zone"),
    },
    Mutant {
        name: "a-former-life-counts",
        file: TALLY,
        right: "m.info.incarnation == observation.incarnation",
        wrong: "m.info.incarnation >= observation.incarnation.min(1)",
        tests: core("former_life"),
    },
    Mutant {
        name: "strangers-count",
        file: TALLY,
        right: "observers.contains(at) && !distrusted.contains(at)",
        wrong: "!distrusted.contains(at)",
        tests: core("assigned"),
    },
    Mutant {
        name: "the-sick-are-trusted",
        file: TALLY,
        right: "member.info.self_suspect || *share >= DISTRUST_FROM_PERMILLE",
        wrong: "*share >= DISTRUST_FROM_PERMILLE",
        tests: core("suspects_itself"),
    },
    Mutant {
        name: "who-sees-all-down-is-trusted",
        file: TALLY,
        right: "member.info.self_suspect || *share >= DISTRUST_FROM_PERMILLE",
        wrong: "member.info.self_suspect || *share > 2 * DISTRUST_FROM_PERMILLE",
        tests: core("everything_down_alone"),
    },
    Mutant {
        name: "liars-confirm-nothing-and-the-honest-must",
        file: TALLY,
        right: ".saturating_sub(1) / 2",
        wrong: ".saturating_sub(1)",
        tests: core("half_of_the_providers"),
    },
    Mutant {
        name: "the-only-one-is-ejected",
        file: LIMIT,
        right: "let most = if all <= 1 { 0 } else { all / 2 };",
        wrong: "let most = all.div_ceil(2);",
        tests: consensus("never_the_only_one"),
    },
    Mutant {
        name: "no-disruption",
        file: LIMIT,
        right: "    if disruption {\n",
        wrong: "    if disruption && drafts.is_empty() {\n",
        tests: core("disruption"),
    },
    Mutant {
        name: "a-drain-keeps-its-weight",
        file: "crates/core/src/assess.rs",
        right: "!self.drained && self.operator_weight > 0 && self.verdict.usable()",
        wrong: "self.operator_weight > 0 && self.verdict.usable()",
        tests: consensus("drained"),
    },
    Mutant {
        name: "floats",
        file: WEIGH,
        right: "Weight((product >> (16 * factors.len() - 16)) as u32)",
        wrong: "Weight((product as f64 / 2f64.powi(16 * factors.len() as i32 - 16)).round() as u32)",
        tests: consensus("digests"),
    },
    Mutant {
        name: "no-floor",
        file: WEIGH,
        right: "product(row).max(floor)",
        wrong: "product(row).max(floor.min(Weight::ZERO))",
        tests: core("a_hundredth"),
    },
    Mutant {
        name: "in-flight-and-one",
        file: "crates/core/src/draw.rs",
        right: "u128::from(b.load_milli) * u128::from(a.weight)\n        < u128::from(a.load_milli) * u128::from(b.weight)",
        wrong: "u128::from(b.load_milli + 1000) * u128::from(a.weight)\n        < u128::from(a.load_milli + 1000) * u128::from(b.weight)",
        tests: core("in_proportion_to_weight"),
    },
    Mutant {
        name: "trial-behind-others",
        file: PLAN,
        right: "(true, Admission::Admitted | Admission::Trial) => Some(Rank::Admitted),",
        wrong: "(true, Admission::Admitted) => Some(Rank::Admitted),\n\
            (true, Admission::Trial) => Some(Rank::LocallyGood),",
        tests: core("a_due_trial"),
    },
    Mutant {
        name: "no-ghost",
        file: BREAKER,
        right: "saturating_add(GHOST_PER_FAILURE_MILLI)",
        wrong: "saturating_add(GHOST_PER_FAILURE_MILLI / GHOST_MAX_MILLI)",
        tests: core("ghosts"),
    },
    Mutant {
        name: "breaker-off-by-one",
        file: BREAKER,
        right: "self.consecutive >= CONSECUTIVE_LIMIT",
        wrong: "self.consecutive > CONSECUTIVE_LIMIT",
        tests: core("the_fifth_failure"),
    },
    Mutant {
        name: "a-rate-limit-is-illness",
        file: "crates/core/src/failure.rs",
        right: "Self::RateLimited => (N::OtherEndpoint, P::Capacity, true)",
        wrong: "Self::RateLimited => (N::OtherEndpoint, P::Health, true)",
        tests: core("rate_limit"),
    },
    Mutant {
        name: "no-veto",
        file: "crates/core/src/voter/case.rs",
        right: "all >= 2 * VETO_CALLS && ok * 100 >= all * VETO_PERCENT",
        wrong: "all >= 2 * VETO_CALLS && ok * 100 > all * 100 * VETO_PERCENT",
        tests: core("voter"),
    },
    Mutant {
        name: "down-at-the-first-failure",
        file: "crates/core/src/voter/case.rs",
        right: "const CONVICTING_CHAIN: u32 = 3;",
        wrong: "const CONVICTING_CHAIN: u32 = 1;",
        tests: core("voter"),
    },
    Mutant {
        name: "flaps-cost-nothing",
        file: "crates/core/src/voter/falls.rs",
        right: "self.flap = (self.flap + 1).min(FLAP_MAX);",
        wrong: "self.flap = self.flap.min(FLAP_MAX);",
        tests: core("every_fall_that_follows_soon"),
    },
    Mutant {
        name: "revision-advanced-on-a-timeout",
        file: MACHINE,
        right: "                self.fail(\"no sign of life\".to_owned(), now, dice)",
        wrong: "                if let Some(known) = &mut self.known { known.revision = known.revision.next(); }\n                self.fail(\"no sign of life\".to_owned(), now, dice)",
        tests: machine("moves_nothing"),
    },
    Mutant {
        name: "resume-after-the-header",
        file: MACHINE,
        right: "        let mut batch: Vec<Event> = Vec::new();\n",
        wrong: "        let header = message.revision;\n        let mut batch: Vec<Event> = Vec::new();\n        if !message.events.is_empty() { self.known = Some(Known { revision: header, ..known }); self.told.clear(); return; }\n",
        tests: machine("after_the_last_event"),
    },
    Mutant {
        name: "a-store-that-went-back-is-followed",
        file: MACHINE,
        right: "message.cluster != known.cluster || message.revision < known.revision",
        wrong: "message.cluster != known.cluster",
        tests: machine("from_the_future"),
    },
    Mutant {
        name: "probes-on-credit",
        file: PURSE,
        right: "cost <= self.balance",
        wrong: "cost <= self.balance + self.daily",
        tests: prober("purse"),
    },
    Mutant {
        name: "savings-come-on-top",
        file: PURSE,
        right: "u128::from(self.daily.0 - self.most().0)",
        wrong: "u128::from(self.daily.0)",
        tests: prober("purse"),
    },
    Mutant {
        name: "zombies-write",
        file: "health-prober/src/publish.rs",
        right: "Txn::new().when(&self.key, created)",
        wrong: "Txn::new().when(&format!(\"{}-\", self.key), Condition::Absent).when(&self.key, match created { Condition::CreatedAt(_) => Condition::Present, other => other })",
        tests: Tests { package: "health-prober", target: Some("outage"), filter: "cannot_write" },
    },
];
