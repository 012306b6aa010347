//! Tools and which of them the model may or must call.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fields::{Fields, read};
use crate::anthropic::generation::Generation;
use crate::anthropic::{Text, Untranslatable};

/// A tool as the provider takes it.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Tool<'a> {
    Function(Function<'a>),
    /// Written in the provider's own dialect (its server-side tools): handed on untouched.
    Native(&'a RawValue),
}

#[derive(Serialize)]
pub(super) struct Function<'a> {
    name: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Text<'a>>,
    input_schema: Cow<'a, RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<&'a RawValue>,
}

/// Which tool to call.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ToolChoice<'a> {
    Auto {
        #[serde(skip_serializing_if = "Option::is_none")]
        disable_parallel_tool_use: Option<bool>,
    },
    None,
    Any {
        #[serde(skip_serializing_if = "Option::is_none")]
        disable_parallel_tool_use: Option<bool>,
    },
    Tool {
        name: Text<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        disable_parallel_tool_use: Option<bool>,
    },
}

impl ToolChoice<'_> {
    pub(super) fn is_forced(&self) -> bool {
        matches!(self, Self::Any { .. } | Self::Tool { .. })
    }
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
}

#[derive(Deserialize)]
struct OpenAiTool<'a> {
    #[serde(borrow)]
    function: OpenAiFunction<'a>,
    #[serde(borrow)]
    cache_control: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OpenAiFunction<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    description: Option<Text<'a>>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    strict: Option<bool>,
    #[serde(borrow)]
    cache_control: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct NamedChoice<'a> {
    #[serde(borrow)]
    function: Option<ChosenFunction<'a>>,
}

#[derive(Deserialize)]
struct ChosenFunction<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

/// Reads `tools`.
pub(super) fn read_tools(
    raw: Option<&RawValue>,
    generation: Generation,
) -> Result<Vec<Tool<'_>>, Untranslatable> {
    let Some(raw) = raw else { return Ok(Vec::new()) };
    let tools: Vec<&RawValue> = read(raw, "tools", "an array of tools")?;
    tools
        .into_iter()
        .enumerate()
        .map(|(index, raw)| {
            tool(raw, generation).map_err(|error| error.within(&format!("tools[{index}]")))
        })
        .collect()
}

fn tool(raw: &RawValue, generation: Generation) -> Result<Tool<'_>, Untranslatable> {
    let kind: Kind<'_> = read(raw, "", "a tool with a type")?;
    match kind.kind.as_str() {
        "function" => {
            let expected = "a function with a name and its parameters";
            function(read(raw, "function", expected)?, generation).map(Tool::Function)
        }
        "custom" => Err(Untranslatable::new("type", "tools with free-form input have no equal")),
        _ => Ok(Tool::Native(raw)),
    }
}

fn function(tool: OpenAiTool<'_>, generation: Generation) -> Result<Function<'_>, Untranslatable> {
    let OpenAiFunction { name, description, parameters, strict, cache_control } = tool.function;
    let is_strict = strict == Some(true) && generation.has_structured_outputs();
    Ok(Function {
        name,
        description: description.filter(|text| !text.as_str().is_empty()),
        input_schema: input_schema(parameters)?,
        strict: is_strict.then_some(true),
        cache_control: tool.cache_control.or(cache_control),
    })
}

/// The provider demands an object schema that says so; OpenAI takes none at all, or one without a type.
fn input_schema(parameters: Option<&RawValue>) -> Result<Cow<'_, RawValue>, Untranslatable> {
    let Some(parameters) = parameters else { return object_schema("}") };
    let param = "function.parameters";
    if Fields::nested(parameters, param)?.peek("type").is_some() {
        return Ok(Cow::Borrowed(parameters));
    }
    object_schema(parameters.get().strip_prefix('{').unwrap_or("}"))
}

/// An object schema from the text of one after its opening brace.
fn object_schema(inner: &str) -> Result<Cow<'static, RawValue>, Untranslatable> {
    let comma = if inner.trim_start().starts_with('}') { "" } else { "," };
    RawValue::from_string(format!("{{\"type\":\"object\"{comma}{inner}"))
        .map(Cow::Owned)
        .map_err(|_| Untranslatable::new("function.parameters", "expected a JSON Schema object"))
}

/// Reads `tool_choice` and `parallel_tool_calls`. Without tools the provider refuses a choice, so a harmless one is left
/// out and a demanding one refused.
pub(super) fn read_choice<'a>(
    fields: &mut Fields<'a>,
    tools: &[Tool<'_>],
) -> Result<Option<ToolChoice<'a>>, Untranslatable> {
    let parallel = fields.get::<bool>("parallel_tool_calls", "true or false")?;
    let disable_parallel_tool_use = (parallel == Some(false)).then_some(true);
    let choice = match fields.take("tool_choice") {
        Some(raw) => Some(choice(raw, disable_parallel_tool_use)?),
        None => disable_parallel_tool_use
            .map(|on| ToolChoice::Auto { disable_parallel_tool_use: Some(on) }),
    };
    match choice {
        Some(choice) if tools.is_empty() && choice.is_forced() => {
            Err(Untranslatable::new("tool_choice", "demands a tool, but there are no tools"))
        }
        choice => Ok(choice.filter(|_| !tools.is_empty())),
    }
}

fn choice(
    raw: &RawValue,
    disable_parallel_tool_use: Option<bool>,
) -> Result<ToolChoice<'_>, Untranslatable> {
    let param = "tool_choice";
    let expected = "auto, none, required or a named function";
    if raw.get().starts_with('"') {
        let word: Text<'_> = read(raw, param, expected)?;
        return match word.as_str() {
            "auto" => Ok(ToolChoice::Auto { disable_parallel_tool_use }),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Any { disable_parallel_tool_use }),
            _ => Err(Untranslatable::new(param, format!("expected {expected}"))),
        };
    }
    let named: NamedChoice<'_> = read(raw, param, expected)?;
    let function =
        named.function.ok_or_else(|| Untranslatable::new(param, format!("expected {expected}")))?;
    Ok(ToolChoice::Tool { name: function.name, disable_parallel_tool_use })
}
