//! Putting our model name and usage into a provider's JSON, every other byte left as it was.

use std::ops::Range;

use bytes::Bytes;

use crate::fields::Fields;
use crate::json::{Kind, Scanner, escape};
use crate::pico::{push_number, push_usd};
use crate::usage::{Spot, Usage, UsageOut, is_ours};

/// Where the changes go in one JSON object.
pub(crate) struct Spots<'a> {
    /// The value of `model`.
    pub(crate) model: Option<&'a Range<usize>>,
    /// The value of `usage`.
    pub(crate) usage: Option<&'a Spot>,
    pub(crate) root: Root,
}

/// Where the outermost object can take more members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Root {
    /// Behind its last member, or behind its bracket.
    pub(crate) end: usize,
    pub(crate) empty: bool,
}

/// What becomes of a usage object.
#[derive(Clone, Copy)]
pub(crate) enum NewUsage<'a> {
    /// It stays as it is.
    Kept,
    /// It gains our cost; our counts stand in where there is none.
    Priced(&'a UsageOut<'a>),
    /// `null` takes its place.
    Null,
}

/// `body` with `model` and this usage; what has no place yet is added at the end.
pub(crate) fn splice(body: &[u8], spots: &Spots<'_>, model: &str, usage: NewUsage<'_>) -> Bytes {
    let model = escape(model);
    let usage = match usage {
        NewUsage::Kept => None,
        NewUsage::Priced(usage) => Some(merge_usage(body, spots.usage, usage)),
        NewUsage::Null => Some("null".to_owned()),
    };
    let mut sets = [
        Set { place: spots.model, name: "\"model\":", value: ["\"", &model, "\""] },
        Set {
            place: spots.usage.map(|spot| &spot.span),
            name: "\"usage\":",
            value: ["", usage.as_deref().unwrap_or_default(), ""],
        },
    ];
    let sets = if usage.is_some() { &mut sets[..] } else { &mut sets[..1] };
    sets.sort_by_key(|set| set.place.map_or(usize::MAX, |place| place.start));
    Bytes::from(replace(body, spots.root, sets))
}

/// A member that gets a value.
struct Set<'a> {
    /// Where its value lies now.
    place: Option<&'a Range<usize>>,
    name: &'static str,
    value: [&'a str; 3],
}

/// `body` with these members set; their places are in order and do not overlap, and those without come last.
fn replace(body: &[u8], root: Root, sets: &[Set<'_>]) -> Vec<u8> {
    let lengths = sets.iter().flat_map(|set| set.value.iter().chain([&set.name])).map(|s| s.len());
    let mut out = Vec::with_capacity(body.len() + lengths.sum::<usize>() + sets.len());
    let (mut from, mut empty) = (0, root.empty);
    for set in sets {
        let (until, next) = set.place.map_or((root.end, root.end), |at| (at.start, at.end));
        out.extend_from_slice(body.get(from..until).unwrap_or_default());
        from = next;
        if set.place.is_none() {
            let comma = if std::mem::take(&mut empty) { "" } else { "," };
            out.extend_from_slice(comma.as_bytes());
            out.extend_from_slice(set.name.as_bytes());
        }
        set.value.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out
}

/// The provider's usage object with our cost instead of any of its own; our counts if it gave none.
fn merge_usage(body: &[u8], given: Option<&Spot>, out: &UsageOut<'_>) -> String {
    /// Cost and its details take about a hundred bytes.
    const COST_BYTES: usize = 160;
    let mut usage = String::with_capacity(given.map_or(0, |given| given.span.len()) + COST_BYTES);
    if given.and_then(|given| keep_members(body, given, &mut usage)).is_none() || usage.is_empty() {
        usage.clear();
        count_members(&out.tokens, &mut usage);
    }
    usage.push_str(",\"cost\":");
    push_usd(&mut usage, out.cost_pico_usd);
    usage.push_str(",\"cost_details\":");
    let mut details = Fields::begin(&mut usage);
    out.cost_details.iter().for_each(|(name, pico_usd)| details.usd(name, *pico_usd));
    details.end();
    usage.push('}');
    usage
}

/// Copies the members of a provider's usage object as written, without what is ours to say, into an object
/// that stays open. `None` when it is no object.
fn keep_members(body: &[u8], given: &Spot, usage: &mut String) -> Option<()> {
    let text = |at: Range<usize>| std::str::from_utf8(body.get(at)?).ok();
    if let Some(kept) = given.kept.clone() {
        usage.push('{');
        usage.push_str(text(kept)?);
        return Some(());
    }
    let existing = text(given.span.clone())?;
    let mut scan = Scanner::new(existing.as_bytes()).ok()?;
    if scan.kind().ok()? != Kind::Object {
        return None;
    }
    scan.enter_object().ok()?;
    while let Some(key) = scan.next_key().ok()? {
        let value = scan.value().ok()?;
        if !is_ours(&key.name()) {
            usage.push(if usage.is_empty() { '{' } else { ',' });
            usage.push_str(existing.get(key.span().start..value.end)?);
        }
    }
    Some(())
}

/// An unclosed usage object of our own counts.
fn count_members(tokens: &Usage, usage: &mut String) {
    let counts = [
        ("{\"prompt_tokens\":", tokens.prompt_tokens),
        (",\"completion_tokens\":", tokens.completion_tokens),
        (",\"total_tokens\":", tokens.total),
        (",\"prompt_tokens_details\":{\"cached_tokens\":", tokens.cached_tokens),
        (",\"cache_write_tokens\":", tokens.cache_write_tokens),
        ("},\"completion_tokens_details\":{\"reasoning_tokens\":", tokens.reasoning_tokens),
    ];
    for (name, count) in counts {
        usage.push_str(name);
        push_number(usage, count);
    }
    usage.push('}');
}

/// A whole usage object of our own.
pub(crate) fn usage_object(out: &UsageOut<'_>) -> String {
    merge_usage(b"", None, out)
}
