//! What leaves, when, and in how many pieces.

use std::task::Waker;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

/// Notes each write; takes `most` bytes of each, and nothing while that is 0.
struct Noted {
    writes: Vec<Vec<u8>>,
    most: usize,
}

impl AsyncWrite for Noted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = bytes.len().min(self.most);
        if taken == 0 {
            return Poll::Pending;
        }
        self.writes.push(bytes[..taken].to_vec());
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn noted(most: usize) -> (Gathered<Noted>, Outgoing<Noted>) {
    gather(Noted { writes: Vec::new(), most })
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn write(to: &mut Gathered<Noted>, bytes: &[u8]) -> Option<usize> {
    match Pin::new(to).poll_write(&mut cx(), bytes) {
        Poll::Ready(taken) => Some(taken.unwrap()),
        Poll::Pending => None,
    }
}

fn send(outgoing: &mut Outgoing<Noted>) -> bool {
    outgoing.poll_send(&mut cx()).map(Result::unwrap).is_ready()
}

#[test]
fn what_a_turn_writes_leaves_in_one_piece() {
    let (mut io, mut outgoing) = noted(usize::MAX);
    for piece in ["one ", "two ", "three"] {
        assert_eq!(write(&mut io, piece.as_bytes()), Some(piece.len()));
        assert!(Pin::new(&mut io).poll_flush(&mut cx()).is_ready());
    }
    assert!(lock(&io.0).io.writes.is_empty());
    assert!(send(&mut outgoing) && send(&mut outgoing));
    assert_eq!(lock(&io.0).io.writes, [b"one two three"]);
}

#[test]
fn a_peer_that_takes_little_gets_all_in_order() {
    let (mut io, mut outgoing) = noted(0);
    assert_eq!(write(&mut io, b"abcdef"), Some(6));
    assert!(!send(&mut outgoing));
    lock(&io.0).io.most = 4;
    assert_eq!(write(&mut io, b"ghi"), Some(3));
    assert!(send(&mut outgoing));
    assert_eq!(lock(&io.0).io.writes.concat(), b"abcdefghi");
}

#[test]
fn a_peer_that_takes_nothing_holds_so_much_and_no_more() {
    let (mut io, _outgoing) = noted(0);
    let piece = vec![b'x'; DIRECT_BYTES - 1];
    let mut held = 0;
    while let Some(taken) = write(&mut io, &piece) {
        held += taken;
    }
    assert_eq!(held, MOST_BYTES);
    assert_eq!(lock(&io.0).waiting.len(), MOST_BYTES);
}

#[test]
fn a_long_piece_alone_is_not_copied() {
    let (mut io, _outgoing) = noted(usize::MAX);
    assert_eq!(write(&mut io, &vec![b'x'; DIRECT_BYTES + 1]), Some(DIRECT_BYTES + 1));
    assert_eq!(lock(&io.0).io.writes.len(), 1);
    assert_eq!(lock(&io.0).waiting.capacity(), 0);
}

#[tokio::test]
async fn the_end_sends_what_is_left() {
    let (near, mut far) = duplex(1024);
    let (mut io, _outgoing) = gather(near);
    io.write_all(b"last words").await.unwrap();
    io.shutdown().await.unwrap();
    let mut read = String::new();
    far.read_to_string(&mut read).await.unwrap();
    assert_eq!(read, "last words");
}
