//! Reading one field's value of a given type. Each failure names the field and what it must be; `null`
//! counts as absent, because clients send it for options they leave out.

use crate::json::{Kind, Scanner};

use super::fields::Shape;
use super::{
    BadRequest, Delivery, JsonMode, MAX_METADATA_ENTRIES, MAX_METADATA_KEY_CHARS,
    MAX_METADATA_VALUE_CHARS,
};

/// "`param` must be `expected`."
pub(super) fn must_be(param: &str, expected: &str) -> BadRequest {
    BadRequest { message: format!("`{param}` must be {expected}"), param: Some(param.to_owned()) }
}

/// True when a value of `kind` follows, false when `null` did (which is consumed).
pub(super) fn present(
    scan: &mut Scanner<'_>,
    param: &str,
    kind: Kind,
    expected: &str,
) -> Result<bool, BadRequest> {
    if scan.null()? {
        return Ok(false);
    }
    if scan.kind()? == kind { Ok(true) } else { Err(must_be(param, expected)) }
}

/// A boolean.
pub(super) fn boolean(scan: &mut Scanner<'_>, param: &str) -> Result<Option<bool>, BadRequest> {
    if !present(scan, param, Kind::Bool, "true or false")? {
        return Ok(None);
    }
    Ok(Some(scan.boolean()?))
}

/// A whole number, zero or more.
pub(super) fn count(scan: &mut Scanner<'_>, param: &str) -> Result<Option<u64>, BadRequest> {
    let expected = "a whole number, zero or more";
    if !present(scan, param, Kind::Number, expected)? {
        return Ok(None);
    }
    scan.number()?.parse().map(Some).map_err(|_| must_be(param, expected))
}

/// How many choices to make: a whole number, one or more.
pub(super) fn choices(scan: &mut Scanner<'_>, param: &str) -> Result<Option<u32>, BadRequest> {
    match count(scan, param)?.map(u32::try_from) {
        None => Ok(None),
        Some(Ok(choices)) if choices > 0 => Ok(Some(choices)),
        Some(_) => Err(must_be(param, "a whole number, one or more")),
    }
}

/// A string.
pub(super) fn text(scan: &mut Scanner<'_>, param: &str) -> Result<Option<String>, BadRequest> {
    if !present(scan, param, Kind::String, "a string")? {
        return Ok(None);
    }
    match scan.string()?.decode() {
        Some(text) => Ok(Some(text.into_owned())),
        None => Err(must_be(param, "a string of whole characters: an escape is half a pair")),
    }
}

/// A string that is not empty.
pub(super) fn name(scan: &mut Scanner<'_>, param: &str) -> Result<Option<String>, BadRequest> {
    match text(scan, param)? {
        Some(name) if name.is_empty() => Err(must_be(param, "a string that is not empty")),
        found => Ok(found),
    }
}

/// A string of at most `most` characters.
pub(super) fn bounded(
    scan: &mut Scanner<'_>,
    param: &str,
    most: usize,
) -> Result<Option<String>, BadRequest> {
    let found = text(scan, param)?;
    if found.as_ref().is_some_and(|text| longer_than(text, most)) {
        return Err(must_be(param, &format!("a string of at most {most} characters")));
    }
    Ok(found)
}

/// A list of at most `most` strings, none of them empty.
pub(super) fn names(
    scan: &mut Scanner<'_>,
    param: &str,
    most: usize,
) -> Result<Option<Vec<String>>, BadRequest> {
    let expected = "a list of strings that are not empty";
    if !present(scan, param, Kind::Array, expected)? {
        return Ok(None);
    }
    let mut names = Vec::new();
    scan.enter_array()?;
    while scan.next_item()? {
        if names.len() == most {
            return Err(must_be(param, &format!("a list of at most {most} strings")));
        }
        names.push(name(scan, param)?.ok_or_else(|| must_be(param, expected))?);
    }
    Ok(Some(names))
}

/// Consumes a list; true when it has an item.
pub(super) fn list_has_items(scan: &mut Scanner<'_>, param: &str) -> Result<bool, BadRequest> {
    if !present(scan, param, Kind::Array, "a list")? {
        return Ok(false);
    }
    let mut any = false;
    scan.enter_array()?;
    while scan.next_item()? {
        any = true;
        scan.skip()?;
    }
    Ok(any)
}

