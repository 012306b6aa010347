//! Who answered, in the message: the provider as the catalog names it, which is what preferences and records call
//! it too. It looks nothing up.

use prost_types::value::Kind;
use prost_types::{Struct, Value};

/// Names the provider that answered. What the answer itself says of its maker, as those do that pass calls on to
/// others, goes to `extra`.
pub fn name(provider: &str, field: &mut String, extra: &mut Option<Struct>) {
    let said = std::mem::replace(field, provider.to_owned());
    if said.is_empty() || said == provider {
        return;
    }
    let extra = extra.get_or_insert_with(Struct::default);
    extra.fields.insert("provider".to_owned(), Value { kind: Some(Kind::StringValue(said)) });
}
