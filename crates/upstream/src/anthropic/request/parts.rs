//! One message's content: OpenAI content parts in, Anthropic content blocks out. Which turn they join is decided elsewhere.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fields::read;
use crate::anthropic::{Text, Untranslatable};

/// A content block of the Messages dialect.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: Text<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<Text<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    ToolUse {
        id: String,
        name: Text<'a>,
        input: Cow<'a, RawValue>,
    },
    ToolResult {
        tool_use_id: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
    },
    Thinking {
        thinking: String,
        signature: Text<'a>,
    },
    RedactedThinking {
        data: Text<'a>,
    },
}

impl Block<'_> {
    pub(super) fn is_thinking(&self) -> bool {
        matches!(self, Self::Thinking { .. } | Self::RedactedThinking { .. })
    }
}

/// Where an image's or a document's bytes are.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 { media_type: Cow<'a, str>, data: Cow<'a, str> },
    Url { url: Cow<'a, str> },
}

/// Which parts a message may have: the provider takes pictures from users and tools alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    TextOnly,
    Media,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    refusal: Option<Text<'a>>,
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow)]
    file: Option<File<'a>>,
    #[serde(borrow)]
    cache_control: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    file_data: Option<Text<'a>>,
    #[serde(borrow)]
    filename: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct ImageUrl<'a> {
    #[serde(borrow)]
    url: Text<'a>,
}

/// The blocks of a message's `content`, which is a string or an array of parts. Text that is empty or white space
/// gives no block, because the provider refuses it. `cache_control` is the message's own, for a string content.
pub(super) fn blocks<'a>(
    content: &'a RawValue,
    cache_control: Option<&'a RawValue>,
    allowed: Allowed,
) -> Result<Vec<Block<'a>>, Untranslatable> {
    if content.get().starts_with('"') {
        let text: Text<'a> = read(content, "content", "a string without broken escapes")?;
        return Ok(text_block(text, cache_control).into_iter().collect());
    }
    let parts: Vec<&'a RawValue> =
        read(content, "content", "a string or an array of content parts")?;
    let mut blocks = Vec::with_capacity(parts.len());
    for (index, raw) in parts.into_iter().enumerate() {
        let block =
            part(raw, allowed).map_err(|error| error.within(&format!("content[{index}]")))?;
        blocks.extend(block);
    }
    Ok(blocks)
}

/// A text block, unless the provider would refuse it as blank.
pub(super) fn text_block<'a>(
    text: Text<'a>,
    cache_control: Option<&'a RawValue>,
) -> Option<Block<'a>> {
    if text.as_str().trim().is_empty() { None } else { Some(Block::Text { text, cache_control }) }
}

fn part(raw: &RawValue, allowed: Allowed) -> Result<Option<Block<'_>>, Untranslatable> {
    let part: Part<'_> = read(raw, "", "a content part with a type")?;
    let cache_control = part.cache_control;
    match (part.kind.as_str(), allowed) {
        ("text", _) => Ok(text_block(part.text.ok_or_else(|| missing("text"))?, cache_control)),
        ("refusal", _) => {
            Ok(text_block(part.refusal.ok_or_else(|| missing("refusal"))?, cache_control))
        }
        ("image_url", Allowed::Media) => {
            let source = image_source(part.image_url.ok_or_else(|| missing("image_url"))?)?;
            Ok(Some(Block::Image { source, cache_control }))
        }
        ("file", Allowed::Media) => {
            let file = part.file.ok_or_else(|| missing("file"))?;
            let source = document_source(file.file_data)?;
            Ok(Some(Block::Document { source, title: file.filename, cache_control }))
        }
        _ => Err(Untranslatable::new("type", "this provider takes no such part in this role")),
    }
}

fn missing(field: &str) -> Untranslatable {
    Untranslatable::new(field, "is missing")
}

/// `image_url` is an object with `url`; a bare string is common enough to be taken too.
fn image_source(raw: &RawValue) -> Result<Source<'_>, Untranslatable> {
    let url = if raw.get().starts_with('"') {
        read::<Text<'_>>(raw, "image_url", "a URL")?
    } else {
        read::<ImageUrl<'_>>(raw, "image_url", "an object with a url")?.url
    };
    if has_scheme(url.as_str(), "https://") || has_scheme(url.as_str(), "http://") {
        return Ok(Source::Url { url: url.0 });
    }
    let (media_type, data) = inline(url)
        .ok_or_else(|| Untranslatable::new("image_url.url", "expected http(s) or base64 data"))?;
    let media_type = match media_type.as_str() {
        "image/jpeg" | "image/jpg" => "image/jpeg",
        "image/png" => "image/png",
        "image/gif" => "image/gif",
        "image/webp" => "image/webp",
        _ => return Err(Untranslatable::new("image_url.url", "expected JPEG, PNG, GIF or WebP")),
    };
    Ok(Source::Base64 { media_type: Cow::Borrowed(media_type), data })
}

/// Only PDF files given inline have an equal; a `file_id` belongs to another provider's store.
fn document_source(file_data: Option<Text<'_>>) -> Result<Source<'_>, Untranslatable> {
    let param = "file.file_data";
    let refusal = || Untranslatable::new(param, "expected a PDF as a base64 data URL");
    let (media_type, data) = file_data.and_then(inline).ok_or_else(refusal)?;
    if media_type != "application/pdf" {
        return Err(refusal());
    }
    Ok(Source::Base64 { media_type: Cow::Owned(media_type), data })
}

fn has_scheme(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// Media type (lower case, without parameters) and payload of a base64 `data:` URL. The payload is not copied when the
/// URL was borrowed, and not checked: the provider does that.
fn inline(url: Text<'_>) -> Option<(String, Cow<'_, str>)> {
    if !has_scheme(url.as_str(), "data:") {
        return None;
    }
    let comma = url.as_str().find(',')?;
    let head = url.as_str().get("data:".len()..comma)?;
    let mut parameters = head.split(';');
    let media_type = parameters.next()?.trim().to_ascii_lowercase();
    if !parameters.next_back()?.eq_ignore_ascii_case("base64") {
        return None;
    }
    let data = match url.0 {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(comma + 1..)?),
        Cow::Owned(mut text) => Cow::Owned(text.split_off(comma + 1)),
    };
    if data.is_empty() { None } else { Some((media_type, data)) }
}
