//! API keys: made, listed and revoked. Each made key is a record of its own, so that edits of different keys
//! never meet; one that came with the bootstrap's document is overruled by a record of its own when it ends.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use tonic::Status;
use trunkline_core::id::KeyId;
use trunkline_core::policy::{ApiKey, Role};
use trunkline_proto::admin::v1::{
    CreateKeyRequest, CreateKeyResponse, KeyEntry, KeySpend, ListKeysRequest, ListKeysResponse,
    RevokeKeyRequest, RevokeKeyResponse,
};
use trunkline_spec::keys::{self, KeyEntry as Record, KeysDocument};
use trunkline_spec::{canonical, load};
use trunkline_store::keys::CONFIG;

use super::edit::{self, Intent, Mode, Rules, Write};
use super::page::page;
use super::state::State;
use super::{Admin, Admitted, refusal};
use crate::fold::KEYS;
use crate::ingress::grpc::signed;
use crate::ledger::unix_ms;
use crate::spending::Accounts;

/// Random bytes of a key's public part: eight characters.
const ID_BYTES: usize = 5;
/// Random bytes of a key's secret part: 256 bits, which nobody guesses and no slow hash has to protect.
const SECRET_BYTES: usize = 32;
/// RFC 4648 in lower case: letters and digits that nobody mistakes for each other.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Makes a key and shows it, once.
///
/// # Errors
/// As [`edit::apply`]; an entry with mistakes, each with its place.
pub async fn create(
    admin: &Admin,
    by: &Admitted,
    asked: CreateKeyRequest,
) -> Result<CreateKeyResponse, Status> {
    let new = NewKey::draw()?;
    let record = new.record(by, &asked.entry_json)?;
    let id = record.id.clone();
    let text = canonical::json(&record).map_err(|p| refusal::internal(&p.to_string()))?;
    keys::parse_one(&text).map_err(|p| refusal::bad_field("entry_json", &p.to_string()))?;
    let intent = Intent {
        verb: "keys create",
        target: format!("key/{id}"),
        reason: asked.reason,
        expected: None,
        mode: Mode::of(asked.dry_run),
        rules: Rules::Hold,
    };
    let plan = |state: &State| -> Result<Vec<Write>, Status> {
        let unknown = KeysDocument { version: keys::VERSION, keys: vec![record.clone()] }
            .unknown_names(state.catalog());
        unknown.or(()).map_err(|p| refusal::bad_field("entry_json", &p.to_string()))?;
        if all(state).contains_key(&id) {
            return Err(Status::aborted("the random id is taken; ask again"));
        }
        Ok(vec![(key(&id), Some(Bytes::from(text.clone())))])
    };
    let done = edit::apply(admin, by, &intent, plan).await?;
    let revision = done.revision.0;
    let shown = if asked.dry_run { String::new() } else { new.text };
    Ok(CreateKeyResponse {
        revision: signed(revision),
        key: shown,
        entry: Some(Found { record, revision }.message(&admin.router.accounts, unix_ms())),
    })
}

/// The keys, without anything that would help to use them.
///
/// # Errors
/// When the store does not answer.
pub async fn list(admin: &Admin, asked: &ListKeysRequest) -> Result<ListKeysResponse, Status> {
    let state = State::read(admin.store.as_ref()).await?;
    let now = unix_ms();
    let accounts = &admin.router.accounts;
    let keys = all(&state).into_values().map(|found| found.message(accounts, now)).collect();
    let (keys, next) = page(keys, asked.page_size, &asked.page_token, |k: &KeyEntry| k.id.clone());
    Ok(ListKeysResponse { revision: signed(state.revision.0), keys, next_page_token: next })
}

