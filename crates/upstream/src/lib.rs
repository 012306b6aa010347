//! Speaking to providers: dialects, transport, and what their failures mean.
//!
//! Whatever a provider speaks, what comes out here is the OpenAI-compatible dialect and the failure kinds
//! of [`trunkline_core::failure`]. Whom to call is not decided here.

pub mod anthropic;

pub mod target;
pub mod transport;

pub mod events;
pub mod whole;

mod guard;

mod classify;
mod retry_after;
mod room;

pub use classify::Failed;
pub use events::{Chunk, EventStream, Item};
pub use room::Room;
pub use target::{Credential, Target, TargetError};
pub use transport::{Call, TraceHeaders, Transport, TransportError};
pub use whole::Whole;
