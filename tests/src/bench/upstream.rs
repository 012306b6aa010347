//! The provider behind every gateway: canned bytes and nothing else, so that it is never what is measured.
//! Faults are not its business; `sim-provider` has those.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio::time::{Instant, Sleep, sleep_until};

use super::dialect::{Ask, Frames, Script, reply};
use super::hosting;

/// Streamed when the prompt has no script.
const DEFAULT_SCRIPT: Script = Script { chunks: 20, interval: std::time::Duration::ZERO };

/// Answers chat completions on `listener`, until dropped.
///
/// # Errors
/// What the system said when it would not accept a connection.
pub async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    hosting::serve(listener, service_fn(answer)).await
}

async fn answer(request: Request<Incoming>) -> Result<Response<Answer>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let Ok(ask) = serde_json::from_slice::<Ask<'_>>(&body) else {
        let mut response = Response::new(Answer::Whole(Some(Bytes::from_static(b"{}"))));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(response);
    };
    let (kind, answer) = if ask.stream {
        let script = Script::find(&body).unwrap_or(DEFAULT_SCRIPT);
        ("text/event-stream", Answer::Streamed(Streamed::new(&ask.model, script)))
    } else {
        ("application/json", Answer::Whole(Some(reply(&ask.model))))
    };
    let mut response = Response::new(answer);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

enum Answer {
    Whole(Option<Bytes>),
    Streamed(Streamed),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut *self {
            Self::Whole(bytes) => bytes.take(),
            Self::Streamed(streamed) => ready!(streamed.poll_next(cx)),
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Self::Streamed(_) => SizeHint::default(),
        }
    }
}

/// A stream under way.
struct Streamed {
    frames: Frames,
    next: Next,
    left: u32,
    interval: std::time::Duration,
    /// When the next content chunk is due. The first is due at once, as a model's first token
    /// comes with its role.
    due: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// What comes next.
enum Next {
    First,
    Content,
    Ended,
}

impl Streamed {
    fn new(model: &str, script: Script) -> Self {
        Self {
            frames: Frames::new(model, script.chunks),
            next: Next::First,
            left: script.chunks,
            interval: script.interval,
            due: Instant::now(),
            sleep: None,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.next {
            Next::First => {
                self.next = Next::Content;
                Poll::Ready(Some(self.frames.first.clone()))
            }
            Next::Content => {
                let Some(left) = self.left.checked_sub(1) else {
                    self.next = Next::Ended;
                    return Poll::Ready(Some(self.frames.last.clone()));
                };
                if let Some(sleep) = &mut self.sleep {
                    ready!(sleep.as_mut().poll(cx));
                    self.sleep = None;
                }
                if !self.interval.is_zero() && left > 0 {
                    self.due += self.interval;
                    self.sleep = Some(Box::pin(sleep_until(self.due)));
                }
                self.left = left;
                Poll::Ready(Some(self.frames.content.clone()))
            }
            Next::Ended => Poll::Ready(None),
        }
    }
}
