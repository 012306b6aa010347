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
/// Most keys; a policy allows far fewer.
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
    keys: BTreeMap<String, Values>,
    /// Values kept, over all keys.
    kept: usize,
}

/// The values of one key, and what came when there was no more room.
#[derive(Debug, Default)]
struct Values {
    sums: BTreeMap<String, Sum>,
    others: Sum,
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
        let mut lines = Vec::new();
        for (key, values) in &sums.keys {
            lines.extend(values.sums.iter().map(|(value, sum)| sum.line(key, Some(value))));
            lines.extend((values.others.calls > 0).then(|| values.others.line(key, None)));
        }
        lines.sort_by(|a, b| (b.usd, &a.key, &a.value).cmp(&(a.usd, &b.key, &b.value)));
        Costs { since_unix_ms: self.since_unix_ms, all: sums.all.line("", None), tags: lines }
    }
}

impl Sums {
    /// Nothing is copied but what is new: this is done for every call.
    fn add(&mut self, key: &str, value: &str, one: Sum) {
        if !self.keys.contains_key(key) {
            if self.keys.len() >= MAX_KEYS {
                return;
            }
            self.keys.insert(key.to_owned(), Values::default());
        }
        let Some(values) = self.keys.get_mut(key) else { return };
        let value = shortened(value);
        if let Some(sum) = values.sums.get_mut(value) {
            sum.add(one);
        } else if self.kept < MAX_TAGS {
            self.kept += 1;
            values.sums.insert(value.to_owned(), one);
        } else {
            values.others.add(one);
        }
    }
}

fn shortened(value: &str) -> &str {
    let end = value.char_indices().nth(MAX_VALUE_CHARS).map_or(value.len(), |(at, _)| at);
    value.get(..end).unwrap_or(value)
}

impl Sum {
    fn add(&mut self, one: Self) {
        self.calls += one.calls;
        self.tokens = self.tokens.saturating_add(one.tokens);
        self.cost = self.cost + one.cost;
    }

    fn line(&self, key: &str, value: Option<&str>) -> Line {
        let (key, value) = (key.to_owned(), value.map(str::to_owned));
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
