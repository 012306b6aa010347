//! From a whole Messages answer to an OpenAI chat completion. Streamed answers are in `stream`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::chunk::{Choice, Completion, Function, Message, Thought, ToolCall};
use super::usage::{Counts, finish_reason};
use super::{Text, Undecodable};

const BROKEN: Undecodable = Undecodable { what: "answer" };

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    content: Vec<Block<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
    usage: Counts,
}

/// Any content block; which fields are there follows from `kind`. Blocks of unknown kinds (the provider's own tools at
/// work) have no equal and are passed over.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    #[serde(borrow)]
    signature: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

/// Writes the Messages answer `body` as a chat completion of `model`, made at `created` (seconds since 1970).
///
/// Text blocks are joined into `content`, which is null beside tool calls without text. Thoughts come as `reasoning` and,
/// with their signatures, as `reasoning_details`; handed back in the next request they reach the provider again. Tool
/// arguments keep the provider's own text.
///
/// # Errors
/// [`Undecodable`] when the body is not a Messages answer, an error in a 200 included.
pub fn to_completion(body: &[u8], model: &str, created: u64) -> Result<Vec<u8>, Undecodable> {
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|_| BROKEN)?;
    if answer.kind.as_str() != "message" {
        return Err(BROKEN);
    }
    let encrypted = answer.content.iter().map(encrypted_data).collect::<Result<Vec<_>, _>>()?;
    let native_finish_reason = answer.stop_reason.as_ref().map(Text::as_str);
    let completion = Completion {
        id: answer.id.as_str(),
        object: "chat.completion",
        created,
        model,
        choices: [Choice {
            index: 0,
            message: message(&answer.content, &encrypted)?,
            finish_reason: finish_reason(native_finish_reason),
            native_finish_reason,
        }],
        usage: answer.usage.into(),
    };
    serde_json::to_vec(&completion).map_err(|_| BROKEN)
}

fn message<'a>(
    blocks: &'a [Block<'a>],
    encrypted: &'a [Option<Text<'a>>],
) -> Result<Message<'a>, Undecodable> {
    let tool_calls = blocks
        .iter()
        .filter(|block| block.kind.as_str() == "tool_use")
        .map(tool_call)
        .collect::<Result<Vec<_>, _>>()?;
    let content = join(texts(blocks, "text", |block| block.text.as_ref()));
    Ok(Message {
        role: "assistant",
        content: content.or_else(|| tool_calls.is_empty().then_some(Cow::Borrowed(""))),
        reasoning: join(texts(blocks, "thinking", |block| block.thinking.as_ref())),
        reasoning_details: thoughts(blocks, encrypted),
        tool_calls,
    })
}

fn tool_call<'a>(block: &'a Block<'a>) -> Result<ToolCall<'a>, Undecodable> {
    Ok(ToolCall {
        index: None,
        id: Some(block.id.as_ref().ok_or(BROKEN)?.as_str()),
        kind: Some("function"),
        function: Function {
            name: Some(block.name.as_ref().ok_or(BROKEN)?.as_str()),
            arguments: block.input.map_or("{}", RawValue::get),
        },
    })
}

fn texts<'a>(
    blocks: &'a [Block<'a>],
    kind: &'static str,
    field: fn(&'a Block<'a>) -> Option<&'a Text<'a>>,
) -> impl Iterator<Item = &'a str> {
    blocks
        .iter()
        .filter(move |block| block.kind.as_str() == kind)
        .filter_map(field)
        .map(Text::as_str)
        .filter(|text| !text.is_empty())
}

/// All texts as one; the usual single one is not copied.
fn join<'a>(mut texts: impl Iterator<Item = &'a str>) -> Option<Cow<'a, str>> {
    let mut joined = Cow::Borrowed(texts.next()?);
    for text in texts {
        joined.to_mut().push_str(text);
    }
    Some(joined)
}

fn thoughts<'a>(blocks: &'a [Block<'a>], encrypted: &'a [Option<Text<'a>>]) -> Vec<Thought<'a>> {
    blocks
        .iter()
        .zip(encrypted)
        .filter_map(|(block, data)| match (block.kind.as_str(), data) {
            ("thinking", _) => Some((
                Some(block.thinking.as_ref().map_or("", Text::as_str)),
                block.signature.as_ref().map(Text::as_str),
                None,
            )),
            (_, Some(data)) => Some((None, None, Some(data.as_str()))),
            _ => None,
        })
        .zip(0_u64..)
        .map(|((text, signature, data), index)| match data {
            Some(data) => Thought::encrypted(index, data),
            None => Thought::plain(index, text, signature),
        })
        .collect()
}

/// `data` is a string in redacted thinking alone; blocks of unknown kinds may use the name for anything.
fn encrypted_data<'a>(block: &Block<'a>) -> Result<Option<Text<'a>>, Undecodable> {
    match (block.kind.as_str(), block.data) {
        ("redacted_thinking", Some(data)) => {
            serde_json::from_str(data.get()).map(Some).map_err(|_| BROKEN)
        }
        _ => Ok(None),
    }
}
