//! Streamed answers: the data of one server-sent event → gRPC message. Keeps
//! no state between events and joins no pieces.

use trunkline_proto::inference::v1::ChatStreamResponse;

use super::{Undecodable, members};

/// The data that ends a stream.
const DONE: &[u8] = b"[DONE]";

/// Reads the data of one event; `None` for the one that ends the stream and
/// for one without data. Leaves `generation_id` and `decision` unset.
///
/// # Errors
/// [`Undecodable`] when the data is not a JSON object, or its choices are not
/// objects.
pub fn chunk(data: &[u8]) -> Result<Option<ChatStreamResponse>, Undecodable> {
    let data = data.trim_ascii();
    if data.is_empty() || data == DONE {
        return Ok(None);
    }
    members::read(data).map(Some)
}

#[cfg(test)]
mod tests;
