//! `router-node key`: the first key of a cluster, made before there is a router to ask for one. Later ones are
//! made through the admin API, which writes down who made them.

use trunkline_core::catalog::SecretRef;
use trunkline_runtime::BoxError;
use trunkline_spec::keys::{self, KeyEntry, KeysDocument};

use crate::admin::NewKey;
use crate::auth::hash_key;
use crate::config::KeyArgs;
use crate::serve::pepper;

/// A key, and what a store may know of it.
pub struct FirstKey {
    /// The key itself.
    pub key: String,
    /// The document for `bootstrap.keys`, as JSON.
    pub document: String,
}

/// Makes one.
///
/// # Errors
/// A pepper that cannot be read, a note that no document can hold, a system without random bytes.
pub fn make(args: &KeyArgs) -> Result<FirstKey, BoxError> {
    let pepper = pepper(args.key_pepper_file.clone().map(SecretRef::File).as_ref())?;
    let new = NewKey::draw()?;
    let hash = blake3::Hash::from_bytes(hash_key(&pepper, new.text.as_bytes()));
    let entry = KeyEntry {
        id: new.id,
        hash: hash.to_hex().to_string(),
        note: args.note.clone(),
        models: None,
        providers: None,
        data: Default::default(),
        max_concurrency: None,
        requests_per_minute: None,
        spend: Default::default(),
        role: args.role,
        expires_at_ms: None,
        networks: None,
        by: None,
        at_ms: None,
    };
    let document = KeysDocument { version: keys::VERSION, keys: vec![entry] };
    let document = serde_json::to_string_pretty(&document)?;
    keys::parse(&document)?;
    Ok(FirstKey { key: new.text, document })
}
