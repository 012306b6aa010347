//! Picks the fault of a request: from the rules that were set, the model's name, and the profile.
//! Deterministic: the same requests in the same order meet the same faults.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, header};
use tokio::time::Instant;

use crate::draw::{draw, permille};
use crate::fault::{Fault, FaultRule};
use crate::fault_name::{Named, fault_of_model};
use crate::profile::Profile;
use crate::refusal::{RETRY_AFTER_MS, Refusal};

/// Rules at the same time; the oldest goes when one more is set.
const RULES_MAX: usize = 256;
/// Models with a rate limit of their own at the same time.
const BUCKETS_MAX: usize = 1024;

/// What a request meets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// The fault to carry out.
    pub fault: Option<Fault>,
    /// The error to answer with, whatever was asked.
    pub refusal: Option<Refusal>,
    /// Headers for the answer, such as the state of a rate limit.
    pub headers: Vec<(HeaderName, String)>,
}

/// The rules that are set, newest first in effect.
#[derive(Default)]
pub struct Rules {
    rules: Vec<Set>,
    by_model: BTreeMap<String, Bucket>,
    requests: u64,
}

struct Set {
    rule: FaultRule,
    /// Requests that matched, hit or not.
    matched: u64,
    hits: u64,
    bucket: Option<Bucket>,
}

impl Rules {
    /// Adds a rule; it is asked before the older ones.
    pub fn set(&mut self, rule: FaultRule) {
        if self.rules.len() == RULES_MAX {
            self.rules.remove(0);
        }
        self.rules.push(Set { rule, matched: 0, hits: 0, bucket: None });
    }

    /// Removes all rules and forgets all rate limits.
    pub fn clear(&mut self) {
        self.rules.clear();
        self.by_model.clear();
    }

    /// The rules that are set, oldest first.
    #[must_use]
    pub fn listed(&self) -> Vec<FaultRule> {
        self.rules.iter().map(|set| set.rule.clone()).collect()
    }

    /// What a request for this model meets: the newest rule that hits, else the fault in the model's
    /// name, else the profile's share of errors.
    pub fn meet(&mut self, model: &str, profile: &Profile, now: Instant) -> Met {
        self.requests += 1;
        if let Some(set) = self.rules.iter_mut().rev().find_map(|set| set.hit(model).then_some(set))
        {
            let fault = set.rule.fault.clone();
            return meet_fault(fault, &mut set.bucket, now);
        }
        match fault_of_model(model) {
            Named::Faulty(fault @ Fault::RateLimit { .. }) => self.meet_limit(model, fault, now),
            Named::Faulty(fault) => meet_fault(fault, &mut None, now),
            Named::Unknown => Met { refusal: Some(Refusal::no_model(model)), ..Met::default() },
            Named::Healthy
                if permille(profile.jitter_seed, self.requests) < profile.error_permille =>
            {
                meet_fault(Fault::status(500), &mut None, now)
            }
            Named::Healthy => Met::default(),
        }
    }

    fn meet_limit(&mut self, model: &str, fault: Fault, now: Instant) -> Met {
        let mut bucket = self.by_model.remove(model);
        let met = meet_fault(fault, &mut bucket, now);
        if self.by_model.len() >= BUCKETS_MAX {
            self.by_model.pop_first();
        }
        self.by_model.extend(bucket.map(|bucket| (model.to_owned(), bucket)));
        met
    }
}

impl Set {
    fn hit(&mut self, model: &str) -> bool {
        let rule = &self.rule;
        if rule.model.as_deref().is_some_and(|only| only != model) {
            return false;
        }
        if rule.count.is_some_and(|count| self.hits >= count) {
            return false;
        }
        self.matched += 1;
        let drawn = draw(rule.seed, self.matched) >> 11;
        // 53 random bits: exactly what the mantissa of a double holds.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let share = drawn as f64 / (1_u64 << 53) as f64;
        let hit = rule.probability.is_none_or(|probability| share < probability);
        self.hits += u64::from(hit);
        hit
    }
}

