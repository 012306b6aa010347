//! The parts of a streamed event, read from JSON. The counterpart for answers
//! in one piece is `response`.

use prost_types::Struct;
use prost_types::value::Kind;
use serde::de::MapAccess;
use trunkline_proto::inference::v1::{ChatStreamResponse, Delta, StreamChoice, ToolCallDelta};

use super::members::{self, Left, Members};
use super::{response, structure};

impl Members for ChatStreamResponse {
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

impl Members for StreamChoice {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Left<A::Error> {
        match name {
            "index" => members::number(from, |index| self.index = index as u32),
            "delta" => members::one(from, |delta| self.delta = Some(delta)),
            "finish_reason" => members::text(from, |word| {
                response::finish(&word, &mut self.finish_reason, &mut self.native_finish_reason);
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

impl Members for Delta {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Left<A::Error> {
        match name {
            "role" => response::take_role(from, &mut self.role),
            "content" => members::text(from, |text| self.content = Some(text)),
            "refusal" => members::text(from, |refusal| self.refusal = Some(refusal)),
            "reasoning" => members::text(from, |reasoning| self.reasoning = Some(reasoning)),
            "tool_calls" => members::many(from, &mut self.tool_calls),
            _ => members::any(from),
        }
    }

    fn extra(&mut self) -> &mut Option<Struct> {
        &mut self.extra
    }
}

impl Members for ToolCallDelta {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Left<A::Error> {
        match name {
            "index" => members::number(from, |index| self.index = index as u32),
            "id" => members::text(from, |id| self.id = Some(id)),
            "type" => response::take_type(from, "function"),
            "function" => {
                let mut function = FunctionDelta::default();
                members::one(from, |read| function = read)?;
                self.name = function.name;
                self.arguments = function.arguments;
                Ok(function.extra.map(|extra| structure::of(Kind::StructValue(extra))))
            }
            _ => members::any(from),
        }
    }

    fn extra(&mut self) -> &mut Option<Struct> {
        &mut self.extra
    }
}

/// The `function` of a piece of a tool call, whose members the message holds
/// itself.
#[derive(Default)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
    extra: Option<Struct>,
}

impl Members for FunctionDelta {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Left<A::Error> {
        match name {
            "name" => members::text(from, |name| self.name = Some(name)),
            "arguments" => members::text(from, |arguments| self.arguments = Some(arguments)),
            _ => members::any(from),
        }
    }

    fn extra(&mut self) -> &mut Option<Struct> {
        &mut self.extra
    }
}
