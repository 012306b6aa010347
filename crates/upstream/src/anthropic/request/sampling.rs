//! `temperature`, `top_p` and `top_k`: what of them a model still takes.

use serde::Serialize;
use serde_json::value::RawValue;

use super::fields::{Fields, read};
use crate::anthropic::Untranslatable;
use crate::anthropic::generation::Generation;

/// The provider's highest temperature. OpenAI's scale ends at 2: what lies above 1 becomes 1. Nothing is rescaled, as
/// that would change the common values below 1.
const MAX_TEMPERATURE: f64 = 1.0;

/// Smallest `top_p` the provider takes while thinking.
const MIN_TOP_P_THINKING: f64 = 0.95;

/// Sampling parameters as numbers in the caller's own digits.
#[derive(Default, Serialize)]
pub(super) struct Sampling<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<&'a RawValue>,
}

impl<'a> Sampling<'a> {
    /// Takes the three fields. They are left out where the model refuses them: all of them on models that dropped
    /// sampling, all but a `top_p` near 1 while thinking, and `top_p` beside a temperature on models that take one.
    pub(super) fn read(
        fields: &mut Fields<'a>,
        generation: Generation,
        is_thinking: bool,
    ) -> Result<Self, Untranslatable> {
        let temperature = number(fields, "temperature")?;
        let top_p = number(fields, "top_p")?;
        let top_k = fields.take("top_k");
        if generation.only_adaptive() {
            return Ok(Self::default());
        }
        if is_thinking {
            let top_p = top_p.filter(|(_, value)| *value >= MIN_TOP_P_THINKING);
            return Ok(Self { top_p: top_p.map(|(raw, _)| raw), ..Self::default() });
        }
        let one_only = generation.takes_one_sampler_only() && temperature.is_some();
        Ok(Self {
            temperature: temperature.and_then(|(raw, value)| {
                if value > MAX_TEMPERATURE { serde_json::from_str("1").ok() } else { Some(raw) }
            }),
            top_p: top_p.filter(|_| !one_only).map(|(raw, _)| raw),
            top_k,
        })
    }
}

/// A number of zero or more, in its own digits and as a value to compare.
fn number<'a>(
    fields: &mut Fields<'a>,
    name: &str,
) -> Result<Option<(&'a RawValue, f64)>, Untranslatable> {
    let Some(raw) = fields.take(name) else { return Ok(None) };
    let value: f64 = read(raw, name, "a number")?;
    if value < 0.0 {
        return Err(Untranslatable::new(name, "must not be negative"));
    }
    Ok(Some((raw, value)))
}
