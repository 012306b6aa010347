//! What people write and the store holds, validated into `core` types. Text becomes a document here
//! ([`load`]), and a document becomes a `core` value ([`catalog::parse`] and its sisters), with every
//! problem reported where it stands. It does no I/O: callers bring the text.

pub mod canary;
pub mod canonical;
pub mod cases;
pub mod catalog;
pub mod diff;
pub mod error;
pub mod keys;
pub mod load;
pub mod manifest;
mod names;
pub mod observation;
pub mod overrides;
pub mod policy;
pub mod reference;
pub mod router;
mod shape;
pub mod spend;
mod tree;
pub mod versioned;

pub use error::{Problem, Problems};
pub use load::{Loaded, MAX_DOCUMENT_BYTES, load};
