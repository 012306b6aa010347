//! One accepted connection: the socket that can end with a reset, and the switch that orders it.
//! It knows nothing of HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Orders the end of one connection from any task.
#[derive(Default)]
pub struct Switch {
    reset: AtomicBool,
    killed: AtomicBool,
    carries_control: AtomicBool,
    thrown: Notify,
}

impl Switch {
    /// Resets the connection as soon as its task runs.
    pub fn reset(&self) {
        self.reset.store(true, Ordering::Release);
        self.thrown.notify_one();
    }

    /// Resets the connection because the whole provider goes down.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.reset();
    }

    /// Whether the provider went down, as opposed to the client leaving.
    #[must_use]
    pub fn was_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Notes that a `/_sim/` request came this way, so that an outage leaves the connection alone.
    pub fn mark_control(&self) {
        self.carries_control.store(true, Ordering::Release);
    }

    /// Whether a `/_sim/` request came this way.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.carries_control.load(Ordering::Acquire)
    }

    /// Returns once the connection has to end.
    pub async fn thrown(&self) {
        self.thrown.notified().await;
    }
}

/// A socket that is reset instead of closed when its switch says so.
pub struct Wire {
    socket: TcpStream,
    switch: Arc<Switch>,
}

impl Wire {
    /// Wraps an accepted socket.
    #[must_use]
    pub fn new(socket: TcpStream, switch: Arc<Switch>) -> Self {
        Self { socket, switch }
    }

    fn is_reset(&self) -> bool {
        self.switch.reset.load(Ordering::Acquire)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.is_reset() {
            // With a linger time of zero the close that follows sends RST. It can only fail on a
            // socket that is already gone.
            let _gone = self.socket.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_reset() {
            // A FIN now would turn the reset into an orderly close.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
