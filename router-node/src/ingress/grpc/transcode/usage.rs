//! The `usage` object of an answer → message. Reads what is said and prices
//! nothing.

use prost_types::value::Kind;
use prost_types::{Struct, Value};
use serde::de::{DeserializeSeed, Error, MapAccess};
use serde_json::value::RawValue;
use trunkline_proto::inference::v1::Usage;
use trunkline_wire::pico;

use super::members::{self, Left, Members};
use super::structure::{self, AnyValue};

/// Decimal places by which a USD becomes pico-USD.
const PICO_PLACES: u32 = 12;

impl Members for Usage {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Left<A::Error> {
        match name {
            "prompt_tokens" => members::number(from, |n| self.prompt_tokens = n as u64),
            "completion_tokens" => members::number(from, |n| self.completion_tokens = n as u64),
            "total_tokens" => members::number(from, |n| self.total_tokens = n as u64),
            "prompt_tokens_details" => {
                let details = members::any(from)?;
                let counts = [
                    ("cached_tokens", &mut self.cached_tokens),
                    ("cache_write_tokens", &mut self.cache_write_tokens),
                ];
                Ok(details.and_then(|details| without(details, counts)))
            }
            "completion_tokens_details" => {
                let details = members::any(from)?;
                let counts = [("reasoning_tokens", &mut self.reasoning_tokens)];
                Ok(details.and_then(|details| without(details, counts)))
            }
            "cost" => take_cost(from, self),
            "cost_details" => members::structure(from, |details| self.cost_details = Some(details)),
            _ => members::any(from),
        }
    }

    fn extra(&mut self) -> &mut Option<Struct> {
        &mut self.extra
    }
}

/// Reads a cost in USD from its digits, so that it stays exact; hands back what
/// is no cost.
fn take_cost<'de, A: MapAccess<'de>>(from: &mut A, usage: &mut Usage) -> Left<A::Error> {
    let raw = from.next_value::<&RawValue>()?.get();
    let Some(pico_usd) = pico::parse_scaled(raw.trim_matches('"'), PICO_PLACES) else {
        let mut text = serde_json::Deserializer::from_str(raw);
        return AnyValue::TOP.deserialize(&mut text).map(Some).map_err(A::Error::custom);
    };
    usage.cost = Some(pico::format_usd(pico_usd));
    usage.cost_pico_usd = Some(pico_usd);
    Ok(None)
}

/// Takes counts out of `details`, and hands back what else they say. Counts of
/// zero say nothing: in protobuf an absent count is zero.
fn without<const N: usize>(details: Value, counts: [(&str, &mut u64); N]) -> Option<Value> {
    let Some(Kind::StructValue(mut details)) = details.kind else { return Some(details) };
    for (name, count) in counts {
        if let Some(Kind::NumberValue(number)) =
            details.fields.get(name).and_then(|value| value.kind.as_ref())
        {
            *count = *number as u64;
            details.fields.remove(name);
        }
    }
    details.fields.retain(|_, value| match &value.kind {
        None | Some(Kind::NullValue(_)) => false,
        Some(Kind::NumberValue(number)) => *number != 0.0,
        Some(_) => true,
    });
    (!details.fields.is_empty()).then(|| structure::of(Kind::StructValue(details)))
}

#[cfg(test)]
mod tests {
    use super::super::members::Read;
    use super::*;

    fn read(json: &str) -> Usage {
        serde_json::from_str::<Read<Usage>>(json).unwrap().0
    }

    #[test]
    fn counts_and_cost_find_their_fields() {
        let usage = read(
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"cost":0.000123,
                "prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":3,"audio_tokens":0},
                "completion_tokens_details":{"reasoning_tokens":2,"audio_tokens":1},
                "cost_details":{"upstream":0.0001},"queue_ms":7}"#,
        );
        assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (10, 5, 15));
        assert_eq!(
            (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens),
            (4, 3, 2)
        );
        assert_eq!(usage.cost.as_deref(), Some("0.000123"));
        assert_eq!(usage.cost_pico_usd, Some(123_000_000));
        assert!(usage.cost_details.unwrap().fields.contains_key("upstream"));
        let extra = usage.extra.unwrap().fields;
        let names: Vec<_> = extra.keys().map(String::as_str).collect();
        assert_eq!(names, ["completion_tokens_details", "queue_ms"]);
    }

    #[test]
    fn a_cost_is_exact_to_the_pico_dollar() {
        for (json, text, pico) in [
            ("0", "0", 0),
            ("3", "3", 3_000_000_000_000),
            ("1e-12", "0.000000000001", 1),
            ("\"12.5\"", "12.5", 12_500_000_000_000),
            ("0.1", "0.1", 100_000_000_000),
            ("12345.678901234567", "12345.678901234567", 12_345_678_901_234_567),
        ] {
            let usage = read(&format!(r#"{{"cost":{json}}}"#));
            assert_eq!(usage.cost.as_deref(), Some(text));
            assert_eq!(usage.cost_pico_usd, Some(pico));
        }
    }

    #[test]
    fn a_cost_that_is_none_is_kept_aside() {
        let usage = read(r#"{"cost":-1,"prompt_tokens":"many"}"#);
        assert_eq!((usage.cost, usage.prompt_tokens), (None, 0));
        let extra = usage.extra.unwrap().fields;
        assert_eq!(extra.len(), 2);
        assert!(read(r#"{"cost":null}"#).extra.is_none());
    }
}
