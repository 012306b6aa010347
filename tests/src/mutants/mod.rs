//! Seeded bugs: shows that the tests notice when a rule is broken. Each is one piece of text in one file, what
//! stands there instead, and the tests that must fail then.
//!
//! Start reading at `list.rs`.

pub mod list;

pub mod run;

mod scratch;
