//! One frame: its bytes and what they mean.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use memchr::{memchr, memchr2};

/// One frame of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The frame as received, its blank line included: what to forward untouched.
    pub raw: Bytes,
    /// The last `event` field.
    pub name: Option<Bytes>,
    /// The `data` lines, joined by line feeds. A part of `raw` when there is only one.
    pub data: Bytes,
    /// What sort of frame it is.
    pub kind: EventKind,
}

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It has at least one `data` line.
    Data,
    /// It has comments and no data: a sign of life.
    Comment,
    /// It has neither: a stray blank line, or fields that carry nothing.
    Blank,
}

impl Event {
    /// Reads a whole frame.
    pub(super) fn parse(raw: Bytes) -> Self {
        let (mut name, mut comments) = (None, false);
        let mut data = Data::None;
        let mut lines = Lines { bytes: &raw, at: 0 };
        while let Some(line) = lines.next() {
            let text = raw.get(line.clone()).unwrap_or_default();
            match field(text) {
                Some((b"data", value)) => data = data.and(line.start + value..line.end, &raw),
                Some((b"event", value)) => name = Some(raw.slice(line.start + value..line.end)),
                Some(_) => {}
                None => comments |= !text.is_empty(),
            }
        }
        let (kind, data) = match data {
            Data::None if comments => (EventKind::Comment, Bytes::new()),
            Data::None => (EventKind::Blank, Bytes::new()),
            Data::One(span) => (EventKind::Data, raw.slice(span)),
            Data::Joined(joined) => (EventKind::Data, joined.freeze()),
        };
        Self { raw, name, data, kind }
    }
}

/// The data lines seen so far: nothing is copied before there are two.
enum Data {
    None,
    One(Range<usize>),
    Joined(BytesMut),
}

impl Data {
    fn and(self, line: Range<usize>, raw: &[u8]) -> Self {
        let mut joined = match self {
            Self::None => return Self::One(line),
            Self::One(first) => BytesMut::from(raw.get(first).unwrap_or_default()),
            Self::Joined(joined) => joined,
        };
        joined.put_u8(b'\n');
        joined.put_slice(raw.get(line).unwrap_or_default());
        Self::Joined(joined)
    }
}

/// The field's name and where in the line its value begins; `None` for comments and empty lines.
fn field(line: &[u8]) -> Option<(&[u8], usize)> {
    match memchr(b':', line) {
        Some(0) => None,
        None if line.is_empty() => None,
        None => Some((line, line.len())),
        Some(colon) => {
            let space = usize::from(line.get(colon + 1) == Some(&b' '));
            Some((line.get(..colon)?, colon + 1 + space))
        }
    }
}

/// The lines of a frame, without their ends.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Lines<'_> {
    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let length = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let both = rest.get(length..).is_some_and(|end| end.starts_with(b"\r\n"));
        self.at = start + length + 1 + usize::from(both);
        Some(start..start + length)
    }
}

/// A frame that carries `data`, JSON without carriage returns, on one line: a line feed, which JSON has only between
/// its values, becomes a space. Many clients take every `data` line for a whole.
#[must_use]
pub fn frame(data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(b"data: \n\n".len() + data.len());
    out.put_slice(b"data: ");
    let mut rest = data;
    while let Some((line, further)) = memchr(b'\n', rest).and_then(|at| rest.split_at_checked(at)) {
        out.put_slice(line);
        out.put_u8(b' ');
        rest = further.get(1..).unwrap_or_default();
    }
    out.put_slice(rest);
    out.put_slice(b"\n\n");
    out.freeze()
}

/// A frame that is only a comment: it keeps a connection alive and clients ignore it.
#[must_use]
pub fn comment(text: &str) -> Bytes {
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    Bytes::from(format!(": {text}\n\n"))
}
