//! Who calls. Keys are stored as keyed BLAKE3 hashes; a look-up takes the same time whether or not the key
//! exists, as far as anybody without the pepper can tell.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::HeaderValue;
use subtle::ConstantTimeEq;
use trunkline_core::id::KeyId;
use trunkline_core::money::PicoUsd;
use trunkline_core::policy::{Access, ApiKey, SpendLimits, Tenant};
use trunkline_wire::error::ErrorType;

use crate::ledger::unix_ms;
use crate::rejection::{Rejection, reject};
use crate::spending::{Accounts, Spending};

/// Longer credentials are refused without a look: ours have 64 characters.
const MAX_CREDENTIAL_BYTES: usize = 512;

/// Hashes a key for storage and look-up.
pub fn hash_key(pepper: &[u8; 32], secret: &[u8]) -> [u8; 32] {
    *blake3::keyed_hash(pepper, secret).as_bytes()
}

/// A key's holder, and what it uses of its limits on this router.
#[derive(Debug)]
pub struct KeyHolder {
    /// What it may do.
    pub tenant: Tenant,
    /// What the key opens, until when and from where.
    pub access: Access,
    /// What its calls may cost, and have cost; nothing for a key without a limit.
    pub spending: Option<Spending>,
    hash: [u8; 32],
    in_flight: AtomicU32,
    spent_pico_usd: AtomicU64,
    rate: Option<DefaultDirectRateLimiter>,
}

impl KeyHolder {
    fn new(key: &ApiKey, accounts: &Accounts) -> Self {
        let spending = || Spending { limits: key.spend, account: accounts.of(&key.tenant.key) };
        let per_minute = key.tenant.requests_per_minute.and_then(NonZeroU32::new);
        Self {
            tenant: key.tenant.clone(),
            access: key.access.clone(),
            spending: key.spend.any().then(spending),
            hash: key.hash,
            in_flight: AtomicU32::new(0),
            spent_pico_usd: AtomicU64::new(0),
            rate: per_minute.map(|n| RateLimiter::direct(Quota::per_minute(n))),
        }
    }
}

impl KeyHolder {
    /// Somebody who shows a certificate instead of a key: no key's limits hold.
    pub fn without_key() -> Arc<Self> {
        let tenant = Tenant::unrestricted(KeyId::new(""));
        let (access, spend) = (Access::default(), SpendLimits::default());
        Arc::new(Self::new(&ApiKey { hash: [0; 32], tenant, access, spend }, &Accounts::default()))
    }

    /// Adds a call's cost.
    pub fn spend(&self, cost: PicoUsd) {
        self.spent_pico_usd.fetch_add(cost.0, Relaxed);
        if let Some(spending) = &self.spending {
            spending.account.add(cost);
        }
    }

    /// What its calls on this router have cost since the key's rules last changed, in pico-USD.
    pub fn spent_pico_usd(&self) -> u64 {
        self.spent_pico_usd.load(Relaxed)
    }
}

/// All keys in force.
#[derive(Debug, Default)]
pub struct Keyring {
    pepper: [u8; 32],
    holders: HashMap<[u8; 32], Arc<KeyHolder>>,
}

impl Keyring {
    /// The keys in force; a key whose rules did not change keeps what it has used of its limits.
    pub fn new(
        pepper: [u8; 32],
        keys: &[ApiKey],
        accounts: &Accounts,
        before: Option<&Keyring>,
    ) -> Self {
        let holder = |key: &ApiKey| {
            let known = before.and_then(|ring| ring.holders.get(&key.hash));
            let same = known.filter(|holder| {
                let limits = holder.spending.as_ref().map(|s| s.limits).unwrap_or_default();
                holder.tenant == key.tenant && holder.access == key.access && limits == key.spend
            });
            same.map_or_else(|| Arc::new(KeyHolder::new(key, accounts)), Arc::clone)
        };
        Self { pepper, holders: keys.iter().map(|key| (key.hash, holder(key))).collect() }
    }

    /// The hash of a key, as its record holds it.
    pub fn hash(&self, secret: &[u8]) -> [u8; 32] {
        hash_key(&self.pepper, secret)
    }

    /// The holder of the key in an `Authorization: Bearer …` or `x-api-key` header, sent from `peer`.
    ///
    /// # Errors
    /// A rejection that says what to send, and nothing about what was sent.
    pub fn authenticate(
        &self,
        credential: Option<&HeaderValue>,
        peer: IpAddr,
    ) -> Result<Arc<KeyHolder>, Rejection> {
        let missing = || {
            let message = "no API key: send it as `Authorization: Bearer <key>`";
            reject(ErrorType::Authentication, message)
        };
        let value = credential.ok_or_else(missing)?.as_bytes();
        let secret = strip_bearer(value);
        if secret.is_empty() || secret.len() > MAX_CREDENTIAL_BYTES {
            return Err(missing());
        }
        let hash = hash_key(&self.pepper, secret);
        let holder = self.holders.get(&hash).filter(|holder| bool::from(holder.hash.ct_eq(&hash)));
        let holder = holder.ok_or_else(|| {
            reject(
                ErrorType::Authentication,
                "this API key is not known; check it, or ask for a new one",
            )
        })?;
        check_access(&holder.access, peer)?;
        Ok(Arc::clone(holder))
    }

    /// What each key may do.
    pub fn tenants(&self) -> impl Iterator<Item = &Tenant> {
        self.holders.values().map(|holder| &holder.tenant)
    }

    /// The holder of a key by its public part, for calls made on its behalf.
    pub fn holder(&self, key: &KeyId) -> Option<&Arc<KeyHolder>> {
        self.holders.values().find(|holder| holder.tenant.key == *key)
    }
}

