//! The bounds of a server and their defaults. Nothing here acts.

use std::time::Duration;

/// What one server allows. The defaults suit a port that faces callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at once; more wait in the system's queue.
    pub max_connections: usize,
    /// The time to send a request's head, the wait between two requests of a kept connection
    /// included: HTTP/1.1 clients that are slow or idle for longer are cut.
    pub header_read_timeout: Duration,
    /// The time for the first bytes and the TLS handshake.
    pub handshake_timeout: Duration,
    /// Bytes of a request's head or trailers. HTTP/1.1 allows 100 fields in any case.
    pub max_header_bytes: u32,
    /// The read buffer of an HTTP/1.1 connection in bytes, at least 8 KiB. It starts at 8 KiB and
    /// grows while a body keeps filling it; a kept connection keeps what it grew to.
    pub max_buffer_bytes: usize,
    /// Streams at once on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// After this much silence an HTTP/2 peer is asked whether it is there.
    pub keep_alive_interval: Duration,
    /// How long an HTTP/2 peer may take to answer that.
    pub keep_alive_timeout: Duration,
    /// A connection older than this, less up to a tenth or more by as much, is told to finish, so
    /// that clients spread over new servers. `None` keeps connections.
    pub max_connection_age: Option<Duration>,
    /// How long a connection that was told to finish for its age may take to; then it is dropped. Calls that are
    /// longer than this are cut.
    pub connection_age_grace: Duration,
    /// A peer that takes nothing of what is sent to it for this long is gone, whatever it says. The system
    /// watches; whole milliseconds.
    pub stall_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            // Some 30 KiB each: 2 GiB at the worst.
            max_connections: 65_536,
            header_read_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            max_header_bytes: 16 * 1024,
            // Three reads take in a body of 56 KiB, as many as a larger buffer would need.
            max_buffer_bytes: 32 * 1024,
            max_concurrent_streams: 100,
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(10),
            max_connection_age: Some(Duration::from_secs(30 * 60)),
            // The longest call that a policy can allow: whoever holds streams open without reading them loses
            // them, and nobody else.
            connection_age_grace: Duration::from_secs(60 * 60),
            // As long as a head may take; a network that loses every packet for a minute is no network.
            stall_timeout: Duration::from_secs(60),
        }
    }
}