/// Consumes a value after checking its type.
pub(super) fn check_shape(
    scan: &mut Scanner<'_>,
    param: &str,
    shape: Shape,
) -> Result<(), BadRequest> {
    let (kind, expected) = match shape {
        Shape::Any => return Ok(scan.skip()?),
        Shape::Number => (Kind::Number, "a number"),
        Shape::Integer => (Kind::Number, "a whole number"),
        Shape::Bool => (Kind::Bool, "true or false"),
        Shape::Text => (Kind::String, "a string"),
        Shape::List => (Kind::Array, "a list"),
        Shape::Object => (Kind::Object, "an object"),
    };
    if !present(scan, param, kind, expected)? {
        return Ok(());
    }
    if shape == Shape::Integer && scan.number()?.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) {
        return Err(must_be(param, expected));
    }
    if shape != Shape::Integer {
        scan.skip()?;
    }
    Ok(())
}

/// `response_format`: only its `type` matters here, and types nobody knows pass as free text.
pub(super) fn response_format(scan: &mut Scanner<'_>, param: &str) -> Result<JsonMode, BadRequest> {
    let mut mode = JsonMode::None;
    if !present(scan, param, Kind::Object, "an object with a `type`")? {
        return Ok(mode);
    }
    scan.enter_object()?;
    while let Some(key) = scan.next_key()? {
        if key.name() != "type" {
            scan.skip()?;
            continue;
        }
        mode = match text(scan, "response_format.type")?.as_deref() {
            Some("json_object") => JsonMode::Object,
            Some("json_schema") => JsonMode::Schema,
            _ => JsonMode::None,
        };
    }
    Ok(mode)
}

/// `usage`: whether it asks for usage with `include`; what else it may hold is nobody's affair here.
pub(super) fn usage(scan: &mut Scanner<'_>, param: &str) -> Result<bool, BadRequest> {
    let mut asked = false;
    if !present(scan, param, Kind::Object, "an object such as {\"include\": true}")? {
        return Ok(asked);
    }
    scan.enter_object()?;
    while let Some(key) = scan.next_key()? {
        if key.name() == "include" {
            asked = boolean(scan, "usage.include")?.unwrap_or(false);
        } else {
            scan.skip()?;
        }
    }
    Ok(asked)
}

/// `plugins`: a caller who counts on one must not get an answer made without it.
pub(super) fn no_plugins(scan: &mut Scanner<'_>, param: &str) -> Result<(), BadRequest> {
    if list_has_items(scan, param)? {
        return Err(must_be(param, "empty, or be left out: this router has no plugins"));
    }
    Ok(())
}

/// `metadata`: an object of short strings.
pub(super) fn metadata(
    scan: &mut Scanner<'_>,
    param: &str,
) -> Result<Vec<(String, String)>, BadRequest> {
    let mut entries = Vec::new();
    if !present(scan, param, Kind::Object, "an object of strings")? {
        return Ok(entries);
    }
    scan.enter_object()?;
    while let Some(key) = scan.next_key()? {
        if entries.len() == MAX_METADATA_ENTRIES {
            return Err(must_be(
                param,
                &format!("an object of at most {MAX_METADATA_ENTRIES} strings"),
            ));
        }
        let key = key.name().into_owned();
        if longer_than(&key, MAX_METADATA_KEY_CHARS) {
            let expected =
                format!("an object with keys of at most {MAX_METADATA_KEY_CHARS} characters");
            return Err(must_be(param, &expected));
        }
        if let Some(value) = bounded(scan, "metadata.*", MAX_METADATA_VALUE_CHARS)? {
            entries.push((key, value));
        }
    }
    Ok(entries)
}

/// `delivery`.
pub(super) fn delivery(
    scan: &mut Scanner<'_>,
    param: &str,
) -> Result<Option<Delivery>, BadRequest> {
    match text(scan, param)?.as_deref() {
        None => Ok(None),
        Some("assured") => Ok(Some(Delivery::Assured)),
        Some(_) => Err(must_be(param, "\"assured\", or be left out")),
    }
}

fn longer_than(text: &str, most: usize) -> bool {
    text.len() > most && text.chars().nth(most).is_some()
}
