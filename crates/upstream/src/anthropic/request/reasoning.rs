//! Thinking: what the caller asks by `reasoning_effort` or `reasoning`, as a thinking budget or an effort, and thoughts of
//! earlier turns handed back.
//!
//! Models that think adaptively get an effort; older ones get a budget, a share of the answer's limit. Thinking is a
//! wish: where the provider would refuse it (a forced tool, a tool loop begun without it) it gives way.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fields::{Fields, read};
use super::parts::Block;
use crate::anthropic::chunk::THOUGHT_FORMAT;
use crate::anthropic::generation::Generation;
use crate::anthropic::{Text, Untranslatable};

/// Smallest thinking budget the provider takes, in tokens.
const MIN_BUDGET: u64 = 1024;

/// How hard to think, from the union of OpenAI's and the provider's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

impl Effort {
    /// The budget as a share of the answer's limit, in percent.
    fn share_percent(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Minimal => 10,
            Self::Low => 20,
            Self::Medium => 50,
            Self::High => 80,
            Self::Xhigh | Self::Max => 95,
        }
    }

    /// The provider's word, for models that take an effort.
    fn word(self, generation: Generation) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Minimal | Self::Low => Some("low"),
            Self::Medium => Some("medium"),
            Self::Xhigh if generation.only_adaptive() => Some("xhigh"),
            Self::High | Self::Xhigh => Some("high"),
            Self::Max => Some("max"),
        }
    }
}

/// What the caller asks.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Reasoning {
    effort: Option<Effort>,
    /// Thinking budget in tokens.
    max_tokens: Option<u64>,
    enabled: Option<bool>,
    /// Think, but keep the thoughts back.
    exclude: Option<bool>,
}

/// What decides besides the wish itself.
pub(super) struct Circumstances {
    pub(super) generation: Generation,
    /// The caller's limit of the answer, thoughts included, in tokens.
    pub(super) limit: Option<u64>,
    pub(super) default_max_tokens: u64,
    pub(super) forced_tool: bool,
    pub(super) unthought_tool_loop: bool,
}

/// What is decided.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) max_tokens: u64,
    pub(super) thinking: Option<Thinking>,
    pub(super) effort: Option<&'static str>,
}

/// The provider's `thinking` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Thinking {
    Enabled {
        budget_tokens: u64,
    },
    Adaptive {
        #[serde(skip_serializing_if = "Option::is_none")]
        display: Option<&'static str>,
    },
    Disabled,
}

impl Thinking {
    pub(super) fn is_on(self) -> bool {
        !matches!(self, Self::Disabled)
    }
}

/// The provider's `output_config` field.
#[derive(Serialize)]
pub(super) struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format<'a> {
    JsonSchema { schema: &'a RawValue },
}

impl<'a> OutputConfig<'a> {
    pub(super) fn unless_empty(
        effort: Option<&'static str>,
        schema: Option<&'a RawValue>,
    ) -> Option<Self> {
        let format = schema.map(|schema| Format::JsonSchema { schema });
        if effort.is_none() && format.is_none() { None } else { Some(Self { effort, format }) }
    }
}

impl Reasoning {
    /// Takes `reasoning` and `reasoning_effort`; the effort in the former goes first.
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, Untranslatable> {
        let expected = "none, minimal, low, medium, high, xhigh or max";
        let short = fields.get::<Effort>("reasoning_effort", expected)?;
        let expected = "an object with effort, max_tokens, enabled or exclude";
        let mut asked = fields.get::<Self>("reasoning", expected)?.unwrap_or_default();
        asked.effort = asked.effort.or(short);
        if asked.effort.is_none() && asked.max_tokens.is_none() {
            asked.effort = asked.enabled.map(|on| if on { Effort::Medium } else { Effort::None });
        }
        Ok(asked)
    }

