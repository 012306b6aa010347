//! Messages, their parts and tools → JSON. Only the form: whether a
//! conversation makes sense is for the provider to say.

use serde_json::value::RawValue;
use trunkline_proto::inference::v1::{
    AudioPart, ContentPart, FilePart, FunctionDefinition, ImagePart, InlineData, JsonSchemaFormat,
    Message, ResponseFormat, Role, Tool, ToolCall, ToolChoice, ToolChoiceMode, content_part,
    file_part, function_definition, image_part, json_schema_format, message, response_format,
    tool_choice,
};

use super::BadField;
use super::object::Object;

/// Appends one message.
pub(super) fn write_message(given: &Message, out: &mut Vec<u8>) -> Result<(), BadField> {
    let mut object = Object::begin(out, given.extra.as_ref());
    match role_name(given.role)? {
        Some(role) => object.put_text("role", role),
        None if object.extra_has("role") => {}
        None => return Err(BadField::new("role", "is required")),
    }
    match &given.body {
        Some(message::Body::Content(text)) => object.put_text("content", text),
        Some(message::Body::Parts(content)) => write_parts(&content.parts, &mut object)?,
        None => {}
    }
    object.put_if_set("name", &given.name)?;
    object.put_each("tool_calls", &given.tool_calls, write_tool_call)?;
    object.put_if_set("tool_call_id", &given.tool_call_id)?;
    object.put_if_set("refusal", &given.refusal)?;
    object.put_if_set("reasoning", &given.reasoning)?;
    object.end()
}

fn write_parts(parts: &[ContentPart], object: &mut Object<'_>) -> Result<(), BadField> {
    if parts.is_empty() {
        return object.put("content", &[(); 0]);
    }
    object.put_each("content", parts, write_part)
}

fn role_name(role: i32) -> Result<Option<&'static str>, BadField> {
    match Role::try_from(role) {
        Ok(Role::Unspecified) => Ok(None),
        Ok(Role::System) => Ok(Some("system")),
        Ok(Role::Developer) => Ok(Some("developer")),
        Ok(Role::User) => Ok(Some("user")),
        Ok(Role::Assistant) => Ok(Some("assistant")),
        Ok(Role::Tool) => Ok(Some("tool")),
        Err(_) => Err(BadField::new("role", "is not a known role")),
    }
}

fn write_part(given: &ContentPart, out: &mut Vec<u8>) -> Result<(), BadField> {
    let mut object = Object::begin(out, given.extra.as_ref());
    match &given.part {
        Some(content_part::Part::Text(text)) => {
            object.put_text("type", "text");
            object.put_text("text", text);
        }
        Some(content_part::Part::Image(image)) => {
            object.put_text("type", "image_url");
            write_image(image, object.key("image_url")).map_err(|bad| bad.within("image"))?;
        }
        Some(content_part::Part::Audio(audio)) => {
            object.put_text("type", "input_audio");
            write_audio(audio, object.key("input_audio")).map_err(|bad| bad.within("audio"))?;
        }
        Some(content_part::Part::File(file)) => {
            object.put_text("type", "file");
            write_file(file, object.key("file")).map_err(|bad| bad.within("file"))?;
        }
        None if object.extra_has("type") => {}
        None => return Err(BadField::new("part", "is required")),
    }
    object.end()
}

fn write_image(given: &ImagePart, out: &mut Vec<u8>) -> Result<(), BadField> {
    let mut object = Object::begin(out, None);
    match &given.source {
        Some(image_part::Source::Url(url)) => object.put_text("url", url),
        Some(image_part::Source::Inline(data)) => put_data_url(&mut object, "url", data)?,
        None => return Err(BadField::new("source", "is required")),
    }
    object.put_if_set("detail", &given.detail)?;
    object.end()
}

fn write_audio(given: &AudioPart, out: &mut Vec<u8>) -> Result<(), BadField> {
    let mut object = Object::begin(out, None);
    object.put_base64("data", "", &given.data)?;
    object.put_text_if_any("format", &given.format);
    object.end()
}

fn write_file(given: &FilePart, out: &mut Vec<u8>) -> Result<(), BadField> {
    let mut object = Object::begin(out, None);
    match &given.source {
        Some(file_part::Source::FileId(id)) => object.put_text("file_id", id),
        Some(file_part::Source::Url(url)) => object.put_text("file_data", url),
        Some(file_part::Source::Inline(data)) => put_data_url(&mut object, "file_data", data)?,
        None => return Err(BadField::new("source", "is required")),
    }
    object.put_if_set("filename", &given.filename)?;
    object.end()
}

