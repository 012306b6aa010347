//! The conversation: roles become alternating turns, and every tool call meets its result.
//!
//! The provider's rules, all kept here: the first turn is the user's; turns alternate; blocks are never blank; a turn's
//! tool calls are answered all and once at the start of the next turn; call ids are unique and plain.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fields::read;
use super::parts::{Allowed, Block, blocks, text_block};
use super::reasoning::{self, ReasoningDetail};
use crate::anthropic::{Text, Untranslatable};

/// The user's turn put before a conversation that the assistant opens (a greeting) or that is instructions alone: the
/// provider demands a first user turn with text, and OpenAI does not.
pub(super) const OPENING: &str = "(The conversation begins.)";

/// Who speaks a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    User,
    Assistant,
}

/// All that one side says before the other speaks.
#[derive(Debug, Serialize)]
pub(super) struct Turn<'a> {
    role: Role,
    content: Vec<Block<'a>>,
}

/// The instructions and the turns of a request.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    /// System and developer messages in their order, wherever they stood.
    pub(super) system: Vec<Block<'a>>,
    pub(super) turns: Vec<Turn<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<Text<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow)]
    tool_call_id: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning_details: Option<Vec<ReasoningDetail<'a>>>,
    #[serde(borrow)]
    cache_control: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Option<Text<'a>>,
}

impl<'a> Conversation<'a> {
    /// Reads `messages`.
    pub(super) fn read(raw: &'a RawValue) -> Result<Self, Untranslatable> {
        let messages: Vec<&'a RawValue> = read(raw, "messages", "an array of messages")?;
        let mut listener = Listener::default();
        for (index, raw) in messages.into_iter().enumerate() {
            listener.hear(raw).map_err(|error| error.within(&format!("messages[{index}]")))?;
        }
        listener.finish()
    }

    /// Adds an instruction of ours after the caller's.
    pub(super) fn instruct(&mut self, instruction: Option<String>) {
        let text = instruction.map(|text| Text(Cow::Owned(text)));
        self.system.extend(text.and_then(|text| text_block(text, None)));
    }

    /// Whether the assistant's last turn is still in use (its tools just answered, or the turn to be continued) and does
    /// not start with thinking: the provider then refuses a thinking budget.
    pub(super) fn tool_loop_lacks_thinking(&self) -> bool {
        let mut backwards = self.turns.iter().rev();
        let in_use = match backwards.next() {
            Some(Turn { role: Role::User, content })
                if matches!(content.first(), Some(Block::ToolResult { .. })) =>
            {
                backwards.next()
            }
            Some(turn @ Turn { role: Role::Assistant, .. }) => Some(turn),
            _ => None,
        };
        in_use.is_some_and(|turn| !turn.content.first().is_some_and(Block::is_thinking))
    }
}

/// Hears the messages one after another.
#[derive(Default)]
struct Listener<'a> {
    heard: Conversation<'a>,
    /// Ids already given to the provider.
    used_ids: HashSet<String>,
    /// Calls of the last assistant turn, by the caller's id.
    calls: HashMap<String, Call>,
}

struct Call {
    /// The id as the provider sees it.
    id: String,
    is_answered: bool,
}

impl<'a> Listener<'a> {
    fn hear(&mut self, raw: &'a RawValue) -> Result<(), Untranslatable> {
        let message: Message<'a> = read(raw, "", "a message with a role")?;
        match message.role.as_str() {
            "system" | "developer" => {
                self.heard.system.extend(message.blocks(Allowed::TextOnly)?);
                Ok(())
            }
            "user" => {
                let content = message.blocks(Allowed::Media)?;
                self.say(Role::User, content);
                Ok(())
            }
            "assistant" => self.hear_assistant(message),
            "tool" => self.hear_tool(&message),
            _ => Err(Untranslatable::new("role", "expected system, user, assistant or tool")),
        }
    }

    fn hear_assistant(&mut self, mut message: Message<'a>) -> Result<(), Untranslatable> {
        let calls = message.tool_calls.take().unwrap_or_default();
        let details = message.reasoning_details.take().unwrap_or_default();
        let mut content = message.blocks(Allowed::TextOnly)?;
        content.extend(message.refusal.and_then(|text| text_block(text, None)));
        if content.is_empty() && calls.is_empty() {
            return Ok(());
        }
        if self.heard.turns.last().is_some_and(|turn| turn.role == Role::User) {
            self.close_calls()?;
        }
        content.splice(0..0, reasoning::thinking_blocks(details));
        for (index, call) in calls.into_iter().enumerate() {
            let block =
                self.call(call).map_err(|error| error.within(&format!("tool_calls[{index}]")))?;
            content.push(block);
        }
        self.say(Role::Assistant, content);
        Ok(())
    }

