//! Answers in one piece: JSON → gRPC message. Does not judge an answer: an
//! empty one, or one that carries an error, was dealt with before.

use prost_types::value::Kind;
use prost_types::{Struct, Value};
use serde::de::MapAccess;
use trunkline_proto::inference::v1::{
    ChatResponse, Choice, EmbedResponse, Embedding, FinishReason, FunctionCall, Message, Role,
    ToolCall, message,
};

use super::members::{self, Left, Members};
use super::{Undecodable, base64};

/// Reads a chat completion. `generation_id` and `decision` stay unset: they
/// come from the record, not from the answer's body.
///
/// # Errors
/// [`Undecodable`] when the body is not a JSON object, or its choices are not
/// objects.
pub fn chat(body: &[u8]) -> Result<ChatResponse, Undecodable> {
    members::read(body)
}

/// Reads an embedding answer, with vectors as lists or as base64. Leaves
/// `generation_id` and `decision` unset, as [`chat`] does.
///
/// # Errors
/// [`Undecodable`] when the body is not a JSON object, or its vectors are none.
pub fn embed(body: &[u8]) -> Result<EmbedResponse, Undecodable> {
    members::read(body)
}

impl Members for ChatResponse {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Left<A::Error> {
        match name {
            "id" => members::text(from, |id| self.id = id),
            "object" => members::nothing(from),
            "model" => members::text(from, |model| self.model = model),
            "created" => members::number(from, |seconds| self.created = seconds as i64),
            "choices" => members::many(from, &mut self.choices),
            "usage" => members::one(from, |usage| self.usage = Some(usage)),
            "provider" => members::text(from, |provider| self.provider = provider),
            "system_fingerprint" => {
                members::text(from, |print| self.system_fingerprint = Some(print))
            }
            "service_tier" => members::text(from, |tier| self.service_tier = Some(tier)),
            _ => members::any(from),
        }
    }

    fn extra(&mut self) -> &mut Option<Struct> {
        &mut self.extra
    }
}

impl Members for Choice {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Left<A::Error> {
        match name {
            "index" => members::number(from, |index| self.index = index as u32),
            "message" => members::one(from, |message| self.message = Some(message)),
            "finish_reason" => members::text(from, |word| {
                finish(&word, &mut self.finish_reason, &mut self.native_finish_reason);
            }),
            "native_finish_reason" => {
                members::text(from, |word| self.native_finish_reason = Some(word))
            }
            "logprobs" => members::structure(from, |logprobs| self.logprobs = Some(logprobs)),
            _ => members::any(from),
        }
    }

    fn extra(&mut self) -> &mut Option<Struct> {
        &mut self.extra
    }
}

/// Sets why an answer ended; a word that is not of the dialect is kept as the
/// provider's own.
pub(super) fn finish(word: &str, reason: &mut i32, native: &mut Option<String>) {
    let known = match word {
        "stop" => FinishReason::Stop,
        "length" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        "error" => FinishReason::Error,
        _ => {
            native.get_or_insert_with(|| word.to_owned());
            FinishReason::Other
        }
    };
    *reason = known.into();
}

/// The role that a word names; `None` for one that is not of the dialect.
pub(super) fn role(word: &str) -> Option<Role> {
    match word {
        "system" => Some(Role::System),
        "developer" => Some(Role::Developer),
        "user" => Some(Role::User),
        "assistant" => Some(Role::Assistant),
        "tool" => Some(Role::Tool),
        _ => None,
    }
}

/// Reads a `role` member; an unknown word is left for `extra`.
pub(super) fn take_role<'de, A: MapAccess<'de>>(from: &mut A, into: &mut i32) -> Left<A::Error> {
    let left = members::any(from)?;
    match left.as_ref().and_then(|left| left.kind.as_ref()) {
        Some(Kind::StringValue(word)) if role(word).is_some() => {
            *into = role(word).unwrap_or_default().into();
            Ok(None)
        }
        _ => Ok(left),
    }
}

/// Reads a `type` member, which only says something new when it is not the
/// usual one.
pub(super) fn take_type<'de, A: MapAccess<'de>>(from: &mut A, usual: &str) -> Left<A::Error> {
    let left = members::any(from)?;
    let is_usual =
        |value: &Value| matches!(&value.kind, Some(Kind::StringValue(word)) if word == usual);
    Ok(left.filter(|value| !is_usual(value)))
}

impl Members for Message {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Left<A::Error> {
        match name {
            "role" => take_role(from, &mut self.role),
            "content" => members::text(from, |text| self.body = Some(message::Body::Content(text))),
            "name" => members::text(from, |name| self.name = Some(name)),
            "tool_calls" => members::many(from, &mut self.tool_calls),
            "tool_call_id" => members::text(from, |id| self.tool_call_id = Some(id)),
            "refusal" => members::text(from, |refusal| self.refusal = Some(refusal)),
            "reasoning" => members::text(from, |reasoning| self.reasoning = Some(reasoning)),
            _ => members::any(from),
        }
    }

    fn extra(&mut self) -> &mut Option<Struct> {
        &mut self.extra
    }
}

impl Members for ToolCall {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Left<A::Error> {
        match name {
            "id" => members::text(from, |id| self.id = id),
            "type" => take_type(from, "function"),
            "function" => members::one(from, |function| self.function = Some(function)),
            _ => members::any(from),
        }
    }

    fn extra(&mut self) -> &mut Option<Struct> {
        &mut self.extra
    }
}

impl Members for FunctionCall {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Left<A::Error> {
        match name {
            "name" => members::text(from, |name| self.name = name),
            "arguments" => members::text(from, |arguments| self.arguments = arguments),
            _ => members::any(from),
        }
    }

    fn extra(&mut self) -> &mut Option<Struct> {
        &mut self.extra
    }
}

impl Members for EmbedResponse {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Left<A::Error> {
        match name {
            "id" => members::text(from, |id| self.id = id),
            "object" => members::nothing(from),
            "model" => members::text(from, |model| self.model = model),
            "data" => members::many(from, &mut self.embeddings),
            "usage" => members::one(from, |usage| self.usage = Some(usage)),
            "provider" => members::text(from, |provider| self.provider = provider),
            _ => members::any(from),
        }
    }

    fn extra(&mut self) -> &mut Option<Struct> {
        &mut self.extra
    }
}

impl Members for Embedding {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Left<A::Error> {
        match name {
            "index" => members::number(from, |index| self.index = index as u32),
            "object" => members::nothing(from),
            "embedding" => {
                self.values = from.next_value::<Vector>()?.into_values::<A::Error>()?;
                Ok(None)
            }
            _ => members::any(from),
        }
    }

    fn extra(&mut self) -> &mut Option<Struct> {
        &mut self.extra
    }
}

/// A vector in either of its two forms.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Vector {
    List(Vec<f32>),
    Base64(String),
}

impl Vector {
    fn into_values<E: serde::de::Error>(self) -> Result<Vec<f32>, E> {
        let text = match self {
            Self::List(values) => return Ok(values),
            Self::Base64(text) => text,
        };
        let bytes = base64::decode(&text).ok_or_else(|| E::custom("not base64"))?;
        let (floats, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(E::custom("not a whole number of floats"));
        }
        Ok(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }
}

#[cfg(test)]
mod tests;
