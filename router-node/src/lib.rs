//! The router: takes inference calls and sends each to the best endpoint.

pub mod pipeline;

pub mod ingress;

pub mod admission;
pub mod attempt;
pub mod auth;
pub mod canary;
pub mod facts;
pub mod generations;
pub mod ledger;
pub mod rejection;
pub mod relay;
pub mod streaming;
pub mod traces;

pub mod evidence;

pub mod agreement;
pub mod census;
pub mod disk;
pub mod fold;
pub mod follow;
pub mod heard;
pub mod load;
pub mod register;
pub mod spending;
pub mod view;
pub mod way;

pub mod admin;
pub mod app;
pub mod certificates;
pub mod config;
pub mod demo;
pub mod dev;
pub mod first_key;
pub mod page;
pub mod reload;
pub mod serve;
pub mod settings;
pub mod telemetry;