    fn call(&mut self, call: ToolCall<'a>) -> Result<Block<'a>, Untranslatable> {
        let function = call
            .function
            .ok_or_else(|| Untranslatable::new("type", "only function calls have an equal"))?;
        let input = arguments(function.arguments)?;
        let id = self.new_id(call.id.as_str());
        let pending = Call { id: id.clone(), is_answered: false };
        if self.calls.insert(call.id.0.into_owned(), pending).is_some() {
            return Err(Untranslatable::new("id", "another call of this turn has the same id"));
        }
        Ok(Block::ToolUse { id, name: function.name, input })
    }

    /// An id the provider takes: plain characters, unique in the whole conversation (some servers count from zero each turn).
    fn new_id(&mut self, wanted: &str) -> String {
        let plain: String = wanted
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' })
            .collect();
        let plain = if plain.is_empty() { "call".to_owned() } else { plain };
        let mut id = plain.clone();
        if self.used_ids.contains(&id) {
            id = format!("{plain}_{}", self.used_ids.len());
            while self.used_ids.contains(&id) {
                id.push('_');
            }
        }
        self.used_ids.insert(id.clone());
        id
    }

    fn hear_tool(&mut self, message: &Message<'a>) -> Result<(), Untranslatable> {
        let param = "tool_call_id";
        let id = message
            .tool_call_id
            .as_ref()
            .ok_or_else(|| Untranslatable::new(param, "is missing"))?;
        let call = self
            .calls
            .get_mut(id.as_str())
            .ok_or_else(|| Untranslatable::new(param, "answers no call of the turn before"))?;
        if call.is_answered {
            return Err(Untranslatable::new(param, "answers a call that has its result"));
        }
        call.is_answered = true;
        let tool_use_id = call.id.clone();
        let content = message.blocks(Allowed::Media)?;
        self.say(Role::User, vec![Block::ToolResult { tool_use_id, content }]);
        Ok(())
    }

    /// Adds to the last turn if it has the same role, else begins a turn.
    fn say(&mut self, role: Role, content: Vec<Block<'a>>) {
        if content.is_empty() {
            return;
        }
        match self.heard.turns.last_mut() {
            Some(turn) if turn.role == role => turn.content.extend(content),
            _ => self.heard.turns.push(Turn { role, content }),
        }
    }

    fn close_calls(&mut self) -> Result<(), Untranslatable> {
        if self.calls.drain().any(|(_, call)| !call.is_answered) {
            let message = "an earlier tool call has no result in the messages that follow it";
            return Err(Untranslatable::new("", message));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Conversation<'a>, Untranslatable> {
        self.close_calls().map_err(|error| error.within("messages"))?;
        let Conversation { system, mut turns } = self.heard;
        if turns.is_empty() && system.is_empty() {
            return Err(Untranslatable::new("messages", "has no text"));
        }
        for turn in &mut turns {
            turn.content.sort_by_key(|block| place(turn.role, block));
        }
        trim_prefill(&mut turns);
        if turns.first().is_none_or(|turn| turn.role == Role::Assistant) {
            let text = Text(Cow::Borrowed(OPENING));
            let content = vec![Block::Text { text, cache_control: None }];
            turns.insert(0, Turn { role: Role::User, content });
        }
        Ok(Conversation { system, turns })
    }
}

/// Results go first and calls last in their turns; everything else keeps its order.
fn place(role: Role, block: &Block<'_>) -> u8 {
    match (role, block) {
        (Role::User, Block::ToolResult { .. }) => 0,
        (Role::Assistant, Block::ToolUse { .. }) => 2,
        _ => 1,
    }
}

/// A last assistant turn is a beginning to be continued. The provider refuses one that ends in white space.
fn trim_prefill(turns: &mut [Turn<'_>]) {
    if let Some(Turn { role: Role::Assistant, content }) = turns.last_mut()
        && let Some(Block::Text { text, .. }) = content.last_mut()
    {
        let end = text.as_str().trim_end().len();
        match &mut text.0 {
            Cow::Borrowed(text) => *text = text.get(..end).unwrap_or_default(),
            Cow::Owned(text) => text.truncate(end),
        }
    }
}

/// A call's arguments as an object, its text unchanged. No text means no arguments.
fn arguments(text: Option<Text<'_>>) -> Result<Cow<'_, RawValue>, Untranslatable> {
    let text = text.map(|text| text.0).unwrap_or_default();
    let text = if text.trim().is_empty() { Cow::Borrowed("{}") } else { text };
    let raw = match text {
        Cow::Borrowed(text) => serde_json::from_str(text).map(Cow::Borrowed),
        Cow::Owned(text) => serde_json::from_str(&text).map(Cow::Owned),
    };
    raw.ok().filter(|raw: &Cow<'_, RawValue>| raw.get().starts_with('{')).ok_or_else(|| {
        Untranslatable::new("function.arguments", "expected a JSON object as a string")
    })
}

impl<'a> Message<'a> {
    fn blocks(&self, allowed: Allowed) -> Result<Vec<Block<'a>>, Untranslatable> {
        match self.content {
            Some(content) => blocks(content, self.cache_control, allowed),
            None => Ok(Vec::new()),
        }
    }
}