fn put_data_url(
    object: &mut Object<'_>,
    name: &'static str,
    given: &InlineData,
) -> Result<(), BadField> {
    if given.media_type.is_empty() {
        return Err(BadField::new("inline.media_type", "is required"));
    }
    object.put_base64(name, &format!("data:{};base64,", given.media_type), &given.data)
}

fn write_tool_call(given: &ToolCall, out: &mut Vec<u8>) -> Result<(), BadField> {
    let mut object = Object::begin(out, given.extra.as_ref());
    object.put_text_if_any("id", &given.id);
    if let Some(call) = &given.function {
        object.put_text("type", "function");
        let mut function = Object::begin(object.key("function"), call.extra.as_ref());
        function.put_text("name", &call.name);
        function.put_text("arguments", &call.arguments);
        function.end().map_err(|bad| bad.within("function"))?;
    } else if !object.extra_has("type") {
        return Err(BadField::new("function", "is required"));
    }
    object.end()
}

/// Appends one tool.
pub(super) fn write_tool(given: &Tool, out: &mut Vec<u8>) -> Result<(), BadField> {
    let mut object = Object::begin(out, given.extra.as_ref());
    if let Some(function) = &given.function {
        object.put_text("type", "function");
        write_function(function, object.key("function")).map_err(|bad| bad.within("function"))?;
    } else if !object.extra_has("type") {
        return Err(BadField::new("function", "is required"));
    }
    object.end()
}

fn write_function(given: &FunctionDefinition, out: &mut Vec<u8>) -> Result<(), BadField> {
    use function_definition::Schema;
    let mut object = Object::begin(out, None);
    object.put_text("name", &given.name);
    object.put_if_set("description", &given.description)?;
    match &given.schema {
        Some(Schema::Parameters(schema)) => object.put_structure("parameters", schema)?,
        Some(Schema::ParametersJson(text)) => {
            let schema = raw(text).map_err(|bad| bad.within("parameters_json"))?;
            object.put("parameters", schema)?;
        }
        None => {}
    }
    object.put_if_set("strict", &given.strict)?;
    object.end()
}

/// JSON text as it is, once it is known to be JSON.
fn raw(text: &str) -> Result<&RawValue, BadField> {
    serde_json::from_str(text).map_err(|_| BadField::new("", "is not JSON"))
}

/// Adds the `tool_choice` member, if it says anything.
pub(super) fn put_tool_choice(object: &mut Object<'_>, given: &ToolChoice) -> Result<(), BadField> {
    let mode = match &given.choice {
        None => return Ok(()),
        Some(tool_choice::Choice::Function(name)) => {
            let mut choice = Object::begin(object.key("tool_choice"), None);
            choice.put_text("type", "function");
            let mut function = Object::begin(choice.key("function"), None);
            function.put_text("name", name);
            function.end()?;
            return choice.end();
        }
        Some(tool_choice::Choice::Mode(mode)) => mode,
    };
    match ToolChoiceMode::try_from(*mode) {
        Ok(ToolChoiceMode::Unspecified) => Ok(()),
        Ok(ToolChoiceMode::None) => object.put("tool_choice", "none"),
        Ok(ToolChoiceMode::Auto) => object.put("tool_choice", "auto"),
        Ok(ToolChoiceMode::Required) => object.put("tool_choice", "required"),
        Err(_) => Err(BadField::new("tool_choice.mode", "is not a known value")),
    }
}

/// Adds the `response_format` member, if it says anything.
pub(super) fn put_response_format(
    object: &mut Object<'_>,
    given: &ResponseFormat,
) -> Result<(), BadField> {
    use response_format::Format;
    let Some(format) = &given.format else { return Ok(()) };
    let mut written = Object::begin(object.key("response_format"), None);
    match format {
        Format::Text(_) => written.put_text("type", "text"),
        Format::JsonObject(_) => written.put_text("type", "json_object"),
        Format::JsonSchema(schema) => {
            written.put_text("type", "json_schema");
            write_json_schema(schema, written.key("json_schema"))
                .map_err(|bad| bad.within("response_format.json_schema"))?;
        }
    }
    written.end()
}

fn write_json_schema(given: &JsonSchemaFormat, out: &mut Vec<u8>) -> Result<(), BadField> {
    use json_schema_format::Definition;
    let mut object = Object::begin(out, None);
    object.put_text("name", &given.name);
    object.put_if_set("description", &given.description)?;
    match &given.definition {
        Some(Definition::Schema(schema)) => object.put_structure("schema", schema)?,
        Some(Definition::SchemaJson(text)) => {
            let schema = raw(text).map_err(|bad| bad.within("schema_json"))?;
            object.put("schema", schema)?;
        }
        None => {}
    }
    object.put_if_set("strict", &given.strict)?;
    object.end()
}
