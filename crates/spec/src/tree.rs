//! A document as a tree of plain values that remember where they were written. Built from YAML or JSON
//! within fixed bounds; what the values mean is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Location, Spanned};

/// The deepest nesting of a document; ours need eight levels, and recursion over trees needs a bound.
pub(crate) const MAX_DEPTH: usize = 32;
/// The most values in one document: the largest catalog (2,000 endpoints) has about 60,000.
const MAX_NODES: usize = 250_000;
/// The most values that aliases may add by repetition, so that a short text cannot become a huge tree.
const MAX_REPLAYED_EVENTS: usize = 100_000;
/// The most uses of aliases in one document.
const MAX_ALIASES: usize = 10_000;

/// Where something was written. Line 0 means that it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) line: u32,
    /// In characters, from 1.
    pub(crate) column: u32,
}

impl From<Location> for Place {
    fn from(at: Location) -> Self {
        let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Self { line: number(at.line()), column: number(at.column()) }
    }
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// The kinds of values that YAML and JSON share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key and what stands under it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) node: Node,
}

/// Why text is not a tree.
pub(crate) struct SyntaxError {
    pub(crate) place: Place,
    pub(crate) message: String,
}

/// Reads YAML (of which JSON is nearly a part), keeping places.
pub(crate) fn from_yaml(text: &str) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_documents: 1,
            max_aliases: MAX_ALIASES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED_EVENTS,
            max_replay_stack_depth: MAX_DEPTH,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| SyntaxError {
        place: error.location().map(Place::from).unwrap_or_default(),
        message: in_our_words(&error),
    })
}

/// Reads JSON without places; `None` when the text is not JSON within the bounds. Faster than YAML, and
/// right about the few escapes on which the two differ.
pub(crate) fn from_json(text: &str) -> Option<Node> {
    let Bare(node) = serde_json::from_str(text).ok()?;
    (depth(&node) <= MAX_DEPTH).then_some(node)
}

fn in_our_words(error: &serde_saphyr::Error) -> String {
    match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => twice(key),
        other => first_sentence(&other.to_string()),
    }
}

fn twice(key: &str) -> String {
    format!("the key `{key}` stands twice; remove one of the two")
}

/// The library repeats the place at the end of its messages; ours stands in front.
fn first_sentence(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let end = line.rfind(" at line ").unwrap_or(line.len());
    let start = if line.starts_with("error: ") { "error: ".len() } else { 0 };
    line.get(start..end).unwrap_or(line).to_owned()
}

fn depth(node: &Node) -> usize {
    let below = match &node.value {
        Value::List(items) => items.iter().map(depth).max(),
        Value::Map(entries) => entries.iter().map(|e| depth(&e.node)).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => None,
    };
    1 + below.unwrap_or(0)
}

impl Node {
    /// The same tree without places.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => serde_json::Value::Bool(*b),
            Value::Number(n) => serde_json::Value::Number(n.clone()),
            Value::Text(t) => serde_json::Value::String(t.clone()),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|e| (e.key.clone(), e.node.to_json())).collect()
            }
        }
    }

    /// The place of every path in the tree: a scalar's own, a list's or mapping's that of its key.
    pub(crate) fn places(&self) -> BTreeMap<String, Place> {
        let mut places = BTreeMap::new();
        self.note_places("", self.place, &mut places);
        places
    }

    fn note_places(&self, path: &str, key_place: Place, places: &mut BTreeMap<String, Place>) {
        let place = match &self.value {
            Value::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    item.note_places(&item_path(path, at), item.place, places);
                }
                key_place
            }
            Value::Map(entries) => {
                for e in entries {
                    e.node.note_places(&key_path(path, &e.key), e.key_place, places);
                }
                key_place
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => self.place,
        };
        places.insert(path.to_owned(), place);
    }
}

/// `path.key`, or `path["key"]` when the key is not a plain word.
pub(crate) fn key_path(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    match (plain, path.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
        (false, _) => format!("{path}[{key:?}]"),
    }
}

/// `path[at]`.
pub(crate) fn item_path(path: &str, at: usize) -> String {
    format!("{path}[{at}]")
}

/// How a form of text gives keys and values.
trait Form {
    /// A value of the form.
    type Item: for<'de> Deserialize<'de> + Into<Node>;

    /// The next key of a mapping, and its place.
    fn key<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<(String, Place)>, A::Error>;
}

/// With places.
struct Yaml;

/// Without.
struct Json;

/// A value of a form that knows no places.
struct Bare(Node);

impl From<Bare> for Node {
    fn from(bare: Bare) -> Self {
        bare.0
    }
}

impl Form for Yaml {
    type Item = Node;

    fn key<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<(String, Place)>, A::Error> {
        let key = map.next_key::<Spanned<String>>()?;
        Ok(key.map(|key| (key.value, key.referenced.into())))
    }
}

impl Form for Json {
    type Item = Bare;

    fn key<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<(String, Place)>, A::Error> {
        Ok(map.next_key::<String>()?.map(|key| (key, Place::default())))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned: Spanned<Value> = Spanned::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, place: spanned.referenced.into() })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor(PhantomData::<Yaml>))
    }
}

impl<'de> Deserialize<'de> for Bare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(ValueVisitor(PhantomData::<Json>))?;
        Ok(Self(Node { value, place: Place::default() }))
    }
}

/// Takes whatever the text holds.
struct ValueVisitor<F>(PhantomData<F>);

impl<'de, F: Form> Visitor<'de> for ValueVisitor<F> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, true, false, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value);
        number.map(Value::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<F::Item>()? {
            list.push(item.into());
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some((key, key_place)) = F::key(&mut map)? {
            if !seen.insert(key.clone()) {
                return Err(de::Error::custom(twice(&key)));
            }
            let node = map.next_value::<F::Item>()?.into();
            entries.push(Entry { key, key_place, node });
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_readers_read_json_alike_and_refuse_a_repeated_key() {
        let text = r#"{"a": [1, -2, 0.5, "x", null, true], "b": {"c": {}}}"#;
        let (json, yaml) = (from_json(text).unwrap(), from_yaml(text).ok().unwrap());
        assert_eq!(json.to_json(), yaml.to_json());
        assert_eq!(json.to_json(), serde_json::from_str::<serde_json::Value>(text).unwrap());
        for repeated in [r#"{"a": 1, "a": 1}"#, r#"{"x": {"a": 1, "a": 1}}"#] {
            assert!(from_json(repeated).is_none());
            assert!(from_yaml(repeated).is_err());
        }
    }
}
