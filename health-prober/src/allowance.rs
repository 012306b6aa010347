//! How many keys a prober may write: its share of what all probers together may write in any second. Pure: the
//! clock reading comes in.

use std::collections::VecDeque;

/// Keys that all probers together write in a second: 500 is what a cluster's store is asked to bear, and signs of
/// life, and keys that are tidied away, need some of it.
const CLUSTER_KEYS_A_SECOND: usize = 480;
/// Over this time the keys are counted.
const SECOND_MS: u64 = 1_000;
/// What is not urgent leaves this part of the share to what is: a fifth.
const RESERVE_DIVISOR: usize = 5;

/// What one prober has written in the last second.
#[derive(Debug, Default)]
pub struct Allowance {
    /// When, and how many keys; the oldest first.
    written: VecDeque<(u64, usize)>,
}

impl Allowance {
    /// Keys that may be written now, where so many probers share.
    pub fn left(&mut self, probers: usize, now_ms: u64) -> usize {
        while self.written.front().is_some_and(|(at, _)| at + SECOND_MS <= now_ms) {
            self.written.pop_front();
        }
        share(probers).saturating_sub(self.written.iter().map(|(_, keys)| keys).sum())
    }

    /// The same for what can wait.
    pub fn left_for_what_can_wait(&mut self, probers: usize, now_ms: u64) -> usize {
        self.left(probers, now_ms).saturating_sub(share(probers) / RESERVE_DIVISOR)
    }

    /// When there will be more, in milliseconds; `None` while nothing is used.
    pub fn grows_ms(&self) -> Option<u64> {
        self.written.front().map(|(at, _)| at + SECOND_MS)
    }

    /// So many keys are being written.
    pub fn spend(&mut self, keys: usize, now_ms: u64) {
        self.written.push_back((now_ms, keys));
    }
}

fn share(probers: usize) -> usize {
    (CLUSTER_KEYS_A_SECOND / probers.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_no_second_is_more_written_than_the_share() {
        let mut allowance = Allowance::default();
        let mut written = Vec::new();
        for now_ms in (0..10_000).step_by(70) {
            let keys = allowance.left(20, now_ms).min(9);
            allowance.spend(keys, now_ms);
            written.push((now_ms, keys));
            let second = written.iter().filter(|(at, _)| at + SECOND_MS > now_ms);
            assert!(second.map(|(_, keys)| keys).sum::<usize>() <= 24);
        }
        assert!(written.iter().map(|(_, keys)| keys).sum::<usize>() >= 10 * 23);
    }

    #[test]
    fn what_can_wait_leaves_a_fifth_to_what_cannot() {
        let mut allowance = Allowance::default();
        assert_eq!(allowance.left_for_what_can_wait(1, 0), 384);
        allowance.spend(384, 0);
        assert_eq!((allowance.left(1, 0), allowance.left_for_what_can_wait(1, 0)), (96, 0));
        assert_eq!((allowance.grows_ms(), allowance.left(1, 1_000)), (Some(1_000), 480));
    }

    #[test]
    fn however_many_share_each_may_write_something() {
        assert_eq!(Allowance::default().left(1_000, 0), 1);
    }
}
