//! From a stream of Messages events to OpenAI chunks, one event at a time. Framing (SSE) and timing are elsewhere.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::chunk::{Chunk, ChunkChoice, Delta, Function, Thought, ToolCall};
use super::usage::{Counts, Usage, finish_reason};
use super::{Text, Undecodable, error};

/// Most content blocks that may be begun and not ended at a time; the provider has one.
const MAX_BEGUN_BLOCKS: usize = 128;

/// The id in chunks of a stream that names none.
const NO_ID: &str = "msg_unnamed";

/// Where a stream stands after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamState {
    /// More events are to come; an end of input now is a truncated answer.
    Open,
    /// The answer is complete; later events are ignored.
    Done,
    /// The provider broke off with an error event; later events are ignored.
    Failed {
        /// The HTTP status the provider gives this error outside a stream (529 when overloaded).
        status: u16,
    },
}

/// Translates one streamed answer.
#[derive(Debug)]
pub struct Translator {
    model: String,
    created: u64,
    id: String,
    state: StreamState,
    counts: Counts,
    /// Blocks begun and not yet ended, by the provider's index.
    begun: BTreeMap<u64, Begun>,
    next_tool: u64,
    next_thought: u64,
    has_role: bool,
    stop_reason: Option<String>,
}

/// A content block at work.
#[derive(Debug)]
enum Begun {
    Text,
    Thought {
        index: u64,
    },
    Tool {
        index: u64,
        /// Arguments given at the block's begin; they count if no pieces follow.
        whole: Option<String>,
    },
    /// A kind without an equal.
    Other,
}

impl Translator {
    /// A translator whose chunks name `model` and `created` (seconds since 1970).
    pub fn new(model: &str, created: u64) -> Self {
        Self {
            model: model.to_owned(),
            created,
            id: NO_ID.to_owned(),
            state: StreamState::Open,
            counts: Counts::default(),
            begun: BTreeMap::new(),
            next_tool: 0,
            next_thought: 0,
            has_role: false,
            stop_reason: None,
        }
    }

    /// Translates one event, `name` being the SSE event name if there was one, and appends to `out` the chunks' payloads
    /// (without `data: ` framing): none, one or a few. `[DONE]` is the caller's to write.
    ///
    /// The type in the data goes before the name. `ping` and unknown types give nothing. The last two chunks are the finish
    /// reason and the usage, the latter with empty choices. An `error` event gives `{"error": …}` with a numeric code.
    ///
    /// # Errors
    /// [`Undecodable`] when the data is not the JSON of its event.
    pub fn event(
        &mut self,
        name: Option<&str>,
        data: &[u8],
        out: &mut Vec<Vec<u8>>,
    ) -> Result<StreamState, Undecodable> {
        if self.state != StreamState::Open || name == Some("ping") {
            return Ok(self.state);
        }
        let tag: Tag<'_> = read(data, "event")?;
        match tag.kind.as_ref().map(Text::as_str).or(name) {
            Some("message_start") => self.start(read(data, "message_start event")?, out)?,
            Some("content_block_start") => {
                self.begin_block(read(data, "content_block_start event")?, out)?;
            }
            Some("content_block_delta") => {
                self.piece(read(data, "content_block_delta event")?, out)?;
            }
            Some("content_block_stop") => {
                let stop: BlockStop = read(data, "content_block_stop event")?;
                self.end_block(stop.index, out)?;
            }
            Some("message_delta") => self.near_end(read(data, "message_delta event")?),
            Some("message_stop") => self.finish(out)?,
            Some("error") => {
                let (status, payload) = error::to_chunk(data);
                out.push(payload);
                self.state = StreamState::Failed { status };
            }
            _ => {}
        }
        Ok(self.state)
    }

    /// Tells that the input ended. An answer whose stop reason is known is complete though its last event is missing, and
    /// its last chunks are appended; any other stays `Open`, which is a truncation.
    ///
    /// # Errors
    /// [`Undecodable`] when a chunk cannot be written, which does not happen.
    pub fn end_of_input(&mut self, out: &mut Vec<Vec<u8>>) -> Result<StreamState, Undecodable> {
        if self.state == StreamState::Open && self.stop_reason.is_some() {
            self.finish(out)?;
        }
        Ok(self.state)
    }

