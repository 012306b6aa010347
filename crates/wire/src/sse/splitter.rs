//! Cutting a stream of chunks into frames. Finds blank lines and nothing else.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

use super::Event;

/// Largest frame accepted: the most that one stream may hold in memory before it can be forwarded.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;

/// The byte order mark a stream may start with. It is dropped: the frames that are forwarded need not be
/// the first ones the caller sees.
const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Cuts a stream into frames.
///
/// Push a chunk, take events until there is none, push the next; at the end of the stream call
/// [`Splitter::finish`]. How the stream is cut into chunks makes no difference to the events. A frame
/// that lies within one chunk shares its memory; one that does not is copied once.
///
/// A frame whose blank line ends with a carriage return at the very end of a chunk is held back until
/// the next chunk shows whether a line feed belongs to it.
#[derive(Debug)]
pub struct Splitter {
    /// The front of a frame that is not complete, from earlier chunks.
    partial: BytesMut,
    /// What is left of the latest chunk.
    chunk: Bytes,
    place: Place,
    max_event_bytes: usize,
}

/// A stream that cannot be cut into frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A frame is too large; the attempt has failed, and the splitter says so from now on.
    #[error("an event is larger than {max_bytes} bytes")]
    TooLarge {
        /// The bound, in bytes.
        max_bytes: usize,
    },
}

/// Where in a frame the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the start of the stream, behind this many bytes of the byte order mark.
    Mark(usize),
    /// At the start of a line.
    LineStart,
    /// Inside a line.
    Line,
    /// Behind a carriage return that ended a line.
    Return,
    /// Behind a carriage return that ended the frame.
    LastReturn,
    /// Behind a frame that was too large.
    Failed,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::with_limit(MAX_EVENT_BYTES)
    }
}

impl Splitter {
    /// A splitter at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A splitter that accepts frames of at most this many bytes.
    #[must_use]
    pub fn with_limit(max_event_bytes: usize) -> Self {
        let (partial, chunk) = (BytesMut::new(), Bytes::new());
        Self { partial, chunk, place: Place::Mark(0), max_event_bytes }
    }

    /// Adds the next chunk. Meant for when [`Splitter::next`] has nothing left: otherwise what is left
    /// is copied.
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
            return;
        }
        let mut both = BytesMut::with_capacity(self.chunk.len() + chunk.len());
        both.extend_from_slice(&self.chunk);
        both.extend_from_slice(&chunk);
        self.chunk = both.freeze();
    }

    /// The next complete frame; `None` when more chunks are needed.
    ///
    /// # Errors
    /// When a frame is larger than the limit, and always after that.
    #[expect(clippy::should_implement_trait, reason = "None means not yet, and it can fail")]
    pub fn next(&mut self) -> Result<Option<Event>, SseError> {
        if let Place::Mark(seen) = self.place {
            self.skip_mark(seen);
        }
        let end = self.frame_end();
        let in_chunk = end.unwrap_or(self.chunk.len());
        if self.place == Place::Failed || self.partial.len() + in_chunk > self.max_event_bytes {
            return Err(self.fail());
        }
        let piece = self.chunk.split_to(in_chunk);
        if end.is_some() && self.partial.is_empty() {
            return Ok(Some(Event::parse(piece)));
        }
        self.partial.extend_from_slice(&piece);
        Ok(end.map(|_| Event::parse(self.partial.split().freeze())))
    }

    /// At the end of the stream: the complete frames not yet taken, one each call, then what lacks its
    /// blank line, then `None`.
    ///
    /// # Errors
    /// As [`Splitter::next`].
    pub fn finish(&mut self) -> Result<Option<Event>, SseError> {
        if let Some(event) = self.next()? {
            return Ok(Some(event));
        }
        if let Place::Mark(seen) = self.place {
            self.partial.extend_from_slice(BOM.get(..seen).unwrap_or_default());
        }
        self.place = Place::LineStart;
        if self.partial.is_empty() {
            return Ok(None);
        }
        Ok(Some(Event::parse(self.partial.split().freeze())))
    }

    /// Drops what the chunk has of the byte order mark, of which `seen` bytes were dropped before.
    fn skip_mark(&mut self, mut seen: usize) {
        while let (Some(byte), Some(expected)) = (self.chunk.first(), BOM.get(seen)) {
            if byte != expected {
                // It was no mark after all: those bytes are part of the first line.
                self.partial.extend_from_slice(BOM.get(..seen).unwrap_or_default());
                self.place = if seen == 0 { Place::LineStart } else { Place::Line };
                return;
            }
            seen += 1;
            let _ = self.chunk.split_to(1);
        }
        self.place = if seen == BOM.len() { Place::LineStart } else { Place::Mark(seen) };
    }

    /// Where in the chunk the current frame ends, remembering the place if it does not.
    fn frame_end(&mut self) -> Option<usize> {
        let bytes = self.chunk.as_ref();
        let mut at = 0;
        loop {
            let rest = bytes.get(at..)?;
            let first = *rest.first()?;
            match self.place {
                Place::Mark(_) | Place::Failed => return None,
                Place::LineStart if first == b'\n' => return Some(at + 1),
                Place::LineStart if first == b'\r' => {
                    self.place = Place::LastReturn;
                    at += 1;
                }
                Place::LineStart | Place::Line => {
                    self.place = Place::Line;
                    let end = memchr2(b'\r', b'\n', rest)?;
                    let feed = rest.get(end) == Some(&b'\n');
                    self.place = if feed { Place::LineStart } else { Place::Return };
                    at += end + 1;
                }
                Place::Return => {
                    self.place = Place::LineStart;
                    at += usize::from(first == b'\n');
                }
                Place::LastReturn => {
                    self.place = Place::LineStart;
                    return Some(at + usize::from(first == b'\n'));
                }
            }
        }
    }

    fn fail(&mut self) -> SseError {
        self.place = Place::Failed;
        self.partial = BytesMut::new();
        self.chunk = Bytes::new();
        SseError::TooLarge { max_bytes: self.max_event_bytes }
    }
}
