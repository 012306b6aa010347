//! A connection over HTTP/2 whose peer may send only so many frames that carry nothing. Each costs the peer some
//! bytes and us the work of an answer, so that floods of them (pings, settings, priorities, resets) would take the
//! processor from everybody else. What a caller needs is many times below the bound.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::connection::HTTP2_PREFACE;
use super::queue::Resets;

/// What a connection begins with, and has at most, unless it may have more streams than usual: one that gives up on
/// all of them at once, twice over, has to stay within.
const BALANCE_MAX: u32 = 2_000;
/// What comes back in a second: a ping for each fourth millisecond, which no caller needs.
const PER_SECOND: u32 = 1_000;
/// What a call brings along: its caller may send some frames for each, such as window updates and a ping.
const PER_CALL: u32 = 4;
/// What each frame of an answer brings along: it is acknowledged by two window updates, and may be measured by a
/// ping. What we answer to pings and settings brings nothing, or a peer that reads would never come to an end.
const PER_ANSWER: u32 = 8;
/// A call that is given up was begun all the same: 200 may be at once, and 100 in each second, beside those that were
/// answered.
const RESET_COST: u32 = 10;
/// Pings and settings want an answer: one by one each takes a turn, a read and a write.
const ANSWERED_COST: u32 = 4;
/// Frames after which others have their turn.
const FRAMES_PER_TURN: u32 = 64;
/// Data in smaller pieces carries next to nothing.
const DATA_MIN_BYTES: usize = 64;

/// What no socket says.
const FLOOD: io::ErrorKind = io::ErrorKind::QuotaExceeded;

/// RFC 9113, section 4.1.
const HEAD_BYTES: usize = 9;
/// RFC 9113, section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;

/// A stream that counts the frames that it reads. It begins with the preface of HTTP/2.
pub(super) struct Metered<I> {
    io: I,
    frames: Frames,
    answers: Frames,
    balance: u32,
    balance_max: u32,
    /// When what comes back was last added.
    filled: Instant,
    /// Frames since the connection last had nothing to read, or let others have their turn.
    turn: u32,
    /// Is told of each stream that the peer gives up.
    resets: Resets,
}

impl<I> Metered<I> {
    /// `streams` is how many the peer may have open at once; `resets` is told of those that it gives up.
    pub(super) fn new(io: I, streams: u32, resets: Resets) -> Self {
        let balance_max = streams.saturating_mul(2 * RESET_COST).max(BALANCE_MAX);
        let (frames, answers) = (Frames::after(HTTP2_PREFACE.len()), Frames::after(0));
        Self {
            io,
            frames,
            answers,
            balance: balance_max,
            balance_max,
            filled: Instant::now(),
            turn: 0,
            resets,
        }
    }

    fn take_in(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while let Some((kind, length)) = self.frames.next(&mut rest) {
            self.turn = self.turn.saturating_add(1);
            match kind {
                HEADERS => self.bring(PER_CALL),
                DATA if length >= DATA_MIN_BYTES => {}
                RST_STREAM => {
                    self.resets.note();
                    self.pay(RESET_COST)?;
                }
                SETTINGS | PING => self.pay(ANSWERED_COST)?,
                _ => self.pay(1)?,
            }
        }
        Ok(())
    }

    fn give_out(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((kind, _)) = self.answers.next(&mut rest) {
            if kind == DATA {
                self.bring(PER_ANSWER);
            }
        }
    }

    fn bring(&mut self, what: u32) {
        self.balance = self.balance.saturating_add(what).min(self.balance_max);
    }

    /// The clock is only read when the balance is used up, which no caller's ever is.
    fn pay(&mut self, cost: u32) -> io::Result<()> {
        if self.balance < cost {
            let now = Instant::now();
            let since = now.duration_since(self.filled);
            self.filled = now;
            let back = since.as_micros().saturating_mul(PER_SECOND.into()) / 1_000_000;
            self.bring(u32::try_from(back).unwrap_or(u32::MAX));
        }
        match self.balance.checked_sub(cost) {
            Some(left) => {
                self.balance = left;
                Ok(())
            }
            None => {
                let reason = "more HTTP/2 frames without content than any caller sends";
                Err(io::Error::new(FLOOD, reason))
            }
        }
    }
}

/// Whether it was a flood that ended the connection. HTTP/2 keeps the kind of an error and its text, nothing else.
pub(super) fn is_flood(error: &io::Error) -> bool {
    error.kind() == FLOOD
}

/// Finds the heads of frames in pieces of a stream.
struct Frames {
    /// The head that is being read: its first `has` bytes.
    head: [u8; HEAD_BYTES],
    has: usize,
    /// Bytes before the next head.
    skip: usize,
}

