//! Server-sent events as frames of bytes: cut out of a stream of chunks, and made. Not an event source:
//! nothing reconnects, and `id` and `retry` are left in the frame unread.

mod event;
mod splitter;

pub use self::event::{Event, EventKind, comment, frame};
pub use self::splitter::{MAX_EVENT_BYTES, Splitter, SseError};

#[cfg(test)]
mod tests;
