//! Text → document, for any document type: syntax, then shape, then the type itself. Whether the values
//! make sense together is for the document's own module.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::error::Problems;
use crate::shape;
use crate::tree::{self, Node, Place, SyntaxError};

/// The longest text accepted, in bytes: the largest catalog (2,000 endpoints), twice over.
pub const MAX_DOCUMENT_BYTES: usize = 4 * 1024 * 1024;

/// A document and the text it came from, so that later findings can name their lines.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The document.
    pub document: T,
    text: String,
}

impl<T> Loaded<T> {
    /// The problems with line, column and source line added to each whose path stands in the text. For
    /// something missing that is the nearest enclosing thing.
    pub fn locate(&self, problems: Problems) -> Problems {
        locate(&self.text, problems)
    }
}

/// Reads YAML or JSON. Unknown and repeated keys are mistakes; every mistake of shape is reported.
///
/// # Errors
/// What is wrong, with lines: too long, not YAML, or not of the document's shape.
pub fn load<T: DeserializeOwned + JsonSchema>(text: &str) -> Result<Loaded<T>, Problems> {
    if text.len() > MAX_DOCUMENT_BYTES {
        let message =
            format!("the document has {} bytes; at most {MAX_DOCUMENT_BYTES} are read", text.len());
        return Err(Problems::one("", message));
    }
    let node = read_tree(text)?;
    let schema = schemars::schema_for!(T);
    if let Err(problems) = shape::check(&node, schema.as_value()) {
        return Err(locate(text, problems));
    }
    let document = serde_json::from_value(node.to_json());
    let document = document.map_err(|error| Problems::one("", error.to_string()))?;
    Ok(Loaded { document, text: text.to_owned() })
}

/// Reads YAML or JSON of any shape: the documents of others, of which no schema is known here.
///
/// # Errors
/// Text that is too long or is no YAML, with the line.
pub fn any(text: &str) -> Result<serde_json::Value, Problems> {
    if text.len() > MAX_DOCUMENT_BYTES {
        let message =
            format!("the document has {} bytes; at most {MAX_DOCUMENT_BYTES} are read", text.len());
        return Err(Problems::one("", message));
    }
    Ok(read_tree(text)?.to_json())
}

/// JSON first, where the text looks like it: it is what the store holds, and it is faster.
fn read_tree(text: &str) -> Result<Node, Problems> {
    if text.trim_start().starts_with('{')
        && let Some(node) = tree::from_json(text)
    {
        return Ok(node);
    }
    tree::from_yaml(text).map_err(|error| syntax_problem(text, &error))
}

fn syntax_problem(text: &str, error: &SyntaxError) -> Problems {
    let tab = tab_near(text, error.place.line);
    let (place, message) = match tab {
        Some(place) => {
            (place, "a tab stands in the indentation; YAML is indented with spaces".to_owned())
        }
        None => (error.place, error.message.clone()),
    };
    let mut problems = Problems::one("", message);
    for problem in &mut problems.0 {
        (problem.line, problem.column) = (place.line, place.column);
        source_line(text, place.line).clone_into(&mut problem.snippet);
    }
    problems
}

/// A tab in the indentation of the line or the next: the parser may notice it only at the line before.
fn tab_near(text: &str, line: u32) -> Option<Place> {
    [line, line.saturating_add(1)].into_iter().find_map(|line| {
        let indent = source_line(text, line).chars().take_while(|c| c.is_whitespace());
        let column = indent.enumerate().find(|(_, c)| *c == '\t').map(|(at, _)| at + 1)?;
        Some(Place { line, column: u32::try_from(column).ok()? })
    })
}

/// Adds the places, reading the text again for them: only the unhappy path pays.
fn locate(text: &str, mut problems: Problems) -> Problems {
    let places = tree::from_yaml(text).map(|node| node.places()).unwrap_or_default();
    for problem in &mut problems.0 {
        if problem.line == 0 {
            let place = place_of(&places, &problem.path);
            (problem.line, problem.column) = (place.line, place.column);
        }
        source_line(text, problem.line).clone_into(&mut problem.snippet);
    }
    problems.0.sort_by_key(|p| (p.line, p.column));
    problems
}

/// The place of `path` or of the nearest thing around it.
fn place_of(places: &BTreeMap<String, Place>, path: &str) -> Place {
    let mut path = path;
    loop {
        if let Some(place) = places.get(path) {
            return *place;
        }
        let Some(end) = path.rfind(['.', '[']) else { break };
        path = path.get(..end).unwrap_or_default();
    }
    places.get("").copied().unwrap_or_default()
}

fn source_line(text: &str, line: u32) -> &str {
    let Some(before) = (line as usize).checked_sub(1) else { return "" };
    text.lines().nth(before).unwrap_or_default()
}
