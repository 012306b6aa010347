//! A connection over HTTP/2 whose peer may send only so many frames that carry nothing. Each costs the peer some
//! bytes and us the work of an answer, so that floods of them (pings, settings, priorities, resets) would take the
//! processor from everybody else. What a caller needs is many times below the bound.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::connection::HTTP2_PREFACE;

/// What a connection begins with, and has at most: a caller that gives up on all its calls at once, several times
/// over, stays far below.
const BALANCE_MAX: u32 = 2_000;
/// What comes back in a second: a ping for each millisecond, which no caller needs.
const PER_SECOND: u32 = 1_000;
/// What a call brings along: its caller may send some frames for each, such as window updates and a ping.
const PER_CALL: u32 = 4;
/// What each piece that we send brings along: it is acknowledged by window updates, two for each of its frames.
const PER_WRITE: u32 = 16;
/// A reset costs more than its call brought along.
const RESET_COST: u32 = PER_CALL + 1;
/// Data in smaller pieces carries next to nothing.
const DATA_MIN_BYTES: usize = 64;

/// RFC 9113, section 4.1.
const HEAD_BYTES: usize = 9;
/// RFC 9113, section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;

/// A stream that counts the frames that it reads. It begins with the preface of HTTP/2.
pub(super) struct Metered<I> {
    io: I,
    frames: Frames,
    balance: u32,
    /// When what comes back was last added.
    filled: Option<Instant>,
}

impl<I> Metered<I> {
    pub(super) fn new(io: I) -> Self {
        Self { io, frames: Frames::default(), balance: BALANCE_MAX, filled: None }
    }

    fn take_in(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while let Some((kind, length)) = self.frames.next(&mut rest) {
            match kind {
                HEADERS => self.bring(PER_CALL),
                DATA if length >= DATA_MIN_BYTES => {}
                RST_STREAM => self.pay(RESET_COST)?,
                _ => self.pay(1)?,
            }
        }
        Ok(())
    }

    fn bring(&mut self, what: u32) {
        self.balance = self.balance.saturating_add(what).min(BALANCE_MAX);
    }

    /// The clock is only read when the balance is used up, which no caller's ever is.
    fn pay(&mut self, cost: u32) -> io::Result<()> {
        if self.balance < cost {
            let now = Instant::now();
            let since = self.filled.map_or(Duration::MAX, |filled| now - filled);
            self.filled = Some(now);
            let back = since.as_micros().saturating_mul(PER_SECOND.into()) / 1_000_000;
            self.bring(u32::try_from(back).unwrap_or(u32::MAX));
        }
        match self.balance.checked_sub(cost) {
            Some(left) => {
                self.balance = left;
                Ok(())
            }
            None => {
                Err(io::Error::other("more HTTP/2 frames without content than any caller sends"))
            }
        }
    }
}

/// Finds the heads of frames in pieces of a stream.
struct Frames {
    /// The head that is being read: its first `has` bytes.
    head: [u8; HEAD_BYTES],
    has: usize,
    /// Bytes before the next head.
    skip: usize,
}

impl Default for Frames {
    fn default() -> Self {
        Self { head: [0; HEAD_BYTES], has: 0, skip: HTTP2_PREFACE.len() }
    }
}

impl Frames {
    /// The kind and length of the next frame whose head is complete; takes from the front of `rest`.
    fn next(&mut self, rest: &mut &[u8]) -> Option<(u8, usize)> {
        let skipped = self.skip.min(rest.len());
        self.skip -= skipped;
        *rest = rest.get(skipped..).unwrap_or_default();
        let wanted = self.head.get_mut(self.has..).unwrap_or_default();
        let taken = wanted.len().min(rest.len());
        let (new, after) = rest.split_at_checked(taken).unwrap_or_default();
        wanted.get_mut(..taken).unwrap_or_default().copy_from_slice(new);
        *rest = after;
        self.has += taken;
        if self.has < HEAD_BYTES {
            return None;
        }
        self.has = 0;
        let [high, middle, low, kind, ..] = self.head;
        self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        Some((kind, self.skip))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Metered<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                Poll::Ready(self.take_in(buffer.filled().get(before..).unwrap_or_default()))
            }
            other => other,
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Metered<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.bring(PER_WRITE);
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.bring(PER_WRITE);
        Pin::new(&mut self.io).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let [.., high, middle, low] = length.to_be_bytes();
        let head = [high, middle, low, kind, 0, 0, 0, 0, 1];
        [&head[..], &vec![0; length]].concat()
    }

    fn begun() -> Metered<()> {
        let mut metered = Metered::new(());
        metered.take_in(HTTP2_PREFACE).unwrap();
        metered
    }

    #[test]
    fn frames_are_found_however_the_stream_is_cut() {
        let stream =
            [HTTP2_PREFACE.to_vec(), frame(4, 18), frame(1, 300), frame(0, 0), frame(6, 8)]
                .concat();
        for size in 1..stream.len() {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for piece in stream.chunks(size) {
                let mut rest = piece;
                while let Some(frame) = frames.next(&mut rest) {
                    found.push(frame);
                }
            }
            assert_eq!(found, [(4, 18), (1, 300), (0, 0), (6, 8)], "in pieces of {size}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_any_kind_ends_the_connection() {
        // Pings, settings, priorities, empty data, unknown kinds, and calls that are reset at once.
        for (kind, length) in [(6, 8), (4, 0), (2, 5), (0, 1), (0xaa, 3)] {
            let (mut metered, frame) = (begun(), frame(kind, length));
            let taken =
                (0..=2 * BALANCE_MAX).take_while(|_| metered.take_in(&frame).is_ok()).count();
            assert!((BALANCE_MAX..=2 * BALANCE_MAX).contains(&(taken as u32)), "{kind}: {taken}");
        }
        let (mut metered, call) = (begun(), [frame(1, 50), frame(3, 4)].concat());
        assert!((0..=2 * BALANCE_MAX).any(|_| metered.take_in(&call).is_err()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_callers_send_goes_on_for_ever() {
        let mut metered = begun();
        let call = [frame(1, 50), frame(0, 500), frame(8, 4), frame(8, 4), frame(6, 8)].concat();
        assert!((0..20 * BALANCE_MAX).all(|_| metered.take_in(&call).is_ok()), "calls without end");
        for _ in 0..20 * BALANCE_MAX {
            metered.bring(PER_WRITE);
            assert!((0..8).all(|_| metered.take_in(&frame(8, 4)).is_ok()), "a stream without end");
        }
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!((0..PER_SECOND).all(|_| metered.take_in(&frame(6, 8)).is_ok()), "a lively one");
        }
    }
}
