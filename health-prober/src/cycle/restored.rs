//! A store that was restored from an old backup says what this prober said long ago. Nothing else would make the
//! prober say it again before its next refresh, two minutes later.

use crate::cycle::Cycle;

impl Cycle {
    /// After a listing: what the store does not say as this prober last wrote it is written again. A listing
    /// may be older than the last write, which is then written once too often.
    pub(super) fn say_again_what_the_store_forgot(&mut self) {
        for (id, watched) in &mut self.watched {
            if watched.record.is_contradicted_by(self.fold.vote_of(*id, &self.me)) {
                watched.record.lose();
                self.unsaid.insert(*id);
            }
        }
    }
}
