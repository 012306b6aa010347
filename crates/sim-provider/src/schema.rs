//! Makes an instance that satisfies a JSON schema: the smallest sensible one, always the same.
//! It covers what providers accept for structured output; it is not a validator.

use serde_json::{Map, Number, Value};

/// Nesting at which optional properties are left out and unions prefer null, so that recursive schemas end.
const DEPTH_OPTIONAL: u32 = 4;
/// Nesting at which null is given whatever the schema says.
const DEPTH_MAX: u32 = 32;
/// Elements of a generated array, at most, whatever `minItems` says.
const ITEMS_MAX: u64 = 64;
/// Characters of a generated string, at most, whatever `minLength` says.
const CHARS_MAX: u64 = 4096;

/// An instance of the schema. `text` fills strings that the schema does not restrict.
#[must_use]
pub fn instance(schema: &Value, text: &str) -> Value {
    Maker { root: schema, text }.make(schema, 0)
}

struct Maker<'a> {
    root: &'a Value,
    text: &'a str,
}

impl Maker<'_> {
    fn make(&self, schema: &Value, depth: u32) -> Value {
        if depth > DEPTH_MAX {
            return Value::Null;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = target.strip_prefix('#').and_then(|path| self.root.pointer(path));
            return target.map_or(Value::Null, |target| self.make(target, depth + 1));
        }
        let fixed = schema.get("const").or_else(|| schema.pointer("/enum/0"));
        if let Some(fixed) = fixed {
            return fixed.clone();
        }
        if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
            return self.make(&merged(all), depth + 1);
        }
        let union = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
        if let Some(variant) = union.and_then(|variants| variant_at(variants, depth)) {
            return self.make(variant, depth + 1);
        }
        self.make_typed(schema, depth)
    }

    fn make_typed(&self, schema: &Value, depth: u32) -> Value {
        match type_of(schema) {
            "object" => Value::Object(self.make_object(schema, depth)),
            "array" => self.make_array(schema, depth),
            "integer" => Value::Number(integer(schema)),
            "number" => number(schema),
            "boolean" => Value::Bool(true),
            "string" => Value::String(self.make_string(schema)),
            _ => Value::Null,
        }
    }

    fn make_object(&self, schema: &Value, depth: u32) -> Map<String, Value> {
        let required = |name: &str| {
            let names = schema.get("required").and_then(Value::as_array);
            names.is_some_and(|names| names.iter().any(|known| known == name))
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        let wanted = properties.into_iter().flatten();
        let wanted = wanted.filter(|(name, _)| depth < DEPTH_OPTIONAL || required(name));
        wanted
            .map(|(name, schema)| {
                let maker = Maker { root: self.root, text: name };
                (name.clone(), maker.make(schema, depth + 1))
            })
            .collect()
    }

    fn make_array(&self, schema: &Value, depth: u32) -> Value {
        if let Some(prefix) = schema.get("prefixItems").and_then(Value::as_array) {
            return prefix.iter().map(|item| self.make(item, depth + 1)).collect();
        }
        let least = schema.get("minItems").and_then(Value::as_u64);
        let most = schema.get("maxItems").and_then(Value::as_u64).unwrap_or(ITEMS_MAX);
        let usual = u64::from(depth < DEPTH_OPTIONAL);
        let count = least.unwrap_or(usual).min(most).min(ITEMS_MAX);
        let item = schema.get("items").unwrap_or(&Value::Null);
        (0..count).map(|_| self.make(item, depth + 1)).collect()
    }

    fn make_string(&self, schema: &Value) -> String {
        let of_format = match schema.get("format").and_then(Value::as_str) {
            Some("date") => "2024-01-02",
            Some("time") => "03:04:05Z",
            Some("date-time") => "2024-01-02T03:04:05Z",
            Some("duration") => "PT1S",
            Some("email") => "someone@example.com",
            Some("hostname") => "example.com",
            Some("ipv4") => "192.0.2.1",
            Some("ipv6") => "2001:db8::1",
            Some("uuid") => "00000000-0000-4000-8000-000000000000",
            Some("uri") => "https://example.com/",
            _ => return self.sized(schema),
        };
        of_format.to_owned()
    }

    fn sized(&self, schema: &Value) -> String {
        let bound = |name: &str| {
            let chars = schema.get(name).and_then(Value::as_u64)?;
            usize::try_from(chars.min(CHARS_MAX)).ok()
        };
        let mut text: String =
            self.text.chars().take(bound("maxLength").unwrap_or(usize::MAX)).collect();
        let short_by = bound("minLength").unwrap_or(0).saturating_sub(text.chars().count());
        text.extend(std::iter::repeat_n('x', short_by));
        text
    }
}