/// Takes a key out of force.
///
/// # Errors
/// As [`edit::apply`]; a key that is not there or not in force; the last one that may change keys.
pub async fn revoke(
    admin: &Admin,
    by: &Admitted,
    asked: RevokeKeyRequest,
) -> Result<RevokeKeyResponse, Status> {
    let intent = Intent {
        verb: "keys revoke",
        target: format!("key/{}", asked.id),
        reason: asked.reason,
        expected: asked.expected_revision,
        mode: Mode::of(asked.dry_run),
        rules: Rules::of(asked.force),
    };
    let now = unix_ms();
    let plan = |state: &State| -> Result<Vec<Write>, Status> {
        let all = all(state);
        let in_force = |found: &&Found| !found.ended(now);
        let found = all.get(&asked.id).filter(in_force);
        let found = found.ok_or_else(|| refusal::no_override(&intent.target, "key in force"))?;
        let others = all.values().filter(|other| other.record.id != asked.id).filter(in_force);
        if found.may_change_keys()
            && !others.into_iter().any(Found::may_change_keys)
            && !asked.force
        {
            let rule = format!("{} is the last key with the role admin", intent.target);
            return Err(refusal::unsafe_edit(&[rule]));
        }
        Ok(vec![(key(&asked.id), after_the_end(state, found, now)?)])
    };
    let done = edit::apply(admin, by, &intent, plan).await?;
    Ok(RevokeKeyResponse { revision: signed(done.revision.0) })
}

/// What is left of a revoked key: nothing, or a record over that of the bootstrap's document, which would be
/// in force again without one.
fn after_the_end(state: &State, found: &Found, now: u64) -> Result<Option<Bytes>, Status> {
    if !documented(state).iter().any(|entry| entry.id == found.record.id) {
        return Ok(None);
    }
    let ended = Record { expires_at_ms: Some(now), ..found.record.clone() };
    let text = canonical::json(&ended).map_err(|p| refusal::internal(&p.to_string()))?;
    Ok(Some(Bytes::from(text)))
}

fn key(id: &str) -> String {
    format!("{CONFIG}{KEYS}/{id}")
}

/// A key as the store has it.
struct Found {
    record: Record,
    revision: u64,
}

impl Found {
    fn ended(&self, now: u64) -> bool {
        self.record.expires_at_ms.is_some_and(|end| now >= end)
    }

    fn may_change_keys(&self) -> bool {
        self.record.role.map(Role::from) == Some(Role::Admin)
    }

    /// What it has spent, where it has a limit.
    fn spend(&self, accounts: &Accounts, now: u64) -> Vec<KeySpend> {
        let key = ApiKey::try_from(&self.record).ok().filter(|key| key.spend.any());
        let Some(key) = key else { return Vec::new() };
        let spent = accounts.of(&KeyId::new(&self.record.id)).spent(now);
        let windows = key.spend.windows().map(|(window, limit)| KeySpend {
            window: window.as_str().to_owned(),
            limit_usd: limit.to_string(),
            spent_usd: spent.within(window, now).to_string(),
            resets_at_ms: window.ends_ms(now),
        });
        windows.collect()
    }

    fn message(&self, accounts: &Accounts, now: u64) -> KeyEntry {
        let mut entry = serde_json::to_value(&self.record).unwrap_or_default();
        if let Value::Object(members) = &mut entry {
            members.retain(|name, _| !matches!(name.as_str(), "id" | "hash"));
        }
        let role = self.record.role.map(|role| Role::from(role).as_str());
        KeyEntry {
            id: self.record.id.clone(),
            note: self.record.note.clone().unwrap_or_default(),
            role: role.unwrap_or_default().to_owned(),
            expired: self.ended(now),
            entry_json: canonical::json(&entry).unwrap_or_default(),
            revision: signed(self.revision),
            spend: self.spend(accounts, now),
        }
    }
}

/// All keys, by id: what a record says of a key holds, and the document where no record does.
fn all(state: &State) -> BTreeMap<String, Found> {
    let document = state.entry(&format!("{CONFIG}{KEYS}")).map(|entry| entry.mod_revision.0);
    let revision = document.unwrap_or_default();
    let documented = documented(state).into_iter().map(|record| Found { record, revision });
    let prefix = key("");
    let single = state.below(&prefix).filter_map(|entry| {
        let record = load::load::<Record>(std::str::from_utf8(&entry.value).ok()?).ok()?.document;
        Some(Found { record, revision: entry.mod_revision.0 })
    });
    documented.chain(single).map(|found| (found.record.id.clone(), found)).collect()
}

