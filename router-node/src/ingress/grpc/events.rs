//! A stream of the pipeline as gRPC events. Keeps no text: each piece is read once and passed on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio_stream::Stream;
use tonic::Status;
use trunkline_proto::inference::v1::{ChatStreamResponse, Decision};

use super::call::decision_of;
use super::served_by;
use super::transcode::{status, stream};
use crate::pipeline::Router;
use crate::relay::Piece;
use crate::streaming::Streaming;

/// Looks for the decision of a call that has just ended.
type Looking = Pin<Box<dyn Future<Output = Option<Decision>> + Send>>;

/// A streamed answer. It ends without an error only when the answer is complete.
pub struct Events {
    stream: Box<Streaming>,
    generation: String,
    explain: Option<Box<Explain>>,
    ended: bool,
}

/// The decision that the caller asked for comes with the last event, which is held back until the record is
/// closed.
struct Explain {
    router: Arc<Router>,
    last: Option<ChatStreamResponse>,
    looking: Option<Looking>,
}

impl Events {
    /// The events of a stream.
    pub fn new(stream: Box<Streaming>, generation: String) -> Self {
        Self { stream, generation, explain: None, ended: false }
    }

    /// The same, with the decision in the last event.
    pub fn explained(mut self, router: Arc<Router>) -> Self {
        self.explain = Some(Box::new(Explain { router, last: None, looking: None }));
        self
    }

    fn event(&mut self, data: &[u8]) -> Option<Result<ChatStreamResponse, Status>> {
        match stream::chunk(data) {
            Ok(event) => {
                let mut event = event?;
                event.generation_id.clone_from(&self.generation);
                served_by::name(self.stream.provider(), &mut event.provider, &mut event.extra);
                self.hold_back(event).map(Ok)
            }
            Err(bad) => {
                self.ended = true;
                Some(Err(status::from_undecodable(&bad)))
            }
        }
    }

    /// Holds the event with the usage back when the decision is to come with it: it is the last one.
    fn hold_back(&mut self, event: ChatStreamResponse) -> Option<ChatStreamResponse> {
        match &mut self.explain {
            Some(explain) if event.usage.is_some() => explain.last.replace(event),
            Some(_) | None => Some(event),
        }
    }

    /// After the answer's end: the last event with the decision, if that was asked for.
    fn poll_last(&mut self, cx: &mut Context<'_>) -> Poll<Option<ChatStreamResponse>> {
        let Some(explain) = &mut self.explain else { return Poll::Ready(None) };
        let looking = explain.looking.get_or_insert_with(|| {
            let (router, generation) = (Arc::clone(&explain.router), self.generation.clone());
            Box::pin(async move { decision_of(&router, &generation).await })
        });
        let decision = ready!(looking.as_mut().poll(cx));
        let mut last = explain.last.take().unwrap_or_default();
        last.generation_id.clone_from(&self.generation);
        last.decision = decision;
        self.explain = None;
        Poll::Ready(Some(last))
    }
}

impl Stream for Events {
    type Item = Result<ChatStreamResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        while !this.ended {
            match ready!(this.stream.poll_next(cx)) {
                Some(Piece::Chunk { data, .. }) => {
                    if let Some(event) = this.event(&data) {
                        return Poll::Ready(Some(event));
                    }
                }
                // HTTP/2 has pings of its own.
                Some(Piece::KeepAlive) => {}
                Some(Piece::Broken(error)) => {
                    this.ended = true;
                    this.explain = None;
                    return Poll::Ready(Some(Err(status::from_error(&error))));
                }
                Some(Piece::Done) | None => this.ended = true,
            }
        }
        this.poll_last(cx).map(|last| last.map(Ok))
    }
}
