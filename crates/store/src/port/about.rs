//! What a store says of itself: of which kind it is, and how its members are. It is for operators; nothing else
//! depends on it.

/// What a store says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Of which kind it is.
    pub kind: Kind,
    /// Its members, in the order of the configuration; none of a store in this process.
    pub members: Vec<Member>,
    /// Whom it lets in, and what it lets us do.
    pub access: Access,
}

/// What a store's access control is, as far as it tells us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// There is none to tell of, or it does not tell.
    #[default]
    Untold,
    /// Everybody may do everything.
    Open,
    /// Everybody may do what their roles say.
    Confined {
        /// Whom it takes us for.
        user: String,
        /// What we may write: keys, and with a `*` at the end all that begin so.
        may_write: Vec<String>,
    },
}

/// Kinds of stores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// In memory, gone with the process.
    #[default]
    Memory,
    /// In a file of this process.
    Embedded,
    /// A cluster of etcd.
    Etcd,
}

impl Kind {
    /// The name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Embedded => "embedded",
            Self::Etcd => "etcd",
        }
    }
}

/// A member of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its address, as configured.
    pub address: String,
    /// What it told, or why it told nothing.
    pub told: Result<Told, String>,
}

/// What a member told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Its version; nothing when it does not let us ask.
    pub version: Option<String>,
    /// It is older than what is recommended, and why that matters.
    pub outdated: Option<&'static str>,
    /// The size of its data, in bytes.
    pub size_bytes: Option<u64>,
    /// The size at which it refuses writes, in bytes.
    pub quota_bytes: Option<u64>,
    /// It knows no leader: nothing can be written through it.
    pub leaderless: bool,
    /// What it complains about itself, such as an alarm.
    pub complaints: Vec<String>,
}
