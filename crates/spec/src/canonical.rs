//! The one way a document is stored: JSON with sorted keys and no spaces, so that equal documents have
//! equal bytes and one hash.

use serde::Serialize;
use serde_json::Value;

use crate::error::Problems;

/// The canonical JSON of a document.
///
/// # Errors
/// A number that is not finite, or anything else that JSON cannot hold.
pub fn json<T: Serialize>(document: &T) -> Result<String, Problems> {
    let value = serde_json::to_value(document);
    let value = value.map_err(|error| Problems::one("", error.to_string()))?;
    let mut out = String::new();
    write(&value, &mut out);
    Ok(out)
}

/// The version of a canonical document: BLAKE3 in hex.
pub fn hash(canonical: &str) -> String {
    blake3::hash(canonical.as_bytes()).to_hex().to_string()
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (at, (key, value)) in entries.into_iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_documents_have_equal_bytes_whatever_the_order() {
        let one: Value = serde_json::from_str(r#"{"b": 0.60, "a": [1, "x\n"]}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{"a": [1, "x\n"], "b": 0.6}"#).unwrap();
        assert_eq!(json(&one).unwrap(), r#"{"a":[1,"x\n"],"b":0.6}"#);
        assert_eq!(hash(&json(&one).unwrap()), hash(&json(&other).unwrap()));
    }
}
