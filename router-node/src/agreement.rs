//! Whether other routers decide as this one does. Each router's sign of life names the last revision that made
//! a difference to it and the digest of its table there; at one revision all tables are the same, or one of
//! them decides by other rules. Calls never look here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::ingress::grpc::digest_hex;

/// Own tables that are remembered: some fifty seconds of measurements. Signs of other routers are at most a few
/// seconds old when they arrive.
const REMEMBERED: usize = 256;

/// What a router says its table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSign {
    /// The last revision that made a difference to it.
    pub changed: u64,
    /// Digest of its verdicts and weights, in hexadecimal.
    pub digest: String,
}

/// This router's tables of late, and what others say of theirs.
#[derive(Debug, Default)]
pub struct Agreement {
    own: Mutex<VecDeque<(u64, [u8; 32])>>,
    others: ArcSwap<BTreeMap<String, TableSign>>,
    differing: Mutex<BTreeSet<String>>,
}

impl Agreement {
    /// A table came into force, and the last revision that made a difference is this.
    pub fn made(&self, changed: u64, digest: [u8; 32]) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if own.len() >= REMEMBERED {
            own.pop_front();
        }
        own.push_back((changed, digest));
    }

    /// What the registered routers say.
    pub fn told(&self, signs: &Arc<BTreeMap<String, TableSign>>) {
        self.others.store(Arc::clone(signs));
    }

    /// How many registered routers had another table than this one when both were last seen at one revision.
    pub fn differing(&self) -> usize {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let others = self.others.load();
        let mut differing = self.differing.lock().unwrap_or_else(PoisonError::into_inner);
        differing.retain(|router| others.contains_key(router));
        for (router, sign) in others.iter() {
            let at_the_same = own.iter().rev().find(|(changed, _)| *changed == sign.changed);
            let Some((_, digest)) = at_the_same else { continue };
            if digest_hex(digest) == sign.digest {
                differing.remove(router);
            } else {
                differing.insert(router.clone());
            }
        }
        differing.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(agreement: &Agreement, signs: &[(&str, u64, u8)]) -> usize {
        let sign = |(router, changed, byte): &(&str, u64, u8)| {
            let sign = TableSign { changed: *changed, digest: digest_hex(&[*byte; 32]) };
            ((*router).to_owned(), sign)
        };
        agreement.told(&Arc::new(signs.iter().map(sign).collect()));
        agreement.differing()
    }

    #[test]
    fn tables_are_compared_at_one_revision_and_the_last_word_stands_between() {
        let agreement = Agreement::default();
        agreement.made(5, [1; 32]);
        agreement.made(7, [2; 32]);
        assert_eq!(told(&agreement, &[("a", 5, 1), ("b", 7, 2)]), 0);
        // Nothing is known of revision 6: nobody is accused.
        assert_eq!(told(&agreement, &[("a", 6, 9), ("b", 7, 2)]), 0);
        assert_eq!(told(&agreement, &[("a", 7, 9), ("b", 7, 2)]), 1);
        assert_eq!(told(&agreement, &[("a", 8, 9), ("b", 7, 2)]), 1);
        agreement.made(8, [9; 32]);
        assert_eq!(agreement.differing(), 0);
        assert_eq!(told(&agreement, &[("a", 7, 9)]), 1);
        assert_eq!(told(&agreement, &[]), 0, "who is gone does not differ");
    }

    #[test]
    fn a_store_that_was_put_back_is_compared_with_what_was_made_of_it_last() {
        let agreement = Agreement::default();
        for byte in [1, 2] {
            agreement.made(5, [byte; 32]);
        }
        assert_eq!(told(&agreement, &[("a", 5, 2)]), 0);
        for changed in 6..6 + REMEMBERED as u64 {
            agreement.made(changed, [3; 32]);
        }
        assert_eq!(told(&agreement, &[("a", 5, 1)]), 0, "it is long forgotten");
    }
}