    fn start(&mut self, start: MessageStart<'_>, out: &mut Vec<Vec<u8>>) -> Written {
        if let Some(id) = start.message.id {
            id.as_str().clone_into(&mut self.id);
        }
        self.counts.update(start.message.usage.unwrap_or_default());
        self.give_role(out)
    }

    fn begin_block(&mut self, start: BlockStart<'_>, out: &mut Vec<Vec<u8>>) -> Written {
        let BlockStart { index, content_block: block } = start;
        if self.begun.len() >= MAX_BEGUN_BLOCKS {
            return Err(Undecodable { what: "stream (too many blocks at a time)" });
        }
        let begun = match block.kind.as_str() {
            "text" => Begun::Text,
            "thinking" => Begun::Thought { index: counted(&mut self.next_thought) },
            "redacted_thinking" => {
                let index = counted(&mut self.next_thought);
                let data = block.data.as_ref().map_or("", Text::as_str);
                let thought = Thought::encrypted(index, data);
                let delta = Delta { reasoning_details: Some([thought]), ..Delta::default() };
                self.give(delta, out)?;
                Begun::Other
            }
            "tool_use" => self.begin_tool(&block, out)?,
            _ => Begun::Other,
        };
        let text = block.text.filter(|text| !text.as_str().is_empty());
        if let (Begun::Text, Some(text)) = (&begun, text) {
            self.give(Delta { content: Some(text.as_str()), ..Delta::default() }, out)?;
        }
        self.begun.insert(index, begun);
        Ok(())
    }

    fn begin_tool(
        &mut self,
        block: &StartedBlock<'_>,
        out: &mut Vec<Vec<u8>>,
    ) -> Result<Begun, Undecodable> {
        let missing = Undecodable { what: "tool_use block" };
        let id = block.id.as_ref().ok_or(missing)?.as_str();
        let name = block.name.as_ref().ok_or(missing)?.as_str();
        let index = counted(&mut self.next_tool);
        let function = Function { name: Some(name), arguments: "" };
        let call = ToolCall { index: Some(index), id: Some(id), kind: Some("function"), function };
        self.give(Delta { tool_calls: Some([call]), ..Delta::default() }, out)?;
        let whole = block.input.map_or("{}", RawValue::get).to_owned();
        Ok(Begun::Tool { index, whole: Some(whole) })
    }

    fn piece(&mut self, piece: BlockDelta<'_>, out: &mut Vec<Vec<u8>>) -> Written {
        let PieceOfBlock { kind, text, thinking, signature, partial_json } = piece.delta;
        match (kind.as_str(), self.begun.get_mut(&piece.index)) {
            ("text_delta", _) => {
                let content = text.as_ref().map(Text::as_str);
                self.give(Delta { content, ..Delta::default() }, out)
            }
            ("thinking_delta", begun) => {
                let reasoning = thinking.as_ref().map(Text::as_str);
                let thought = Thought::plain(thought_index(begun), reasoning, None);
                let reasoning_details = Some([thought]);
                self.give(Delta { reasoning, reasoning_details, ..Delta::default() }, out)
            }
            ("signature_delta", begun) => {
                let signature = signature.as_ref().map(Text::as_str);
                let thought = Thought::plain(thought_index(begun), None, signature);
                self.give(Delta { reasoning_details: Some([thought]), ..Delta::default() }, out)
            }
            ("input_json_delta", Some(Begun::Tool { index, whole })) => {
                let arguments = partial_json.as_ref().map_or("", Text::as_str);
                if arguments.is_empty() {
                    return Ok(());
                }
                *whole = None;
                let index = *index;
                self.give_arguments(index, arguments, out)
            }
            _ => Ok(()),
        }
    }

