//! HTTP/2 at the level of frames (RFC 9113), and the little of HPACK (RFC 7541) that a request needs: literals
//! and references to the tables. It checks nothing of what it sends.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What a client sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A server that neither answers nor hangs up for this long has not noticed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Nothing more comes when nothing came for this long.
const QUIET: Duration = Duration::from_millis(500);
/// The length, kind, flags and stream of a frame.
const HEAD_BYTES: usize = 9;

/// `END_STREAM` of HEADERS and DATA; `ACK` of SETTINGS and PING.
pub const END: u8 = 0x1;
/// `END_HEADERS`.
pub const END_HEADERS: u8 = 0x4;

/// The kinds of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in RFC 9113")]
#[repr(u8)]
pub enum Kind {
    Data = 0,
    Headers = 1,
    Priority = 2,
    Reset = 3,
    Settings = 4,
    Push = 5,
    Ping = 6,
    GoAway = 7,
    Window = 8,
    Continuation = 9,
}

/// A frame's bytes.
#[must_use]
pub fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    let head = [&length[1..], &[kind as u8, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// A whole number in the `bits` low bits of a first byte whose high bits are `high`, and as many more as it takes.
fn integer(high: u8, bits: u32, value: usize) -> Vec<u8> {
    let most = (1 << bits) - 1;
    if value < most {
        return vec![high | u8::try_from(value).expect("it fits")];
    }
    let (mut bytes, mut rest) = (vec![high | u8::try_from(most).expect("it fits")], value - most);
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).expect("seven bits") | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).expect("seven bits"));
    bytes
}

/// A header as a literal that no table remembers.
#[must_use]
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [integer(0, 7, text.len()), text.as_bytes().to_vec()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// A header as a literal that the other side has to remember.
#[must_use]
pub fn remembered(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = literal(name, value);
    bytes[0] = 0x40;
    bytes
}

/// A header of the tables: 62 is the one that was remembered last.
#[must_use]
pub fn indexed(index: usize) -> Vec<u8> {
    integer(0x80, 7, index)
}

/// The block of a request with these headers.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let own = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "router")];
    own.iter().chain(headers).flat_map(|(name, value)| literal(name, value)).collect()
}

/// How a connection ended, or what had come when nothing more did.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// The reason that the server gave for leaving.
    pub goaway: Option<u32>,
    /// The streams that it reset, and why.
    pub resets: Vec<(u32, u32)>,
    /// The streams that it answered.
    pub answered: Vec<u32>,
    /// Whether it hung up.
    pub closed: bool,
}

impl Ended {
    fn take(&mut self, kind: u8, stream: u32, payload: &[u8]) {
        let number = |at: usize| {
            let bytes = payload.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u32::from_be_bytes)
        };
        if kind == Kind::GoAway as u8 {
            self.goaway = number(4);
        } else if kind == Kind::Reset as u8 {
            self.resets.extend(number(0).map(|reason| (stream, reason)));
        } else if kind == Kind::Headers as u8 {
            self.answered.push(stream);
        }
    }
}

/// A connection.
pub struct Frames {
    socket: TcpStream,
    unread: Vec<u8>,
}

impl Frames {
    /// Connects and sends the preface with these settings.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut socket = TcpStream::connect(address).await.expect("the router listens");
        socket.set_nodelay(true).expect("a socket takes its options");
        let setting =
            |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        let settings: Vec<u8> = settings.iter().flat_map(setting).collect();
        let first = [PREFACE, &frame(Kind::Settings, 0, 0, &settings)].concat();
        socket.write_all(&first).await.expect("the router reads");
        Self { socket, unread: Vec::new() }
    }

    /// Sends bytes; `false` when the other side does not take them, because it hung up or does not read.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(PATIENCE, self.socket.write_all(bytes)).await, Ok(Ok(())))
    }

    /// Sends bytes again and again, at most `most` times, for as long as they are taken, and reads nothing
    /// meanwhile. Says how often they were.
    pub async fn flood(&mut self, bytes: &[u8], most: usize) -> usize {
        for sent in 0..most {
            match timeout(QUIET, self.socket.write_all(bytes)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return sent,
            }
        }
        most
    }

    /// Waits for something to come, and does not look at it.
    pub async fn skip(&mut self) {
        let mut piece = [0; 16 << 10];
        let _ = timeout(QUIET, self.socket.read(&mut piece)).await;
    }

    /// Reads until the server hangs up.
    ///
    /// # Panics
    /// When it does not.
    pub async fn end(mut self) -> Ended {
        let mut ended = Ended::default();
        while !ended.closed {
            let more = timeout(PATIENCE, self.more(&mut ended)).await;
            assert!(more.is_ok(), "the server does not hang up: {ended:?}");
        }
        ended
    }

    /// Reads until nothing more comes.
    pub async fn so_far(&mut self) -> Ended {
        let mut ended = Ended::default();
        while !ended.closed && timeout(QUIET, self.more(&mut ended)).await.is_ok() {}
        ended
    }

    async fn more(&mut self, ended: &mut Ended) {
        ended.closed = !matches!(self.socket.read_buf(&mut self.unread).await, Ok(1..));
        while let Some((length, rest)) = self.unread.split_first_chunk::<3>() {
            let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            let Some(head) = rest.first_chunk::<6>() else { break };
            let (kind, stream) = (head[0], [head[2] & 0x7f, head[3], head[4], head[5]]);
            let Some(payload) = rest.get(6..6 + length) else { break };
            ended.take(kind, u32::from_be_bytes(stream), payload);
            self.unread.drain(..HEAD_BYTES + length);
        }
    }
}
