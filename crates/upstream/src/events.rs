//! An answer that comes as a stream: whatever the provider speaks, chunks of the OpenAI-compatible dialect
//! come out, each read once, its bytes untouched where the dialect already fits.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use http_body::Body as _;
use trunkline_core::catalog::Dialect;
use trunkline_core::failure::FailureKind;
use trunkline_wire::chunk::{ChunkScan, FinishReason, scan_chunk};
use trunkline_wire::operation::Operation;
use trunkline_wire::sse::{Event, EventKind, Splitter};

use crate::anthropic::stream::{StreamState, Translator};
use crate::classify::Failed;
use crate::target::Credential;
use crate::transport::{Body, Call};
use crate::whole;

/// One chunk of a stream.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The frame as it goes to the caller, blank line included.
    pub raw: Bytes,
    /// The JSON inside.
    pub data: Bytes,
    /// What was read in it.
    pub scan: ChunkScan,
}

/// What a stream yields.
#[expect(
    clippy::large_enum_variant,
    reason = "boxing every chunk costs an allocation on the hot path; the small variants are rare"
)]
#[derive(Clone, Debug)]
pub enum Item {
    /// A chunk of the answer.
    Chunk(Chunk),
    /// The provider is still there, and says nothing yet.
    Comment,
    /// The answer is complete. Nothing follows.
    End,
}

/// A provider's stream.
pub struct EventStream {
    body: Body,
    splitter: Splitter,
    translator: Option<Box<Translation>>,
    operation: Operation,
    content: bool,
    finish: Option<FinishReason>,
    /// What must not be repeated to anybody.
    secrets: Arc<[Credential]>,
}

struct Translation {
    translator: Translator,
    ready: VecDeque<Vec<u8>>,
    done: bool,
}

impl EventStream {
    pub(crate) async fn open(response: Response<Body>, call: &Call<'_>) -> Result<Self, Failed> {
        whole::plain(&response)?;
        if !is_event_stream(&response) {
            return Err(no_stream(response).await);
        }
        let translator = match call.target.dialect {
            Dialect::OpenAi => None,
            Dialect::Anthropic => Some(Box::new(Translation {
                translator: Translator::new(&call.target.upstream_model, call.created),
                ready: VecDeque::new(),
                done: false,
            })),
        };
        Ok(Self {
            body: response.into_body(),
            splitter: Splitter::new(),
            translator,
            operation: call.operation,
            content: false,
            finish: None,
            secrets: Arc::clone(&call.target.secrets),
        })
    }

    /// Whether the answer said why it ended: from here on only usage and the end itself may follow.
    pub fn finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Whether anything of substance came yet.
    pub fn has_content(&self) -> bool {
        self.content
    }

    /// The next item.
    ///
    /// # Errors
    /// [`Failed`] when the stream breaks, says an error, cannot be read, or ends without being complete.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Item, Failed>> {
        loop {
            if let Some(item) = self.read_event()? {
                return Poll::Ready(Ok(item));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(self.last_event()),
                Some(Err(_)) => return Poll::Ready(Err(Failed::broken_off())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.splitter.push(data);
                    }
                }
            }
        }
    }

    /// The next item, as a future.
    ///
    /// # Errors
    /// As [`Self::poll_next`].
    pub async fn next(&mut self) -> Result<Item, Failed> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Reads events out of the bytes at hand until one says something.
    fn read_event(&mut self) -> Result<Option<Item>, Failed> {
        loop {
            if let Some(translation) = &mut self.translator {
                if let Some(data) = translation.ready.pop_front() {
                    let chunk = framed(data)?;
                    return self.take(chunk).map(Some);
                }
                if translation.done {
                    return self.end().map(Some);
                }
            }
            let event = self.splitter.next().map_err(|_| {
                Failed::new(
                    FailureKind::Undecodable,
                    "an event of the stream is too long or broken",
                )
            })?;
            let Some(event) = event else { return Ok(None) };
            match (event.kind, &mut self.translator) {
                (EventKind::Comment | EventKind::Blank, _) => return Ok(Some(Item::Comment)),
                (EventKind::Data, Some(translation)) => translation.read(&event)?,
                (EventKind::Data, None) => return self.take_event(event).map(Some),
            }
        }
    }

    /// The connection ended. What stands without its blank line still counts: some providers forget it.
    fn last_event(&mut self) -> Result<Item, Failed> {
        match self.splitter.finish() {
            Ok(Some(event)) if event.kind == EventKind::Data && self.translator.is_none() => {
                self.take_event(event)
            }
            _ => self.end(),
        }
    }

    fn take_event(&mut self, event: Event) -> Result<Item, Failed> {
        let scan = scan(&event.data)?;
        if scan.done {
            return self.end();
        }
        self.take(Chunk { raw: event.raw, data: event.data, scan })
    }

    fn take(&mut self, chunk: Chunk) -> Result<Item, Failed> {
        if chunk.scan.error.is_some() {
            return Err(Failed::inside(&chunk.data).without(&self.secrets));
        }
        self.content |= chunk.scan.content;
        if let Some(reason) = chunk.scan.finish_reason {
            self.finish = Some(reason);
            whole::empty_means(self.operation, self.content, self.finish)?;
        }
        Ok(Item::Chunk(chunk))
    }

    /// A stream may end only after it said why; a silent end is a cut.
    fn end(&self) -> Result<Item, Failed> {
        if self.finish.is_some() {
            return Ok(Item::End);
        }
        if self.content {
            return Err(Failed::new(
                FailureKind::Truncated,
                "the stream ended before the answer did",
            ));
        }
        Err(Failed::new(FailureKind::Empty, "the stream ended without content"))
    }
}

impl Translation {
    fn read(&mut self, event: &Event) -> Result<(), Failed> {
        let mut out = Vec::new();
        let name = event.name.as_deref().and_then(|n| std::str::from_utf8(n).ok());
        let state = self.translator.event(name, &event.data, &mut out).map_err(|_| malformed())?;
        self.ready.extend(out);
        self.done = state != StreamState::Open;
        Ok(())
    }
}

fn framed(data: Vec<u8>) -> Result<Chunk, Failed> {
    let raw = Bytes::from([b"data: ", data.as_slice(), b"\n\n"].concat());
    let data = raw.slice(6..raw.len() - 2);
    let scan = scan(&data)?;
    Ok(Chunk { raw, data, scan })
}

fn scan(data: &[u8]) -> Result<ChunkScan, Failed> {
    scan_chunk(data).map_err(|_| malformed())
}

fn malformed() -> Failed {
    Failed::new(FailureKind::Undecodable, "a chunk of the stream is not what the dialect demands")
}

fn is_event_stream(response: &Response<Body>) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE);
    content_type.is_some_and(|t| t.as_bytes().starts_with(b"text/event-stream"))
}

/// Some providers answer an error as plain JSON with status 200 where a stream was asked for.
async fn no_stream(response: Response<Body>) -> Failed {
    let body = whole::bounded(response, whole::MAX_ERROR_BYTES).await.unwrap_or_default();
    let says_error = serde_json::from_slice::<serde_json::Value>(&body)
        .is_ok_and(|v| v.get("error").is_some_and(|e| !e.is_null()));
    if says_error {
        return Failed::inside(&body);
    }
    Failed::new(FailureKind::Undecodable, "the answer is no event stream")
}
