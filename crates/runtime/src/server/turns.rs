//! A connection's turns. At the end of each one, what it wrote is sent. It decides nothing of when a connection ends.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::server::graceful::GracefulConnection;
use tokio::io::AsyncWrite;

use super::gathered::Outgoing;
use crate::BoxError;

/// What was written cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("cannot send: {0}")]
pub(super) struct Unsent(io::Error);

/// A connection, and where what it writes waits for the end of the turn.
///
/// The connection is boxed, once: as a part of the task it would be kept several times over, one copy for each
/// function that it passes through.
pub(super) struct Turns<C: Future, I> {
    connection: Pin<Box<C>>,
    /// `None` for one that sends by itself.
    outgoing: Option<Outgoing<I>>,
    /// What the connection ended with, while its last words are on their way.
    ended: Option<C::Output>,
}

impl<C: GracefulConnection, I> Turns<C, I> {
    pub(super) fn new(connection: Pin<Box<C>>, outgoing: Option<Outgoing<I>>) -> Self {
        Self { connection, outgoing, ended: None }
    }

    /// Lets the connection finish what it has, and take nothing more.
    pub(super) fn last_calls(&mut self) {
        if self.ended.is_none() {
            self.connection.as_mut().graceful_shutdown();
        }
    }
}

impl<C, I> Future for Turns<C, I>
where
    C: GracefulConnection,
    C::Error: Into<BoxError> + Unpin,
    I: AsyncWrite + Unpin,
{
    type Output = Result<(), BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.ended.is_none()
            && let Poll::Ready(ended) = this.connection.as_mut().poll(cx)
        {
            this.ended = Some(ended);
        }
        let sent = match &mut this.outgoing {
            Some(outgoing) => outgoing.poll_send(cx),
            None => Poll::Ready(Ok(())),
        };
        match (this.ended.take(), sent) {
            // Why is said once; a peer that broke the rules need not take it, or it could keep the connection.
            (Some(Err(error)), _) => Poll::Ready(Err(error.into())),
            (_, Poll::Ready(Err(error))) => Poll::Ready(Err(Unsent(error).into())),
            (Some(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
            (None, Poll::Ready(Ok(()))) => Poll::Pending,
            (ended, Poll::Pending) => {
                this.ended = ended;
                Poll::Pending
            }
        }
    }
}
