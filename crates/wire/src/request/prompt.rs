//! Walking what the model is asked: how many inputs, and how many images. The text itself is not read.

use crate::json::{Kind, Scanner};

use super::BadRequest;
use super::read::must_be;

/// What routing needs to know of a prompt.
pub(super) struct Prompt {
    pub(super) inputs: usize,
    pub(super) images: usize,
}

const MESSAGES: &str = "a list with at least one message, each an object";

/// `messages` of a chat request.
pub(super) fn messages(scan: &mut Scanner<'_>) -> Result<Prompt, BadRequest> {
    let mut prompt = Prompt { inputs: 0, images: 0 };
    if scan.kind()? != Kind::Array {
        return Err(must_be("messages", MESSAGES));
    }
    scan.enter_array()?;
    while scan.next_item()? {
        if scan.kind()? != Kind::Object {
            return Err(must_be("messages", MESSAGES));
        }
        prompt.inputs += 1;
        prompt.images += images_of_message(scan)?;
    }
    if prompt.inputs == 0 {
        return Err(must_be("messages", MESSAGES));
    }
    Ok(prompt)
}

fn images_of_message(scan: &mut Scanner<'_>) -> Result<usize, BadRequest> {
    let mut images = 0;
    scan.enter_object()?;
    while let Some(key) = scan.next_key()? {
        if key.name() != "content" || scan.kind()? != Kind::Array {
            scan.skip()?;
            continue;
        }
        scan.enter_array()?;
        while scan.next_item()? {
            images += usize::from(part_is_image(scan)?);
        }
    }
    Ok(images)
}

fn part_is_image(scan: &mut Scanner<'_>) -> Result<bool, BadRequest> {
    if scan.kind()? != Kind::Object {
        scan.skip()?;
        return Ok(false);
    }
    let mut image = false;
    scan.enter_object()?;
    while let Some(key) = scan.next_key()? {
        if key.name() == "type" && scan.kind()? == Kind::String {
            image |= matches!(&*scan.string()?.name(), "image_url" | "input_image");
        } else {
            scan.skip()?;
        }
    }
    Ok(image)
}

/// `prompt` or `input`: a string, a list of strings, a list of tokens, or a list of lists of tokens.
pub(super) fn texts(scan: &mut Scanner<'_>, param: &str) -> Result<Prompt, BadRequest> {
    let expected = "a string, or a list of strings or tokens with at least one entry";
    match scan.kind()? {
        Kind::String => {
            scan.skip()?;
            return Ok(Prompt { inputs: 1, images: 0 });
        }
        Kind::Array => scan.enter_array()?,
        _ => return Err(must_be(param, expected)),
    }
    let mut entries = 0;
    let mut all = None;
    while scan.next_item()? {
        let kind = scan.kind()?;
        if !matches!(kind, Kind::String | Kind::Number | Kind::Array | Kind::Object) {
            return Err(must_be(param, expected));
        }
        if *all.get_or_insert(kind) != kind {
            return Err(must_be(param, "a list whose entries all have one type"));
        }
        scan.skip()?;
        entries += 1;
    }
    match all {
        None => Err(must_be(param, expected)),
        // One list of tokens is one text.
        Some(Kind::Number) => Ok(Prompt { inputs: 1, images: 0 }),
        Some(_) => Ok(Prompt { inputs: entries, images: 0 }),
    }
}
