//! Reads JSON objects into messages, member by member. What a message has no
//! field for, or has in another type than expected, goes into its `extra`:
//! nothing a provider says is lost, and an odd member spoils no answer.

use std::fmt;
use std::marker::PhantomData;

use prost_types::value::Kind;
use prost_types::{Struct, Value};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Undecodable;
use super::structure::{AnyValue, Name};

/// What was left of a member: `None` once it has found its field.
pub(super) type Left<E> = Result<Option<Value>, E>;

/// A message that is read from a JSON object.
pub(super) trait Members: Default {
    /// Takes the value of the member `name` from `from`, which must be done
    /// exactly once, and hands back what belongs into `extra`.
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Left<A::Error>;

    /// Where members without a field of their own go.
    fn extra(&mut self) -> &mut Option<Struct>;
}

/// Reads the text of a JSON object. That it is UTF-8 is looked at once for all of it, not for each string.
pub(super) fn read<T: Members>(json: &[u8]) -> Result<T, Undecodable> {
    let Read(message) = match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text)?,
        // It tells where.
        Err(_) => serde_json::from_slice(json)?,
    };
    Ok(message)
}

/// A message read from a JSON object.
pub(super) struct Read<T>(pub(super) T);

impl<'de, T: Members> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Members> Visitor<'de> for ObjectVisitor<T> {
    type Value = Read<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Read<T>, A::Error> {
        let mut message = T::default();
        while let Some(name) = from.next_key::<Name<'de>>()? {
            let left = message.member(&name.0, &mut from)?;
            let Some(value) = left.filter(|value| !is_null(value)) else { continue };
            let extra = message.extra().get_or_insert_default();
            extra.fields.insert(name.0.into_owned(), value);
        }
        Ok(Read(message))
    }
}

fn is_null(value: &Value) -> bool {
    matches!(value.kind, None | Some(Kind::NullValue(_)))
}

/// A member without a field of its own.
pub(super) fn any<'de, A: MapAccess<'de>>(from: &mut A) -> Left<A::Error> {
    from.next_value_seed(AnyValue::TOP).map(Some)
}

/// A member that says nothing new, such as `object`.
pub(super) fn nothing<'de, A: MapAccess<'de>>(from: &mut A) -> Left<A::Error> {
    from.next_value::<IgnoredAny>().map(|_| None)
}

/// A member that is text; null is nothing.
pub(super) fn text<'de, A: MapAccess<'de>>(
    from: &mut A,
    take: impl FnOnce(String),
) -> Left<A::Error> {
    match from.next_value_seed(AnyValue::TOP)?.kind {
        Some(Kind::StringValue(text)) => take(text),
        kind => return Ok(Some(Value { kind })),
    }
    Ok(None)
}

/// A member that is a number; null is nothing.
pub(super) fn number<'de, A: MapAccess<'de>>(
    from: &mut A,
    take: impl FnOnce(f64),
) -> Left<A::Error> {
    match from.next_value_seed(AnyValue::TOP)?.kind {
        Some(Kind::NumberValue(number)) => take(number),
        kind => return Ok(Some(Value { kind })),
    }
    Ok(None)
}

/// A member that is an object without a message of its own; null is nothing.
pub(super) fn structure<'de, A: MapAccess<'de>>(
    from: &mut A,
    take: impl FnOnce(Struct),
) -> Left<A::Error> {
    match from.next_value_seed(AnyValue::TOP)?.kind {
        Some(Kind::StructValue(object)) => take(object),
        kind => return Ok(Some(Value { kind })),
    }
    Ok(None)
}

/// A member that is an object with a message of its own; null is nothing.
pub(super) fn one<'de, T: Members, A: MapAccess<'de>>(
    from: &mut A,
    take: impl FnOnce(T),
) -> Left<A::Error> {
    if let Some(Read(message)) = from.next_value::<Option<Read<T>>>()? {
        take(message);
    }
    Ok(None)
}

/// A member that is a list of such objects; null is nothing.
pub(super) fn many<'de, T: Members, A: MapAccess<'de>>(
    from: &mut A,
    into: &mut Vec<T>,
) -> Left<A::Error> {
    let read = from.next_value::<Option<Vec<Read<T>>>>()?.unwrap_or_default();
    into.extend(read.into_iter().map(|Read(message)| message));
    Ok(None)
}
