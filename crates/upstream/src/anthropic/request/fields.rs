//! The top-level fields of a request as raw JSON, taken one by one; what is never taken passes through.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::anthropic::Untranslatable;

/// An object's fields by name. Of a name written twice the last counts, as in most JSON readers.
pub(super) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Untranslatable> {
        serde_json::from_slice(body)
            .map(Self)
            .map_err(|_| Untranslatable::new("", "the body is not a JSON object"))
    }

    pub(super) fn nested(raw: &'a RawValue, param: &str) -> Result<Self, Untranslatable> {
        read(raw, param, "an object").map(Self)
    }

    /// Removes a field; `null` counts as absent, as it does for OpenAI.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        self.0.remove(name).filter(|raw| raw.get() != "null")
    }

    /// Looks at a field and leaves it to pass through; `null` counts as absent.
    pub(super) fn peek(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|raw| raw.get() != "null")
    }

    /// Removes a field and reads it; `expected` completes the message "expected …".
    pub(super) fn get<T: Deserialize<'a>>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Untranslatable> {
        self.take(name).map(|raw| read(raw, name, expected)).transpose()
    }

    pub(super) fn require(&mut self, name: &str) -> Result<&'a RawValue, Untranslatable> {
        self.take(name).ok_or_else(|| Untranslatable::new(name, "is missing"))
    }

    /// What was never taken, without nulls and without the fields in `dropped`.
    pub(super) fn rest(mut self, dropped: &[&str]) -> BTreeMap<String, &'a RawValue> {
        self.0.retain(|name, raw| raw.get() != "null" && !dropped.contains(&name.as_str()));
        self.0
    }
}

/// Reads one value. The JSON reader's own message is not passed on: it quotes the content.
pub(super) fn read<'a, T: Deserialize<'a>>(
    raw: &'a RawValue,
    param: &str,
    expected: &str,
) -> Result<T, Untranslatable> {
    serde_json::from_str(raw.get())
        .map_err(|_| Untranslatable::new(param, format!("expected {expected}")))
}