    /// Decides the thinking, the effort and the answer's limit.
    pub(super) fn plan(&self, around: &Circumstances) -> Result<Plan, Untranslatable> {
        let generation = around.generation;
        let max_tokens = around.limit.unwrap_or(around.default_max_tokens);
        let plain = Plan { max_tokens, thinking: None, effort: None };
        if self.effort.is_none() && self.max_tokens.is_none() || !generation.can_think() {
            return Ok(plain);
        }
        let takes_budget = !generation.only_adaptive() && self.max_tokens.is_some();
        if generation.thinks_adaptively() && !takes_budget {
            let effort = self.effort.and_then(|effort| effort.word(generation));
            return Ok(Plan { thinking: self.adaptive(around), effort, ..plain });
        }
        if around.forced_tool || around.unthought_tool_loop {
            return Ok(plain);
        }
        self.with_budget(around)
    }

    fn adaptive(&self, around: &Circumstances) -> Option<Thinking> {
        if self.effort == Some(Effort::None) {
            return Some(Thinking::Disabled);
        }
        if around.forced_tool {
            return None;
        }
        let word = if self.exclude == Some(true) { "omitted" } else { "summarized" };
        let display = around.generation.only_adaptive().then_some(word);
        Some(Thinking::Adaptive { display })
    }

    /// A budget must leave room for the answer. Where the caller set no limit of the answer, an explicit budget comes on
    /// top of the default limit.
    fn with_budget(&self, around: &Circumstances) -> Result<Plan, Untranslatable> {
        let default = around.default_max_tokens;
        let (max_tokens, wanted) = match (self.max_tokens, around.limit) {
            (Some(budget), None) => (budget.max(MIN_BUDGET).saturating_add(default), budget),
            (Some(budget), Some(limit)) => (limit, budget),
            (None, limit) => {
                let max_tokens = limit.unwrap_or(default);
                let percent = self.effort.map_or(0, Effort::share_percent);
                (max_tokens, max_tokens / 100 * percent)
            }
        };
        let fits = max_tokens > MIN_BUDGET;
        if !fits && self.max_tokens.is_some() {
            let message = "the answer's limit leaves no room for thinking (1024 tokens at least)";
            return Err(Untranslatable::new("reasoning.max_tokens", message));
        }
        let is_wanted = self.max_tokens.is_some() || self.effort != Some(Effort::None);
        let budget_tokens = wanted.max(MIN_BUDGET).min(max_tokens.saturating_sub(1));
        let thinking = (fits && is_wanted).then_some(Thinking::Enabled { budget_tokens });
        Ok(Plan { max_tokens, thinking, effort: None })
    }
}

/// Whether the caller's own `thinking` object turns thinking on.
pub(super) fn turns_on(raw: &RawValue) -> Result<bool, Untranslatable> {
    #[derive(Deserialize)]
    struct Native<'a> {
        #[serde(rename = "type", borrow)]
        kind: Text<'a>,
    }
    let native: Native<'_> = read(raw, "thinking", "an object with a type")?;
    Ok(native.kind.as_str() != "disabled")
}

/// One piece of an earlier turn's thoughts, as the translated answers hand them out.
#[derive(Deserialize)]
pub(super) struct ReasoningDetail<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    signature: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<Text<'a>>,
    #[serde(borrow)]
    format: Option<Text<'a>>,
}

impl ReasoningDetail<'_> {
    /// Another provider's thoughts say so in their format; older clients drop the field.
    fn is_ours(&self) -> bool {
        self.format.as_ref().is_none_or(|format| format.as_str() == THOUGHT_FORMAT)
    }
}

/// Thinking blocks to hand back. Streamed pieces are joined up to their signature; what has none, or comes from another
/// provider, is left out, because this one verifies signatures.
pub(super) fn thinking_blocks<'a>(details: Vec<ReasoningDetail<'a>>) -> Vec<Block<'a>> {
    let mut blocks = Vec::new();
    let mut thinking = String::new();
    for detail in details.into_iter().filter(ReasoningDetail::is_ours) {
        match (detail.kind.as_str(), detail.data) {
            ("reasoning.text", _) => {
                thinking.push_str(detail.text.as_ref().map_or("", Text::as_str));
                if let Some(signature) = detail.signature.filter(|text| !text.as_str().is_empty()) {
                    let thinking = std::mem::take(&mut thinking);
                    blocks.push(Block::Thinking { thinking, signature });
                }
            }
            ("reasoning.encrypted", Some(data)) => blocks.push(Block::RedactedThinking { data }),
            _ => {}
        }
    }
    blocks
}