    /// A call without argument pieces still needs arguments that parse: those of its begin, usually `{}`.
    fn end_block(&mut self, index: u64, out: &mut Vec<Vec<u8>>) -> Written {
        match self.begun.remove(&index) {
            Some(Begun::Tool { index, whole: Some(whole) }) => {
                self.give_arguments(index, &whole, out)
            }
            _ => Ok(()),
        }
    }

    fn near_end(&mut self, end: MessageDelta<'_>) {
        self.counts.update(end.usage.unwrap_or_default());
        if let Some(reason) = end.delta.and_then(|delta| delta.stop_reason) {
            self.stop_reason = Some(reason.0.into_owned());
        }
    }

    fn finish(&mut self, out: &mut Vec<Vec<u8>>) -> Written {
        while let Some((&index, _)) = self.begun.first_key_value() {
            self.end_block(index, out)?;
        }
        self.give_role(out)?;
        let native_finish_reason = self.stop_reason.as_deref();
        let choice = ChunkChoice {
            index: 0,
            delta: Delta::default(),
            finish_reason: Some(finish_reason(native_finish_reason)),
            native_finish_reason,
        };
        self.write(&[choice], None, out)?;
        self.write(&[], Some(self.counts.into()), out)?;
        self.state = StreamState::Done;
        Ok(())
    }

    fn give_role(&mut self, out: &mut Vec<Vec<u8>>) -> Written {
        if self.has_role {
            return Ok(());
        }
        self.has_role = true;
        self.give(Delta { role: Some("assistant"), content: Some(""), ..Delta::default() }, out)
    }

    fn give_arguments(&mut self, index: u64, arguments: &str, out: &mut Vec<Vec<u8>>) -> Written {
        let function = Function { name: None, arguments };
        let call = ToolCall { index: Some(index), id: None, kind: None, function };
        self.give(Delta { tool_calls: Some([call]), ..Delta::default() }, out)
    }

    /// Writes a chunk with content, after the role if that is still owed.
    fn give(&mut self, delta: Delta<'_>, out: &mut Vec<Vec<u8>>) -> Written {
        self.give_role(out)?;
        let choice =
            ChunkChoice { index: 0, delta, finish_reason: None, native_finish_reason: None };
        self.write(&[choice], None, out)
    }

    fn write(
        &self,
        choices: &[ChunkChoice<'_>],
        usage: Option<Usage>,
        out: &mut Vec<Vec<u8>>,
    ) -> Written {
        let chunk = Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            choices,
            usage,
        };
        out.push(serde_json::to_vec(&chunk).map_err(|_| Undecodable { what: "chunk" })?);
        Ok(())
    }
}

type Written = Result<(), Undecodable>;

fn counted(next: &mut u64) -> u64 {
    let index = *next;
    *next = next.saturating_add(1);
    index
}

fn thought_index(begun: Option<&mut Begun>) -> u64 {
    match begun {
        Some(Begun::Thought { index }) => *index,
        Some(Begun::Text | Begun::Tool { .. } | Begun::Other) | None => 0,
    }
}

fn read<'a, T: Deserialize<'a>>(data: &'a [u8], what: &'static str) -> Result<T, Undecodable> {
    serde_json::from_slice(data).map_err(|_| Undecodable { what })
}

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct MessageStart<'a> {
    #[serde(borrow)]
    message: StartedMessage<'a>,
}

#[derive(Deserialize)]
struct StartedMessage<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct BlockStart<'a> {
    index: u64,
    #[serde(borrow)]
    content_block: StartedBlock<'a>,
}

#[derive(Deserialize)]
struct StartedBlock<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct BlockDelta<'a> {
    index: u64,
    #[serde(borrow)]
    delta: PieceOfBlock<'a>,
}

#[derive(Deserialize)]
struct PieceOfBlock<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    #[serde(borrow)]
    signature: Option<Text<'a>>,
    #[serde(borrow)]
    partial_json: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct BlockStop {
    index: u64,
}

#[derive(Deserialize)]
struct MessageDelta<'a> {
    #[serde(borrow)]
    delta: Option<End<'a>>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct End<'a> {
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
}
