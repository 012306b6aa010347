//! What calls through this router cost since it started, by tag. Tags have keys that the policy allows, but
//! values of callers': so few of them are kept, and short.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use trunkline_core::money::PicoUsd;
use trunkline_wire::models::Usd;

use crate::ledger::{Record, unix_ms};

/// Most tags kept, each a key and a value; what comes later is counted together, under its key.
const MAX_TAGS: usize = 200;
/// The longest value kept, in characters.
const MAX_VALUE_CHARS: usize = 64;
/// Most keys whose late values are counted together; a policy allows far fewer.
const MAX_KEYS: usize = 32;

/// Costs by tag.
#[derive(Debug)]
pub struct TagCosts {
    since_unix_ms: u64,
    sums: Mutex<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    all: Sum,
    tags: BTreeMap<(String, String), Sum>,
    others: BTreeMap<String, Sum>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    calls: u64,
    tokens: u64,
    cost: PicoUsd,
}

/// Costs as the page reads them.
#[derive(Debug, Serialize)]
pub struct Costs {
    since_unix_ms: u64,
    all: Line,
    tags: Vec<Line>,
}

/// One tag, or all calls.
#[derive(Debug, Serialize)]
struct Line {
    key: String,
    /// Nothing for what was counted together.
    value: Option<String>,
    calls: u64,
    tokens: u64,
    usd: Usd,
}

impl Default for TagCosts {
    fn default() -> Self {
        Self { since_unix_ms: unix_ms(), sums: Mutex::default() }
    }
}

impl TagCosts {
    /// Counts one call that has ended.
    pub fn add(&self, record: &Record) {
        let settled = record.settlement;
        let tokens = settled.map(|s| s.tokens).unwrap_or_default();
        let one = Sum {
            calls: 1,
            tokens: tokens.input.saturating_add(tokens.output),
            cost: settled.map(|s| s.cost.total()).unwrap_or_default(),
        };
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.all.add(one);
        for (key, value) in &record.tags {
            sums.add(key, value, one);
        }
    }

    /// What was counted, the dearest first.
    pub fn read(&self) -> Costs {
        let sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let tags = sums.tags.iter().map(|((key, value), sum)| sum.line(key, Some(value)));
        let others = sums.others.iter().map(|(key, sum)| sum.line(key, None));
        let mut lines: Vec<Line> = tags.chain(others).collect();
        lines.sort_by(|a, b| (b.usd, &a.key, &a.value).cmp(&(a.usd, &b.key, &b.value)));
        Costs { since_unix_ms: self.since_unix_ms, all: sums.all.line("", None), tags: lines }
    }
}

impl Sums {
    fn add(&mut self, key: &str, value: &str, one: Sum) {
        let tag = (key.to_owned(), value.chars().take(MAX_VALUE_CHARS).collect());
        if let Some(sum) = self.tags.get_mut(&tag) {
            sum.add(one);
        } else if self.tags.len() < MAX_TAGS {
            self.tags.insert(tag, one);
        } else if self.others.len() < MAX_KEYS || self.others.contains_key(key) {
            self.others.entry(tag.0).or_default().add(one);
        }
    }
}

impl Sum {
    fn add(&mut self, one: Self) {
        self.calls += one.calls;
        self.tokens = self.tokens.saturating_add(one.tokens);
        self.cost = self.cost + one.cost;
    }

    fn line(&self, key: &str, value: Option<&String>) -> Line {
        let (key, value) = (key.to_owned(), value.cloned());
        Line { key, value, calls: self.calls, tokens: self.tokens, usd: Usd(self.cost.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_values_callers_make_up_few_are_kept_and_none_is_lost() {
        let costs = TagCosts::default();
        let one = Sum { calls: 1, tokens: 3, cost: PicoUsd(5) };
        for at in 0..1_000 {
            costs.sums.lock().unwrap().add("feature", &format!("{at}{}", "x".repeat(1_000)), one);
        }
        let read = costs.read();
        assert_eq!(read.tags.len(), MAX_TAGS + 1);
        assert_eq!(read.tags.iter().map(|line| line.calls).sum::<u64>(), 1_000);
        let together = read.tags.iter().find(|line| line.value.is_none());
        assert_eq!(together.map(|line| line.calls), Some(800));
    }
}
