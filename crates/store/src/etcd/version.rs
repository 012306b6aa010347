//! What is known about versions of etcd.

use std::cmp::Ordering;
use std::fmt;

/// A version of etcd, as a member reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// What a member is at least when it does not tell us what it is: since 3.5.28, and in 3.6 from
    /// its beginning (until that was loosened again), only root may ask.
    pub(super) const UNTOLD: Self = Self { major: 3, minor: 5, patch: 28 };

    /// Reads `3.5.30` and `3.6.0-rc.1`; nothing for what is not a version.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (numbers, _) = text.split_once('-').unwrap_or((text, ""));
        let mut parts = numbers.split('.').map(str::parse);
        let (major, minor, patch) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        Some(Self { major, minor, patch })
    }

    /// Whether a cluster should run it. Before 3.5.33 and 3.6.14 a watch can read past the
    /// permission of its user.
    pub(super) fn is_recommended(self) -> bool {
        self.is_at_least(33, 14)
    }

    /// Whether the answer to a request for progress says the truth. Before 3.5.8 it could be ahead
    /// of events that were still to come, and moving the resume point there would lose them.
    pub(super) fn answers_progress_truly(self) -> bool {
        self.is_at_least(8, 0)
    }

    fn is_at_least(self, patch_of_3_5: u32, patch_of_3_6: u32) -> bool {
        match (self.major, self.minor).cmp(&(3, 5)) {
            Ordering::Less => false,
            Ordering::Equal => self.patch >= patch_of_3_5,
            Ordering::Greater => (self.major, self.minor) > (3, 6) || self.patch >= patch_of_3_6,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_judged_by_their_own_line() {
        let judge = |text: &str| {
            let version = Version::parse(text).unwrap();
            (version.answers_progress_truly(), version.is_recommended())
        };
        assert_eq!(judge("3.4.23"), (false, false));
        assert_eq!(judge("3.5.7"), (false, false));
        assert_eq!(judge("3.5.30"), (true, false));
        assert_eq!(judge("3.5.33"), (true, true));
        assert_eq!(judge("3.6.0-rc.1"), (true, false));
        assert_eq!(judge("3.6.14"), (true, true));
        assert_eq!(judge("3.7.0"), (true, true));
        assert_eq!(Version::parse("latest"), None);
        assert!(Version::UNTOLD.answers_progress_truly());
    }
}
