//! `google.protobuf.Struct` ⇄ JSON, without a tree between them. Says nothing
//! about what the members mean.

use std::borrow::Cow;
use std::fmt;

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use trunkline_wire::fields::push_text_bytes;

use super::{BadField, number};

/// Deepest nesting that is read. Readers of protobuf refuse messages nested
/// deeper than 100, and each level of JSON takes three: what lies deeper is
/// left out, so that the rest of the answer can be read.
const MAX_DEPTH: u8 = 24;

/// Appends a structure as a JSON object.
pub(super) fn write(value: &Struct, out: &mut Vec<u8>) -> Result<(), BadField> {
    let mut before = b'{';
    for (name, value) in &value.fields {
        out.push(before);
        push_text_bytes(out, name);
        out.push(b':');
        write_value(value, out).map_err(|bad| bad.within(name))?;
        before = b',';
    }
    if before == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
    Ok(())
}

/// Appends any JSON value. One without a kind is null.
pub(super) fn write_value(value: &Value, out: &mut Vec<u8>) -> Result<(), BadField> {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => out.extend_from_slice(b"null"),
        Some(Kind::BoolValue(true)) => out.extend_from_slice(b"true"),
        Some(Kind::BoolValue(false)) => out.extend_from_slice(b"false"),
        Some(Kind::NumberValue(given)) => number::write(*given, out)?,
        Some(Kind::StringValue(given)) => push_text_bytes(out, given),
        Some(Kind::StructValue(given)) => write(given, out)?,
        Some(Kind::ListValue(given)) => write_list(given, out)?,
    }
    Ok(())
}

fn write_list(list: &ListValue, out: &mut Vec<u8>) -> Result<(), BadField> {
    out.push(b'[');
    for (index, value) in list.values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_value(value, out).map_err(|bad| bad.within(format_args!("[{index}]")))?;
    }
    out.push(b']');
    Ok(())
}

/// Appends a value that always has a JSON form, such as text.
pub(super) fn text<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), BadField> {
    serde_json::to_writer(out, value).map_err(|error| BadField::new("", error.to_string()))
}

/// Reads any JSON value. Integers beyond 2⁵³ lose their last digits, because
/// a `Value` holds doubles.
#[derive(Clone, Copy)]
pub(super) struct AnyValue {
    depth_left: u8,
}

impl AnyValue {
    /// At the top of a value.
    pub(super) const TOP: Self = Self { depth_left: MAX_DEPTH };

    /// One level further down; `None` where what lies below is left out.
    fn below(self) -> Option<Self> {
        self.depth_left.checked_sub(1).map(|depth_left| Self { depth_left })
    }
}

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(of(Kind::NullValue(0)))
    }

    fn visit_bool<E>(self, given: bool) -> Result<Value, E> {
        Ok(of(Kind::BoolValue(given)))
    }

    fn visit_i64<E>(self, given: i64) -> Result<Value, E> {
        Ok(of(Kind::NumberValue(given as f64)))
    }

    fn visit_u64<E>(self, given: u64) -> Result<Value, E> {
        Ok(of(Kind::NumberValue(given as f64)))
    }

    fn visit_f64<E>(self, given: f64) -> Result<Value, E> {
        Ok(of(Kind::NumberValue(given)))
    }

    fn visit_str<E>(self, given: &str) -> Result<Value, E> {
        Ok(of(Kind::StringValue(given.to_owned())))
    }

    fn visit_string<E>(self, given: String) -> Result<Value, E> {
        Ok(of(Kind::StringValue(given)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut list = ListValue::default();
        let Some(below) = self.below() else {
            while from.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(of(Kind::NullValue(0)));
        };
        while let Some(value) = from.next_element_seed(below)? {
            list.values.push(value);
        }
        Ok(of(Kind::ListValue(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut object = Struct::default();
        let Some(below) = self.below() else {
            while from.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(of(Kind::NullValue(0)));
        };
        while let Some(name) = from.next_key::<Name<'de>>()? {
            object.fields.insert(name.0.into_owned(), from.next_value_seed(below)?);
        }
        Ok(of(Kind::StructValue(object)))
    }
}

/// A value of this kind.
pub(super) fn of(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

/// The name of a member, borrowed from the text unless it has escapes.
pub(super) struct Name<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        from.deserialize_str(NameVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Value {
        AnyValue::TOP.deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap()
    }

    fn again(json: &str) -> String {
        let mut out = Vec::new();
        write_value(&read(json), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_kind_of_value_comes_back() {
        let json =
            r#"{"a":[1,-2,0.5,true,false,null,"x\"\n",[],{}],"b\"":{"c":{"d":12345678901}}}"#;
        assert_eq!(again(json), json);
    }

    #[test]
    fn what_is_too_deep_is_left_out_and_the_rest_stays() {
        let json = format!(r#"{{"deep":{}1{},"z":2}}"#, "[".repeat(60), "]".repeat(60));
        let out = again(&json);
        assert!(out.ends_with(r#","z":2}"#), "{out}");
        assert!(out.contains("[null]"), "{out}");
        assert_eq!(out.matches('[').count(), usize::from(MAX_DEPTH) - 1);
    }

    #[test]
    fn a_number_that_json_lacks_is_named_by_its_path() {
        let list =
            ListValue { values: vec![of(Kind::NullValue(0)), of(Kind::NumberValue(f64::NAN))] };
        let object = Struct { fields: [("a".to_owned(), of(Kind::ListValue(list)))].into() };
        let bad = write(&object, &mut Vec::new()).unwrap_err();
        assert_eq!(bad.to_string(), "a[1]: is not a finite number");
    }
}
