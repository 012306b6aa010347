//! The verbs, one a file. Each asks the admin API and renders its answer.

pub mod bootstrap;
pub mod canary;
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

pub mod dataflow;
pub mod doctor;
pub mod document;
pub mod policy;
mod policy_test;
pub mod schema;
pub mod top;
pub mod wait;

mod edited;
