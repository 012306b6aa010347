//! A gRPC message on its way in: bounded in time, and in size as long as nobody knows whom it is from. How large
//! a message of a known caller may be is checked where it is decoded.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};
use tonic::Status;
use trunkline_wire::error::ErrorType;

use crate::ingress::grpc::refused;
use crate::pipeline::Router;
use crate::rejection::{Rejection, reject};

/// A body must be in after this long, or its sender holds a place for nothing.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// As much is read of a body before anybody looks at its sender's key. A prompt of usual length fits; thousands
/// of strangers who send bodies and never end them cannot fill the memory.
pub const STRANGERS_BYTES: usize = 64 << 10;

/// Who sends a message, as far as it says.
pub struct Sender {
    /// The router that knows the keys.
    pub router: Arc<Router>,
    /// The key, as sent.
    pub credential: Option<HeaderValue>,
    /// Where from.
    pub peer: IpAddr,
}

impl Sender {
    /// Whether it has a key that is good here.
    ///
    /// # Errors
    /// What it is told if it has none.
    pub fn known(&self) -> Result<(), Rejection> {
        let view = self.router.view.load();
        view.keyring.authenticate(self.credential.as_ref(), self.peer).map(drop)
    }
}

/// A message's bytes.
pub struct Arriving {
    body: Incoming,
    came: usize,
    /// Looked at once, when the message turns out to be long.
    sender: Option<Sender>,
    /// Set when something has to be waited for: most messages are there at once.
    late: Option<Pin<Box<Sleep>>>,
}

impl Arriving {
    /// The body that somebody sends.
    pub fn new(body: Incoming, sender: Sender) -> Self {
        Self { body, came: 0, sender: Some(sender), late: None }
    }

    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(BODY_TIMEOUT)));
        late.as_mut().poll(cx).is_ready()
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Status> {
        self.came += frame.data_ref().map_or(0, Bytes::len);
        if self.came > STRANGERS_BYTES
            && let Some(sender) = self.sender.take()
        {
            sender.known().map_err(|rejection| refused(&rejection))?;
        }
        Ok(frame)
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(self.count(frame))),
            Poll::Ready(Some(Err(error))) => {
                Poll::Ready(Some(Err(Status::cancelled(error.to_string()))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if self.is_late(cx) => Poll::Ready(Some(Err(refused(&late())))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What the sender of a body that does not end is told.
pub fn late() -> Rejection {
    reject(ErrorType::InvalidRequest, "the request's body did not come within 60 seconds")
}