impl Frames {
    /// Of a stream whose first frame comes after so many bytes.
    fn after(skip: usize) -> Self {
        Self { head: [0; HEAD_BYTES], has: 0, skip }
    }

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
        if self.turn >= FRAMES_PER_TURN {
            // The connection's task goes to the end of the queue: a peer that always has bytes ready would otherwise
            // keep its worker from everybody else.
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                Poll::Ready(self.take_in(buffer.filled().get(before..).unwrap_or_default()))
            }
            other => {
                self.turn = 0;
                other
            }
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Metered<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        if let Poll::Ready(Ok(length)) = written {
            self.give_out(bytes.get(..length).unwrap_or_default());
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        if let Poll::Ready(Ok(mut left)) = written {
            for piece in pieces {
                let length = piece.len().min(left);
                self.give_out(piece.get(..length).unwrap_or_default());
                left -= length;
            }
        }
        written
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
    use std::task::Waker;
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let [.., high, middle, low] = length.to_be_bytes();
        let head = [high, middle, low, kind, 0, 0, 0, 0, 1];
        [&head[..], &vec![0; length]].concat()
    }

    fn begun() -> Metered<()> {
        let mut metered = Metered::new((), 100, Resets::default());
        metered.take_in(HTTP2_PREFACE).unwrap();
        metered
    }

    #[test]
    fn frames_are_found_however_the_stream_is_cut() {
        let stream =
            [HTTP2_PREFACE.to_vec(), frame(4, 18), frame(1, 300), frame(0, 0), frame(6, 8)]
                .concat();
        for size in 1..stream.len() {
            let (mut frames, mut found) = (Frames::after(HTTP2_PREFACE.len()), Vec::new());
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
            assert!((BALANCE_MAX / 4..=BALANCE_MAX).contains(&(taken as u32)), "{kind}: {taken}");
        }
        let (mut metered, call) = (begun(), [frame(1, 50), frame(3, 4)].concat());
        assert!((0..=2 * BALANCE_MAX).any(|_| metered.take_in(&call).is_err()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_may_give_up_on_all_its_calls() {
        for streams in [1, 100, 10_000] {
            let mut metered = Metered::new((), streams, Resets::default());
            metered.take_in(HTTP2_PREFACE).unwrap();
            for _ in 0..2 {
                assert!((0..streams).all(|_| metered.take_in(&frame(1, 50)).is_ok()));
                assert!((0..streams).all(|_| metered.take_in(&frame(3, 4)).is_ok()), "{streams}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_we_answer_to_a_flood_does_not_keep_it_going() {
        let (mut metered, ping) = (begun(), frame(6, 8));
        assert!((0..=2 * BALANCE_MAX).any(|_| {
            metered.give_out(&ping);
            metered.take_in(&ping).is_err()
        }));
    }

    #[tokio::test(start_paused = true)]
    async fn what_callers_send_goes_on_for_ever() {
        let mut metered = begun();
        let call = [frame(1, 50), frame(0, 500), frame(8, 4), frame(8, 4), frame(6, 8)].concat();
        metered.give_out(&frame(4, 18));
        for _ in 0..20 * BALANCE_MAX {
            assert!(metered.take_in(&call).is_ok(), "calls without end");
            metered.give_out(&[frame(1, 30), frame(0, 100)].concat());
        }
        for _ in 0..20 * BALANCE_MAX {
            metered.give_out(&frame(0, 500));
            assert!((0..4).all(|_| metered.take_in(&frame(8, 4)).is_ok()), "a stream without end");
        }
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(1)).await;
            let pings = PER_SECOND / ANSWERED_COST;
            assert!((0..pings).all(|_| metered.take_in(&frame(6, 8)).is_ok()), "a lively one");
        }
    }

    #[test]
    fn others_have_their_turn_however_much_is_ready() {
        let stream = [HTTP2_PREFACE.to_vec(), frame(0, 100).repeat(640)].concat();
        let (mut metered, mut piece) =
            (Metered::new(&stream[..], 100, Resets::default()), [0; 17 * 16]);
        let (mut turns, mut bytes, mut cx) = (0, 0, Context::from_waker(Waker::noop()));
        while bytes < stream.len() {
            let mut buffer = ReadBuf::new(&mut piece);
            match Pin::new(&mut metered).poll_read(&mut cx, &mut buffer) {
                Poll::Ready(read) => read.unwrap(),
                Poll::Pending => turns += 1,
            }
            bytes += buffer.filled().len();
        }
        assert!((9..=10).contains(&turns), "{turns}");
    }
}
