//! TLS identities in files: read, checked as a whole, read again when they change; and what a handshake that
//! failed means.
//!
//! It opens no connection and grants nothing: who may do what is decided elsewhere.

mod files;

pub mod held;

mod explain;

pub mod certificate;

pub use files::{ClientFiles, Pem, TlsError, TlsFiles, client_config, is_server_name};
pub use held::{ClientTls, Expiry, Held, Look, Renew, ServerTls};

/// An error of whatever kind, able to cross threads.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
