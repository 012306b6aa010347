//! A connection whose writes gather while it works, and leave together at the end of its turn. HTTP/2 hands each
//! piece of data of some length over alone, so that a dozen answers on one connection would be a dozen system
//! calls. Nothing waits for more to come: what a turn wrote is sent before the task rests.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that gather before the system takes them. A peer that reads slowly holds up to this much, beside what
/// its streams hold.
const MOST_BYTES: usize = 64 * 1024;
/// What is longer, a frame of data at its usual most, costs more to copy than a system call.
const DIRECT_BYTES: usize = 16 * 1024;
/// Room for what an ordinary turn writes.
const USUAL_BYTES: usize = 8 * 1024;

/// The side that is read from and written to.
pub(super) struct Gathered<I>(Arc<Mutex<Inner<I>>>);

/// The side that sends.
pub(super) struct Outgoing<I>(Arc<Mutex<Inner<I>>>);

struct Inner<I> {
    io: I,
    waiting: Vec<u8>,
    /// Bytes at the front of `waiting` that the system has taken.
    sent: usize,
}

/// Both sides of `io`, for one task.
pub(super) fn gather<I>(io: I) -> (Gathered<I>, Outgoing<I>) {
    let inner = Arc::new(Mutex::new(Inner { io, waiting: Vec::new(), sent: 0 }));
    (Gathered(Arc::clone(&inner)), Outgoing(inner))
}

/// Only the connection's own task comes here, so the lock is always free.
fn lock<I>(inner: &Mutex<Inner<I>>) -> MutexGuard<'_, Inner<I>> {
    // What was written is whole between any two statements, poisoned or not.
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<I: AsyncWrite + Unpin> Outgoing<I> {
    /// Sends what has gathered. While it is pending, the task is woken when there is room.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).poll_send(cx)
    }
}

impl<I: AsyncWrite + Unpin> Inner<I> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.waiting.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let taken = ready!(Pin::new(&mut self.io).poll_write(cx, rest))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += taken;
        }
        self.sent = 0;
        // Given back: connections that only wait keep nothing.
        self.waiting = Vec::new();
        // TLS may hold some back.
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.waiting.is_empty() && length > DIRECT_BYTES {
            return Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        }
        if self.waiting.len() >= MOST_BYTES {
            ready!(self.poll_send(cx))?;
        }
        if self.waiting.is_empty() {
            self.waiting.reserve(length.max(USUAL_BYTES));
        }
        let before = self.waiting.len();
        for piece in pieces {
            let room = MOST_BYTES.saturating_sub(self.waiting.len());
            self.waiting.extend_from_slice(piece.get(..room).unwrap_or(piece));
        }
        Poll::Ready(Ok(self.waiting.len() - before))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Gathered<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).io).poll_read(cx, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Gathered<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_write(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_write(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing: the turn's end sends.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = lock(&self.0);
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
