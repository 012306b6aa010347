//! Passive evidence: what this router's live calls came to, told to every prober that watches the endpoint. Calls
//! count outcomes with a few atomic additions; one task collects them once a second, or at once when an endpoint's
//! state seems to change; one link a prober carries them. Losing all of it costs freshness and nothing else.

pub mod outcomes;

pub mod board;

mod line;
pub mod link;
pub mod local;

pub mod reporter;

pub mod telemetry;

pub use board::Board;
pub use reporter::Reporter;