/// The first variant that is not null; deep down null itself if it is allowed.
fn variant_at(variants: &[Value], depth: u32) -> Option<&Value> {
    let is_null = |variant: &&Value| type_of(variant) == "null";
    let null = variants.iter().find(is_null).filter(|_| depth >= DEPTH_OPTIONAL);
    null.or_else(|| variants.iter().find(|variant| !is_null(variant))).or(variants.first())
}

/// All keys of all schemas in one; properties and requirements are united.
fn merged(schemas: &[Value]) -> Value {
    let mut all = Map::new();
    for (key, value) in schemas.iter().filter_map(Value::as_object).flatten() {
        match (all.get_mut(key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more.clone()),
            (Some(Value::Array(known)), Value::Array(more)) => known.extend(more.iter().cloned()),
            _ => {
                all.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(all)
}

fn type_of(schema: &Value) -> &str {
    let stated = match schema.get("type") {
        Some(Value::Array(types)) => {
            types.iter().filter_map(Value::as_str).find(|name| *name != "null")
        }
        Some(other) => other.as_str(),
        None => None,
    };
    stated.unwrap_or_else(|| {
        if schema.get("properties").is_some() {
            "object"
        } else if schema.get("items").is_some() {
            "array"
        } else if schema.get("$ref").is_some() {
            "reference"
        } else {
            "string"
        }
    })
}

fn integer(schema: &Value) -> Number {
    let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|n| n.saturating_add(1)));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|n| n.saturating_sub(1)));
    let value = 1.max(least.unwrap_or(i64::MIN)).min(most.unwrap_or(i64::MAX));
    let step = bound("multipleOf").filter(|step| *step > 0).unwrap_or(1);
    Number::from(value.div_euclid(step) * step + if value.rem_euclid(step) == 0 { 0 } else { step })
}

fn number(schema: &Value) -> Value {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|n| n + 0.5));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|n| n - 0.5));
    let value = bound("multipleOf").unwrap_or(1.5);
    Value::from(value.max(least.unwrap_or(f64::MIN)).min(most.unwrap_or(f64::MAX)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::instance;

    #[test]
    fn objects_get_all_properties_within_their_bounds() {
        let schema = json!({"type": "object", "properties": {
            "city": {"type": "string"},
            "unit": {"enum": ["celsius", "kelvin"]},
            "days": {"type": "integer", "minimum": 3},
            "share": {"type": "number", "maximum": 1.0},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 2}, "minItems": 2},
            "on": {"type": "string", "format": "date"},
            "note": {"type": ["null", "string"]},
        }});
        assert_eq!(
            instance(&schema, ""),
            json!({"city": "city", "unit": "celsius", "days": 3, "share": 1.0,
                   "tags": ["ta", "ta"], "on": "2024-01-02", "note": "note"})
        );
    }

    #[test]
    fn references_unions_and_recursion_end() {
        let schema = json!({"$ref": "#/$defs/Node", "$defs": {"Node": {
        "type": "object", "required": ["name", "next"], "properties": {
            "name": {"allOf": [{"type": "string"}, {"minLength": 5}]},
            "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
        }}}});
        let made = instance(&schema, "");
        assert_eq!(made["name"], "namex");
        assert_eq!(made["next"]["name"], "namex");
        let mut node = &made;
        while !node.is_null() {
            node = &node["next"];
        }
    }
}