fn meet_fault(fault: Fault, bucket: &mut Option<Bucket>, now: Instant) -> Met {
    let Fault::RateLimit { requests, window_ms } = fault else {
        return Met { fault: Some(fault), ..Met::default() };
    };
    let window = Duration::from_millis(window_ms.max(1));
    let bucket = bucket.get_or_insert_with(|| Bucket::full(requests, now));
    let verdict = bucket.take(requests, window, now);
    let headers = verdict.headers(requests);
    match verdict.retry_after {
        None => Met { headers, ..Met::default() },
        Some(delay) => Met {
            refusal: Some(
                Refusal::of_status(429)
                    .with_header(header::RETRY_AFTER, delay.as_secs_f64().ceil().to_string())
                    .with_header(RETRY_AFTER_MS, delay.as_millis().to_string()),
            ),
            fault: Some(fault),
            headers,
        },
    }
}

/// A token bucket that fills evenly.
struct Bucket {
    level: f64,
    at: Instant,
}

struct Verdict {
    retry_after: Option<Duration>,
    remaining: f64,
    full_in: Duration,
}

impl Bucket {
    fn full(size: u32, now: Instant) -> Self {
        Self { level: f64::from(size), at: now }
    }

    fn take(&mut self, size: u32, window: Duration, now: Instant) -> Verdict {
        let size = f64::from(size);
        let gained = now.saturating_duration_since(self.at).as_secs_f64() / window.as_secs_f64();
        self.level = (self.level + gained * size).min(size);
        self.at = now;
        let allowed = self.level >= 1.0;
        if allowed {
            self.level -= 1.0;
        }
        // A bucket of size 0 never refills: the caller is told to wait for one window.
        let time_for = |tokens: f64| window.mul_f64(if size > 0.0 { tokens / size } else { 1.0 });
        Verdict {
            retry_after: (!allowed).then(|| time_for(1.0 - self.level)),
            remaining: self.level.floor(),
            full_in: time_for(size - self.level),
        }
    }
}

impl Verdict {
    fn headers(&self, limit: u32) -> Vec<(HeaderName, String)> {
        let reset = format!("{}ms", self.full_in.as_millis());
        vec![
            (HeaderName::from_static("x-ratelimit-limit-requests"), limit.to_string()),
            (HeaderName::from_static("x-ratelimit-remaining-requests"), self.remaining.to_string()),
            (HeaderName::from_static("x-ratelimit-reset-requests"), reset),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Rules;
    use crate::fault::{Fault, FaultRule};
    use crate::profile::Profile;

    #[test]
    fn a_counted_rule_is_used_up_and_a_newer_rule_goes_first() {
        let (mut rules, profile, now) = (Rules::default(), Profile::default(), Instant::now());
        rules.set(Fault::Reset.into());
        rules.set(FaultRule::times(Fault::BlackHole, 2).for_model("m"));
        let mut meet = |model: &str| rules.meet(model, &profile, now).fault;
        assert_eq!(meet("other"), Some(Fault::Reset));
        assert_eq!([meet("m"), meet("m")], [Some(Fault::BlackHole), Some(Fault::BlackHole)]);
        assert_eq!(meet("m"), Some(Fault::Reset));
    }

    #[test]
    fn a_share_is_hit_and_repeats_with_its_seed() {
        let hits = |seed| {
            let (mut rules, profile, now) = (Rules::default(), Profile::default(), Instant::now());
            rules.set(FaultRule::from(Fault::Reset).with_probability(0.3, seed));
            (0..1000).map(|_| rules.meet("m", &profile, now).fault.is_some()).collect::<Vec<_>>()
        };
        let count = hits(1).iter().filter(|hit| **hit).count();
        assert!((250..350).contains(&count), "{count}");
        assert_eq!(hits(1), hits(1));
        assert_ne!(hits(1), hits(2));
    }

    #[test]
    fn a_rate_limit_empties_and_refills() {
        let (mut rules, profile, now) = (Rules::default(), Profile::default(), Instant::now());
        let mut refused = |after_ms| {
            let now = now + Duration::from_millis(after_ms);
            rules.meet("fault:rate_limit@2@1000", &profile, now).refusal.is_some()
        };
        assert_eq!([refused(0), refused(0), refused(0)], [false, false, true]);
        assert_eq!([refused(499), refused(500), refused(501)], [true, false, true]);
    }

    #[test]
    fn the_profile_fails_its_share() {
        let (mut rules, now) = (Rules::default(), Instant::now());
        let profile = Profile { error_permille: 100, ..Profile::default() };
        let failed = (0..1000).filter(|_| rules.meet("m", &profile, now).fault.is_some()).count();
        assert!((70..130).contains(&failed), "{failed}");
    }
}
