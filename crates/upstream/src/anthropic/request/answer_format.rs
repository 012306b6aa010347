//! `response_format`: how a JSON answer is asked for, so that it comes back as plain JSON content.
//!
//! A schema goes to the provider's structured outputs (`output_config.format`), which constrain the answer's text itself:
//! nothing has to be undone in the answer, streamed or not, and the caller's tools stay usable, unlike with a forced tool.
//! Where the provider would refuse (older models, objects open to further properties, `json_object` without a schema),
//! an instruction asks for the JSON instead; that is a request, not a guarantee.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::fields::read;
use crate::anthropic::generation::Generation;
use crate::anthropic::{Text, Untranslatable};

const JSON_ONLY: &str =
    "Answer with one JSON object and nothing else: no words before or after it, no code fence.";

/// How the answer is to be shaped.
pub(super) enum AnswerFormat<'a> {
    Free,
    /// Enforced by the provider.
    Schema(&'a RawValue),
    /// Asked for in words.
    Instruction(String),
}

#[derive(Deserialize)]
struct ResponseFormat<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    json_schema: Option<JsonSchema<'a>>,
}

#[derive(Deserialize)]
struct JsonSchema<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
    strict: Option<bool>,
}

impl<'a> AnswerFormat<'a> {
    pub(super) fn read(
        raw: Option<&'a RawValue>,
        generation: Generation,
    ) -> Result<Self, Untranslatable> {
        let Some(raw) = raw else { return Ok(Self::Free) };
        let format: ResponseFormat<'a> =
            read(raw, "response_format", "an object with a type and its schema")?;
        match format.kind.as_str() {
            "text" => Ok(Self::Free),
            "json_object" => Ok(Self::Instruction(JSON_ONLY.to_owned())),
            "json_schema" => Self::of_schema(format.json_schema, generation),
            _ => {
                let message = "expected text, json_object or json_schema";
                Err(Untranslatable::new("response_format.type", message))
            }
        }
    }

    fn of_schema(
        wanted: Option<JsonSchema<'a>>,
        generation: Generation,
    ) -> Result<Self, Untranslatable> {
        let param = "response_format.json_schema";
        let wanted = wanted.ok_or_else(|| Untranslatable::new(param, "is missing"))?;
        let Some(schema) = wanted.schema else {
            return Ok(Self::Instruction(JSON_ONLY.to_owned()));
        };
        let is_strict = wanted.strict == Some(true);
        if generation.has_structured_outputs() && (is_strict || is_closed(schema)) {
            return Ok(Self::Schema(schema));
        }
        Ok(Self::Instruction(format!(
            "{JSON_ONLY} It must be valid against this JSON Schema:\n{}",
            schema.get()
        )))
    }

    pub(super) fn schema(&self) -> Option<&'a RawValue> {
        match self {
            Self::Schema(schema) => Some(schema),
            Self::Free | Self::Instruction(_) => None,
        }
    }

    pub(super) fn instruction(&self) -> Option<String> {
        match self {
            Self::Instruction(text) => Some(text.clone()),
            Self::Free | Self::Schema(_) => None,
        }
    }
}

/// Whether every object in the schema excludes further properties, as the provider demands.
fn is_closed(schema: &RawValue) -> bool {
    serde_json::from_str(schema.get()).is_ok_and(|schema| all_objects_closed(&schema))
}

/// Recursion ends at the JSON reader's own nesting limit (128).
fn all_objects_closed(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            let is_object = map.get("type").and_then(Value::as_str) == Some("object");
            let excludes = map.get("additionalProperties") == Some(&Value::Bool(false));
            (!is_object || excludes) && map.values().all(all_objects_closed)
        }
        Value::Array(items) => items.iter().all(all_objects_closed),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}
