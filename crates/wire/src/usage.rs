//! Token counts as providers report them. Not what a call costs: prices are applied elsewhere.

use std::ops::Range;

use crate::json::{Fault, Kind, Scanner};

/// The tokens of one call. A count a provider does not report is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens generated, reasoning included.
    pub completion_tokens: u64,
    /// Of the prompt's tokens, those read from a cache.
    pub cached_tokens: u64,
    /// Of the prompt's tokens, those written to a cache.
    pub cache_write_tokens: u64,
    /// Of the generated tokens, those spent on reasoning.
    pub reasoning_tokens: u64,
    /// What the provider calls the total; the sum of both when it does not say.
    pub total: u64,
}

/// What the router adds to, or makes of, a `usage` object.
#[derive(Debug, Clone, Copy)]
pub struct UsageOut<'a> {
    /// The counts to report when the provider reported none.
    pub tokens: Usage,
    /// What the call cost, in pico-USD.
    pub cost_pico_usd: u64,
    /// The parts of the cost by name, in pico-USD, as `cost_details` lists them.
    pub cost_details: &'a [(&'static str, u64)],
}

/// Where a `usage` value lies, and what of it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The whole value, also when it is `null`.
    pub(crate) span: Range<usize>,
    /// Its members, from the first to the last; `None` when there are none, or one of them is ours to say.
    pub(crate) kept: Option<Range<usize>>,
}

/// The members that are ours to say.
pub(crate) fn is_ours(name: &str) -> bool {
    matches!(name, "cost" | "cost_details")
}

/// Reads a `usage` value: its counts, if it is an object, and its place. A count of a strange type is skipped:
/// accounting must not fail an answer.
pub(crate) fn read(scan: &mut Scanner<'_>) -> Result<(Option<Usage>, Spot), Fault> {
    if scan.kind()? != Kind::Object {
        return Ok((None, Spot { span: scan.value()?, kept: None }));
    }
    let mut usage = Usage::default();
    let (mut total, mut ours) = (None, false);
    let start = scan.position();
    let mut members: Option<Range<usize>> = None;
    scan.enter_object()?;
    while let Some(key) = scan.next_key()? {
        match &*key.name() {
            "prompt_tokens" => usage.prompt_tokens = count(scan)?.unwrap_or(0),
            "completion_tokens" => usage.completion_tokens = count(scan)?.unwrap_or(0),
            "total_tokens" => total = count(scan)?,
            "prompt_tokens_details" | "completion_tokens_details" => details(scan, &mut usage)?,
            name => {
                ours |= is_ours(name);
                scan.skip()?;
            }
        }
        let first = members.map_or(key.span().start, |members| members.start);
        members = Some(first..scan.position());
    }
    usage.total = total.unwrap_or(usage.prompt_tokens.saturating_add(usage.completion_tokens));
    let kept = members.filter(|_| !ours);
    Ok((Some(usage), Spot { span: start..scan.position(), kept }))
}

fn details(scan: &mut Scanner<'_>, usage: &mut Usage) -> Result<(), Fault> {
    if scan.kind()? != Kind::Object {
        return scan.skip();
    }
    scan.enter_object()?;
    while let Some(key) = scan.next_key()? {
        match &*key.name() {
            "cached_tokens" => usage.cached_tokens = count(scan)?.unwrap_or(0),
            "cache_write_tokens" => usage.cache_write_tokens = count(scan)?.unwrap_or(0),
            "reasoning_tokens" => usage.reasoning_tokens = count(scan)?.unwrap_or(0),
            _ => scan.skip()?,
        }
    }
    Ok(())
}

/// A count, also when it is written as `12.0`; `None` for anything that is none.
fn count(scan: &mut Scanner<'_>) -> Result<Option<u64>, Fault> {
    if scan.kind()? != Kind::Number {
        scan.skip()?;
        return Ok(None);
    }
    let text = scan.number()?;
    Ok(text.parse().ok().or_else(|| crate::pico::parse_scaled(text, 0)))
}

#[cfg(test)]
mod tests {
    use super::{Scanner, Usage, read};

    fn usage(text: &str) -> Option<Usage> {
        read(&mut Scanner::new(text.as_bytes()).unwrap()).unwrap().0
    }

    #[test]
    fn reads_every_count() {
        let found = usage(
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,
            "prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":3,"audio_tokens":9},
            "completion_tokens_details":{"reasoning_tokens":2}}"#,
        );
        let expected = Usage {
            prompt_tokens: 10,
            completion_tokens: 5,
            cached_tokens: 4,
            cache_write_tokens: 3,
            reasoning_tokens: 2,
            total: 15,
        };
        assert_eq!(found, Some(expected));
    }

    #[test]
    fn nulls_and_strange_types_count_as_nothing() {
        let found = usage(
            r#"{"prompt_tokens":7.0,"completion_tokens":null,"total_tokens":"x",
            "prompt_tokens_details":null,"completion_tokens_details":[1]}"#,
        );
        assert_eq!(found, Some(Usage { prompt_tokens: 7, total: 7, ..Usage::default() }));
        assert_eq!(usage("null"), None);
        assert_eq!(usage("[]"), None);
    }
}
