//! Small works on JSON values.

use serde_json::{Value, json};

/// The words that callers ask with; a simulated provider answers with them.
pub const PROMPT: &str = "alpha beta gamma delta epsilon";

/// A chat request for a model.
#[must_use]
pub fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": PROMPT}]})
}

/// `base` with the keys of `over` set, object by object.
#[must_use]
pub fn overlay(mut base: Value, over: Value) -> Value {
    match (&mut base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                let below = base.remove(&key).unwrap_or(Value::Null);
                base.insert(key, overlay(below, value));
            }
        }
        (base, over) => *base = over,
    }
    base
}