/// Whether a key is still good, and good where it was sent from.
fn check_access(access: &Access, peer: IpAddr) -> Result<(), Rejection> {
    if access.expires_at_ms.is_some_and(|end| unix_ms() >= end) {
        let message = "this API key has expired; ask for a new one";
        return Err(reject(ErrorType::Authentication, message));
    }
    if !access.from_here(peer) {
        let message = format!(
            "this API key may not be used from {}; use it from its own networks, or ask for another",
            peer.to_canonical()
        );
        return Err(reject(ErrorType::PermissionDenied, message));
    }
    Ok(())
}

fn strip_bearer(value: &[u8]) -> &[u8] {
    match value.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => rest.trim_ascii(),
        _ => value.trim_ascii(),
    }
}

/// A key's place among its calls at once; given back when dropped.
#[derive(Debug)]
pub struct KeyPermit(Arc<KeyHolder>);

impl KeyPermit {
    /// Admits one more call of the key, within what it may spend, its rate and its calls at once.
    ///
    /// # Errors
    /// A rejection that names the limit and how long to wait.
    pub fn admit(holder: &Arc<KeyHolder>) -> Result<Self, Rejection> {
        if let Some(spending) = &holder.spending {
            spending.check(unix_ms())?;
        }
        if let Some(rate) = &holder.rate
            && let Err(until) = rate.check()
        {
            let wait = until.wait_time_from(governor::clock::Clock::now(rate.clock()));
            return Err(limited("requests per minute", u64::try_from(wait.as_millis()).ok()));
        }
        let most = holder.tenant.max_concurrency.unwrap_or(u32::MAX);
        if holder.in_flight.fetch_add(1, Relaxed) >= most {
            holder.in_flight.fetch_sub(1, Relaxed);
            return Err(limited("calls at once", None));
        }
        Ok(Self(Arc::clone(holder)))
    }
}

impl Drop for KeyPermit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

fn limited(what: &str, retry_after_ms: Option<u64>) -> Rejection {
    let message = format!("this key's limit of {what} is reached; try again later");
    let mut rejection = reject(ErrorType::RateLimited, message);
    rejection.availability = Some(trunkline_wire::error::Availability {
        code: "key_limit".to_owned(),
        retryable: true,
        retry_after_ms,
        excluded_by: Vec::new(),
        affected_providers: Vec::new(),
    });
    rejection
}

#[cfg(test)]
mod tests {
    use trunkline_core::policy::Network;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn ring(tenant: Tenant) -> Keyring {
        with_access(tenant, Access::default())
    }

    fn with_access(tenant: Tenant, access: Access) -> Keyring {
        let (hash, spend) = (hash_key(&[7; 32], b"secret"), SpendLimits::default());
        let key = ApiKey { hash, tenant, access, spend };
        Keyring::new([7; 32], &[key], &Accounts::default(), None)
    }

    #[test]
    fn a_key_is_refused_once_it_expired_and_where_it_does_not_belong() {
        let tenant = || Tenant::unrestricted(KeyId::new("k"));
        let secret = HeaderValue::from_static("secret");
        let refused = |access| {
            let ring = with_access(tenant(), access);
            ring.authenticate(Some(&secret), HERE).map(|_| ()).map_err(|r| r.error_type)
        };
        let until = |end| Access { expires_at_ms: Some(end), ..Access::default() };
        assert_eq!(refused(until(unix_ms() + 60_000)), Ok(()));
        assert_eq!(refused(until(unix_ms())), Err(ErrorType::Authentication));
        let networks = vec![Network::new("10.0.0.0".parse().unwrap(), 8).unwrap()];
        let elsewhere = Access { networks, ..Access::default() };
        assert_eq!(refused(elsewhere), Err(ErrorType::PermissionDenied));
    }

    #[test]
    fn a_known_key_opens_with_and_without_bearer_and_others_do_not() {
        let ring = ring(Tenant::unrestricted(KeyId::new("k")));
        for value in ["Bearer secret", "bearer  secret", "secret"] {
            let value = HeaderValue::from_str(value).unwrap();
            assert!(ring.authenticate(Some(&value), HERE).is_ok());
        }
        for value in ["Bearer other", "", "Bearer "] {
            let value = HeaderValue::from_str(value).unwrap();
            let error = ring.authenticate(Some(&value), HERE).unwrap_err();
            assert_eq!(error.error_type, ErrorType::Authentication);
            assert!(!error.message.contains("other"));
        }
    }

    #[test]
    fn calls_at_once_are_bounded_and_given_back() {
        let tenant = Tenant { max_concurrency: Some(1), ..Tenant::unrestricted(KeyId::new("k")) };
        let ring = ring(tenant);
        let holder = ring.holder(&KeyId::new("k")).unwrap();
        let held = KeyPermit::admit(holder).unwrap();
        assert_eq!(KeyPermit::admit(holder).unwrap_err().error_type, ErrorType::RateLimited);
        drop(held);
        assert!(KeyPermit::admit(holder).is_ok());
    }

    #[test]
    fn a_rate_limit_says_how_long_to_wait() {
        let tenant =
            Tenant { requests_per_minute: Some(1), ..Tenant::unrestricted(KeyId::new("k")) };
        let ring = ring(tenant);
        let holder = ring.holder(&KeyId::new("k")).unwrap();
        assert!(KeyPermit::admit(holder).is_ok());
        let refused = KeyPermit::admit(holder).unwrap_err();
        let wait = refused.availability.and_then(|a| a.retry_after_ms).unwrap();
        assert!((1..=60_000).contains(&wait));
    }
}
