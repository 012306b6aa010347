//! How many files and sockets this process may have open at once. It opens and closes none.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// No more is asked for than this, however much the system would give: half a million connections are beyond
/// what one process serves, and some systems reserve memory by the limit.
const MOST: u64 = 1 << 20;

/// Raises the soft limit of open files as far as the hard one allows, and tells how many may be open now. A
/// process that may not is left as it is.
pub fn raise() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return usize::MAX };
    let wanted = hard.min(MOST).max(soft);
    let raised = wanted == soft || setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok();
    usize::try_from(if raised { wanted } else { soft }).unwrap_or(usize::MAX)
}

/// The connections to serve when `wanted` are configured and `free` descriptors are left for them and for what
/// their calls open: one more for each of `calls` at once, but no more than half. At least one.
#[must_use]
pub fn room(wanted: usize, free: usize, calls: usize) -> usize {
    wanted.min(free.saturating_sub(calls).max(free / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_room_beside_connections_and_never_more_than_half() {
        assert_eq!(room(65_536, 1 << 20, 10_000), 65_536);
        assert_eq!(room(65_536, 20_000, 1_000), 19_000);
        assert_eq!(room(65_536, 4_000, 10_000), 2_000);
        assert_eq!(room(100, 4_000, 10_000), 100);
        assert_eq!(room(65_536, 0, 10_000), 1);
    }

    #[test]
    fn raising_leaves_the_soft_limit_at_what_it_tells() {
        let told = raise();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(u64::try_from(told).unwrap(), soft);
        assert!(soft == hard || soft == MOST);
        assert_eq!(raise(), told);
    }
}
