//! The simulated provider as clients see it, byte by byte.
#![expect(clippy::unwrap_used, reason = "support code: a failure there fails the test")]
#![expect(clippy::expect_used, reason = "support code: a failure there fails the test")]
#![expect(clippy::indexing_slicing, reason = "absent JSON fields read as null")]

mod raw;

mod faults;
mod outages;
mod serving;
