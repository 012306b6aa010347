//! Putting our model name and usage into a provider's JSON, every other byte left as it was.

use std::ops::Range;

use bytes::Bytes;

use crate::json::{Kind, Scanner, escape};
use crate::pico::{push_number, push_usd};
use crate::usage::{Usage, UsageOut};

/// Where the changes go in one JSON object.
pub(crate) struct Spots {
    /// The value of `model`.
    pub(crate) model: Option<Range<usize>>,
    /// The value of `usage`.
    pub(crate) usage: Option<Range<usize>>,
    pub(crate) root: Root,
}

/// Where the outermost object can take more members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Root {
    /// Behind its last member, or behind its bracket.
    pub(crate) end: usize,
    pub(crate) empty: bool,
}

/// `body` with `model`, and with `usage` if given; what has no place yet is added at the end.
pub(crate) fn splice(
    body: &[u8],
    spots: &Spots,
    model: &str,
    usage: Option<&UsageOut<'_>>,
) -> Bytes {
    let model = escape(model);
    let existing = spots.usage.clone().and_then(|span| body.get(span)).unwrap_or(b"null");
    let usage = usage.map(|usage| merge_usage(existing, usage));
    let mut added = String::new();
    let mut edits = Vec::with_capacity(3);
    match &spots.model {
        Some(span) => edits.push((span.clone(), ["\"", &*model, "\""])),
        None => added = format!(",\"model\":\"{model}\""),
    }
    match (&spots.usage, &usage) {
        (_, None) => {}
        (Some(span), Some(usage)) => edits.push((span.clone(), ["", usage, ""])),
        (None, Some(usage)) => added = format!("{added},\"usage\":{usage}"),
    }
    let added = if spots.root.empty { added.trim_start_matches(',') } else { &added };
    edits.push((spots.root.end..spots.root.end, ["", added, ""]));
    edits.sort_by_key(|(span, _)| span.start);
    replace(body, &edits)
}

/// `body` with each span replaced by the parts of its text; the spans are in order and do not overlap.
fn replace(body: &[u8], edits: &[(Range<usize>, [&str; 3])]) -> Bytes {
    let put: usize = edits.iter().flat_map(|(_, parts)| parts).map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(body.len() + put);
    let mut from = 0;
    for (span, parts) in edits {
        out.extend_from_slice(body.get(from..span.start).unwrap_or_default());
        parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        from = span.end;
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    Bytes::from(out)
}

/// The provider's usage object with our cost instead of any of its own; our counts if it gave none.
fn merge_usage(existing: &[u8], out: &UsageOut<'_>) -> String {
    /// Cost and its details take about a hundred bytes.
    const COST_BYTES: usize = 160;
    let mut usage = String::with_capacity(existing.len() + COST_BYTES);
    if keep_members(existing, &mut usage).is_none() || usage.is_empty() {
        usage.clear();
        count_members(&out.tokens, &mut usage);
    }
    usage.push_str(",\"cost\":");
    push_usd(&mut usage, out.cost_pico_usd);
    usage.push_str(",\"cost_details\":{");
    for (at, (name, pico_usd)) in out.cost_details.iter().enumerate() {
        usage.push_str(if at == 0 { "\"" } else { ",\"" });
        usage.push_str(&escape(name));
        usage.push_str("\":");
        push_usd(&mut usage, *pico_usd);
    }
    usage.push_str("}}");
    usage
}

/// Copies the members of a provider's usage object as written, without what is ours to say, into an object
/// that stays open. `None` when it is no object.
fn keep_members(existing: &[u8], usage: &mut String) -> Option<()> {
    let text = std::str::from_utf8(existing).ok()?;
    let mut scan = Scanner::new(existing).ok()?;
    if scan.kind().ok()? != Kind::Object {
        return None;
    }
    scan.enter_object().ok()?;
    while let Some(key) = scan.next_key().ok()? {
        let value = scan.value().ok()?;
        if !matches!(&*key.name(), "cost" | "cost_details") {
            usage.push(if usage.is_empty() { '{' } else { ',' });
            usage.push_str(text.get(key.span().start..value.end)?);
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
    merge_usage(b"null", out)
}
