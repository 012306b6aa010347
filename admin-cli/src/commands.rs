//! The verbs, one a file. Each asks the admin API and renders its answer.

pub mod catalog;
pub mod completion;
pub mod contexts;
pub mod describe;
pub mod drain;
pub mod explain;
pub mod get;
pub mod import;
pub mod keys;
pub mod man;
pub mod status;
pub mod undrain;
pub mod weight;
pub mod withdraw;

mod edited;
