//! The harness that tests and measures every part of the project from outside. It holds no tests itself:
//! those are in `tests/`. Start reading at `router.rs`.

pub mod bench;

#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a simulation that goes astray ends on the spot, and its programs talk to a person"
)]
pub mod sim;

#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a simulation that goes astray ends on the spot"
)]
pub mod routing;

#[expect(clippy::print_stdout, reason = "its program talks to a person")]
pub mod mutants;

#[expect(clippy::expect_used, clippy::indexing_slicing, reason = "fails its test on the spot")]
pub mod abuse;

#[expect(clippy::expect_used, reason = "fails its test on the spot")]
pub mod authority;

#[expect(clippy::expect_used, reason = "fails its test on the spot")]
pub mod guarded;

#[expect(clippy::expect_used, clippy::panic, reason = "fails its test on the spot")]
pub mod process;

#[expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "fails its test on the spot"
)]
pub mod router;

#[expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "fails its test on the spot"
)]
pub mod cluster;

#[expect(clippy::expect_used, reason = "fails its test on the spot")]
pub mod provider;

#[expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "fails its test on the spot"
)]
pub mod client;

#[expect(clippy::expect_used, clippy::indexing_slicing, reason = "a measurement that fails ends")]
pub mod convergence;

#[expect(clippy::expect_used, clippy::indexing_slicing, reason = "a measurement that fails ends")]
pub mod rolling;

#[expect(clippy::expect_used, reason = "fails its test on the spot")]
pub mod operator;

#[expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "fails its test on the spot"
)]
pub mod images;

#[expect(clippy::expect_used, clippy::panic, reason = "fails its test on the spot")]
pub mod prometheus;

#[expect(clippy::expect_used, clippy::panic, reason = "fails its test on the spot")]
pub mod foreign;

#[expect(clippy::expect_used, reason = "fails its test on the spot")]
pub mod names;

#[expect(clippy::expect_used, reason = "fails its test on the spot")]
pub mod puppet;

pub mod frames;
pub mod json;
pub mod metrics;
mod times;

#[expect(clippy::panic, reason = "fails its test on the spot")]
pub mod record;
