//! How many calls this router takes on at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use trunkline_wire::error::ErrorType;

use crate::rejection::{Rejection, reject};

/// The router's own bound on calls at once, whoever makes them.
#[derive(Debug)]
pub struct Admission {
    in_flight: AtomicUsize,
    most: usize,
}

/// A call's place; given back when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Admission>);

impl Admission {
    /// Room for `most` calls at once.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { in_flight: AtomicUsize::new(0), most })
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`ErrorType::Overloaded`] when there is none.
    pub fn admit(self: &Arc<Self>) -> Result<Permit, Rejection> {
        if self.in_flight.fetch_add(1, Relaxed) >= self.most {
            self.in_flight.fetch_sub(1, Relaxed);
            return Err(reject(
                ErrorType::Overloaded,
                "this router has as many calls as it takes; try again",
            ));
        }
        Ok(Permit(Arc::clone(self)))
    }

    /// Calls at the moment.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_place_is_given_and_no_more() {
        let admission = Admission::new(1);
        let held = admission.admit().unwrap();
        assert_eq!(admission.admit().unwrap_err().error_type, ErrorType::Overloaded);
        drop(held);
        assert!(admission.admit().is_ok());
    }
}
