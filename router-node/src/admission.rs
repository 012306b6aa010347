//! How many calls this router takes on at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use trunkline_wire::error::ErrorType;

use crate::rejection::{Rejection, reject};

/// The router's own bound on calls at once, whoever makes them.
#[derive(Debug)]
pub struct Admission {
    in_flight: AtomicUsize,
}

/// A call's place; given back when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Admission>);

impl Admission {
    /// Nobody is there yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { in_flight: AtomicUsize::new(0) })
    }

    /// Takes one of `most` places. There may be fewer of them than before: then those who have one keep it.
    ///
    /// # Errors
    /// [`ErrorType::Overloaded`] when there is none.
    pub fn admit(self: &Arc<Self>, most: usize) -> Result<Permit, Rejection> {
        if self.in_flight.fetch_add(1, Relaxed) >= most {
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
        let admission = Admission::new();
        let held = admission.admit(1).unwrap();
        assert_eq!(admission.admit(1).unwrap_err().error_type, ErrorType::Overloaded);
        assert!(admission.admit(2).is_ok());
        drop(held);
        assert!(admission.admit(1).is_ok());
    }
}
