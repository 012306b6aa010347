//! A simulated LLM provider on loopback, for `router-node dev`, tests and benchmarks.
//!
//! It speaks OpenAI's and Anthropic's HTTP, answers deterministically, fails on command in every way in
//! which providers fail, and remembers what it was asked. It is not a model and not for production.
//!
//! Start reading at `serve.rs`: the life of one request.

mod app;
mod serve;

mod ask;
mod rules;

mod answer;
mod schema;

mod anthropic;
mod openai;
mod refusal;

mod pace;
mod sabotage;
mod script;

mod bomb;
mod conn;
mod gate;
mod line;
mod play;

mod control;
mod draw;
mod fault;
mod fault_name;
mod log;
mod profile;

pub use answer::answer_text;
pub use app::{SimError, SimProvider, WAIT_MAX};
pub use ask::count_tokens;
pub use fault::{Fault, FaultRule};
pub use fault_name::{Named, fault_of_model};
pub use log::{End, Ending, LOG_BODY_BYTES_MAX, LOG_ENTRIES_MAX, LogEntry, WaitTimeout};
pub use profile::{ModelList, Profile, SimConfig, TOKENS_MAX};
