//! Names and identities. A name is what people write; an [`EndpointId`] is what the store keys by.

use std::fmt;
use std::sync::Arc;

/// Declares a cheap-to-clone name newtype: the compiler then keeps providers and models apart.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the name as it is; syntax is checked where documents are read.
            pub fn new(name: &str) -> Self {
                Self(Arc::from(name))
            }

            /// The name as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name as written, shared instead of copied.
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// Who runs a model: an account, a base URL and a credential. Example: `openai`.
    ProviderId
);
name!(
    /// What a client asks for by name. Example: `openai/gpt-4o-mini`.
    ModelId
);
name!(
    /// Where an endpoint runs, as its provider calls it. Example: `eu-west-1`.
    Region
);
name!(
    /// A failure domain that observers and routers stand in. Example: `zone-a`.
    Zone
);
name!(
    /// A prober's own name; it writes only under it.
    ProberId
);
name!(
    /// A router's own name: one witness of live traffic.
    RouterId
);
name!(
    /// The public part of an API key: eight characters, safe to log.
    KeyId
);

/// Characters of an endpoint id. Ten base32 characters are 50 bits: with the 2,000 endpoints of the
/// largest supported catalog a collision has a chance of 2·10⁻⁹, and admission refuses one all the same.
pub const ENDPOINT_ID_CHARS: usize = 10;

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The identity of one (provider, model, region): the unit of health, weight and drain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId([u8; ENDPOINT_ID_CHARS]);

impl EndpointId {
    /// The first 50 bits of `blake3(provider, 0, model, 0, region)` in lower-case base32 (RFC 4648 alphabet).
    pub fn of(provider: &ProviderId, model: &ModelId, region: &Region) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [provider.as_str(), model.as_str(), region.as_str()] {
            hasher.update(part.as_bytes());
            hasher.update(&[0]);
        }
        let mut bits = u64_prefix(hasher.finalize().as_bytes());
        let mut chars = [0; ENDPOINT_ID_CHARS];
        for c in &mut chars {
            *c = BASE32.get((bits >> 59) as usize).copied().unwrap_or(b'a');
            bits <<= 5;
        }
        Self(chars)
    }

    /// Reads an id as it stands in a store key; `None` unless it is ten base32 characters.
    pub fn parse(text: &str) -> Option<Self> {
        let chars: [u8; ENDPOINT_ID_CHARS] = text.as_bytes().try_into().ok()?;
        chars.iter().all(|c| BASE32.contains(c)).then_some(Self(chars))
    }

    /// The ten characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The first eight bytes of a hash as a big-endian number.
pub(crate) fn u64_prefix(hash: &[u8; 32]) -> u64 {
    hash.iter().take(8).fold(0, |bits, byte| (bits << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eid(p: &str, m: &str, r: &str) -> EndpointId {
        EndpointId::of(&ProviderId::new(p), &ModelId::new(m), &Region::new(r))
    }

    #[test]
    fn an_endpoint_id_is_stable_and_parts_do_not_run_together() {
        assert_eq!(eid("openai", "gpt-4o", "us").as_str().len(), ENDPOINT_ID_CHARS);
        assert_eq!(eid("openai", "gpt-4o", "us"), eid("openai", "gpt-4o", "us"));
        assert_ne!(eid("ab", "c", "d"), eid("a", "bc", "d"));
    }

    #[test]
    fn an_endpoint_id_reads_back_and_refuses_other_text() {
        let id = eid("a", "b", "c");
        assert_eq!(EndpointId::parse(id.as_str()), Some(id));
        assert_eq!(EndpointId::parse("short"), None);
        assert_eq!(EndpointId::parse("ABCDEFGHIJ"), None);
    }
}