/// The keys of the bootstrap's document.
fn documented(state: &State) -> Vec<Record> {
    let entry = state.entry(&format!("{CONFIG}{KEYS}"));
    let text = entry.and_then(|entry| std::str::from_utf8(&entry.value).ok());
    let document = text.and_then(|text| load::load::<KeysDocument>(text).ok());
    document.map(|loaded| loaded.document.keys).unwrap_or_default()
}

/// A key that nobody has yet.
pub(crate) struct NewKey {
    /// Its public part.
    pub(crate) id: String,
    /// All of it.
    pub(crate) text: String,
}

impl NewKey {
    /// One of the system's random bytes.
    pub(crate) fn draw() -> Result<Self, Status> {
        let id = random::<ID_BYTES>()?;
        let text = format!("tl_{id}_{}", random::<SECRET_BYTES>()?);
        Ok(Self { id, text })
    }

    /// Its record, with what an entry says of it.
    fn record(&self, by: &Admitted, entry_json: &str) -> Result<Record, Status> {
        let wrong = |message: &str| refusal::bad_field("entry_json", message);
        let entry: Value = serde_json::from_str(entry_json).map_err(|e| wrong(&e.to_string()))?;
        let Value::Object(mut members) = entry else {
            return Err(wrong("is no object; write {} for a key that may make any call"));
        };
        for name in ["id", "hash", "by", "at_ms"] {
            if members.contains_key(name) {
                return Err(wrong(&format!("leave `{name}` out: it is made here")));
            }
        }
        let hash = blake3::Hash::from_bytes(by.view.keyring.hash(self.text.as_bytes()));
        members.insert("id".to_owned(), Value::from(self.id.as_str()));
        members.insert("hash".to_owned(), Value::from(hash.to_hex().as_str()));
        members.insert("by".to_owned(), Value::from(by.name()));
        members.insert("at_ms".to_owned(), Value::from(unix_ms()));
        let text = Value::Object(members).to_string();
        let loaded = load::load::<Record>(&text).map_err(|p| wrong(&p.to_string()))?;
        ApiKey::try_from(&loaded.document).map_err(|p| wrong(&p.to_string()))?;
        Ok(loaded.document)
    }
}

/// So many random bytes of the system's, in base32.
fn random<const N: usize>() -> Result<String, Status> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| refusal::internal(&format!("the system gives no random bytes: {e}")))?;
    Ok(base32(&bytes))
}

fn base32(bytes: &[u8]) -> String {
    let bit = |at: usize| {
        let byte = bytes.get(at / 8).copied().unwrap_or_default();
        usize::from((byte >> (7 - at % 8)) & 1)
    };
    let digit = |at: usize| (0..5).fold(0, |value, k| (value << 1) | bit(at * 5 + k));
    let digits = (0..(bytes.len() * 8).div_ceil(5)).map(digit);
    digits.filter_map(|value| BASE32.get(value)).map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_that_of_the_standard() {
        assert_eq!(base32(b"fooba"), "mzxw6ytb");
        assert_eq!(base32(b"f"), "my");
        assert_eq!(base32(&[0xff; 32]).len(), 52);
    }

    #[test]
    fn no_two_keys_are_alike_and_each_has_its_public_part() {
        let keys: Vec<NewKey> = (0..100).map(|_| NewKey::draw().unwrap()).collect();
        for key in &keys {
            assert_eq!(key.text.len(), 64);
            assert!(key.text.starts_with(&format!("tl_{}_", key.id)));
        }
        let distinct: std::collections::BTreeSet<&str> =
            keys.iter().map(|key| key.text.as_str()).collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
