//! What a response's body can be: nothing, bytes, an event stream, or gRPC's own.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use trunkline_wire::operation::Operation;
use trunkline_wire::sse;

use crate::relay::Piece;
use crate::streaming::Streaming;

/// What a keep-alive comment says.
const COMMENT: &str = "trunkline";

/// A response's body.
pub enum Payload {
    /// Bytes that are all there; `None` once they were taken.
    Full(Option<Bytes>),
    /// An event stream.
    Events(Box<Events>),
    /// gRPC's.
    Grpc(tonic::body::Body),
}

/// A body broke off on purpose: the connection is cut, so that no client takes what came for the whole.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    /// An event stream ended with an error.
    #[error("the stream ended with an error")]
    Stream,
    /// gRPC's body broke.
    #[error("grpc: {0}")]
    Grpc(String),
}

impl Payload {
    /// Bytes that are all there.
    pub fn full(bytes: Bytes) -> Self {
        Self::Full(Some(bytes))
    }

    /// An event stream of an operation; `id` stands in its error chunk.
    pub fn events(operation: Operation, stream: Box<Streaming>, id: String) -> Self {
        Self::Events(Box::new(Events { operation, stream, id, ending: Ending::Open }))
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Events(events) => events.poll_frame(cx),
            Self::Grpc(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|f| f.map(|f| f.map_err(|e| Cut::Grpc(e.to_string())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Events(_) => false,
            Self::Grpc(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Events(_) => SizeHint::default(),
            Self::Grpc(body) => body.size_hint(),
        }
    }
}

/// A stream rendered as server-sent events.
pub struct Events {
    operation: Operation,
    stream: Box<Streaming>,
    id: String,
    ending: Ending,
}

/// How far the end of an event stream has got.
enum Ending {
    /// Not there yet.
    Open,
    /// `[DONE]` was sent.
    Done,
    /// The error chunk was handed over; the server gets one turn to write it before the cut.
    Flushing,
    /// The connection is to be cut.
    Cut,
}

impl Events {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.ending {
            Ending::Open => {}
            Ending::Done => return Poll::Ready(None),
            Ending::Flushing => {
                self.ending = Ending::Cut;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Ending::Cut => return Poll::Ready(Some(Err(Cut::Stream))),
        }
        let piece = std::task::ready!(self.stream.poll_next(cx));
        let bytes = match piece {
            Some(Piece::Chunk { frame, .. }) => frame,
            Some(Piece::KeepAlive) => sse::comment(COMMENT),
            Some(Piece::Done) => {
                self.ending = Ending::Done;
                Bytes::from_static(b"data: [DONE]\n\n")
            }
            Some(Piece::Broken(error)) => {
                self.ending = Ending::Flushing;
                sse::frame(&error.to_chunk(self.operation, &self.id, self.stream.model()))
            }
            None => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}
