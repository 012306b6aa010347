//! An answer that comes in one piece.

use bytes::{Bytes, BytesMut};
use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body_util::BodyExt;
use trunkline_core::catalog::Dialect;
use trunkline_core::failure::FailureKind;
use trunkline_wire::answer::{AnswerScan, scan_answer};
use trunkline_wire::chunk::FinishReason;
use trunkline_wire::operation::Operation;

use crate::anthropic;
use crate::classify::Failed;
use crate::transport::{Body, Call};

/// The longest answer that is held: a thousand embeddings of 3,072 numbers in text are about 32 MiB.
pub const MAX_ANSWER_BYTES: usize = 48 << 20;
/// The longest error body that is read; what matters stands at its start.
pub(crate) const MAX_ERROR_BYTES: usize = 64 << 10;

/// A whole answer in the OpenAI-compatible dialect, with what was read in it.
#[derive(Debug)]
pub struct Whole {
    /// The answer's bytes.
    pub body: Bytes,
    /// What was read in them.
    pub scan: AnswerScan,
}

pub(crate) async fn read(response: Response<Body>, call: &Call<'_>) -> Result<Whole, Failed> {
    plain(&response)?;
    if !is_json(&response) {
        return Err(Failed::new(FailureKind::Undecodable, "the answer's content type is not JSON"));
    }
    let body = bounded(response, MAX_ANSWER_BYTES).await?;
    let body = match call.target.dialect {
        Dialect::OpenAi => body,
        Dialect::Anthropic => {
            anthropic::response::to_completion(&body, &call.target.upstream_model, call.created)
                .map(Bytes::from)
                .map_err(|_| undecodable())?
        }
    };
    let scan = scan_answer(call.operation, &body).map_err(|_| undecodable())?;
    judge(call.operation, &body, &scan)?;
    Ok(Whole { body, scan })
}

fn undecodable() -> Failed {
    Failed::new(FailureKind::Undecodable, "the answer is not what the dialect demands")
}

/// A success must not be an error in disguise, nor empty.
fn judge(operation: Operation, body: &[u8], scan: &AnswerScan) -> Result<(), Failed> {
    if scan.error.is_some() {
        return Err(Failed::inside(body));
    }
    empty_means(operation, scan.content, scan.finish_reason)
}

/// What an answer without content means: some reasons to stop early excuse it, most do not.
pub(crate) fn empty_means(
    operation: Operation,
    content: bool,
    finish: Option<FinishReason>,
) -> Result<(), Failed> {
    match finish {
        Some(FinishReason::Error) => Err(Failed::new(
            FailureKind::ErrorInside,
            "the provider ended the answer with an error",
        )),
        _ if content => Ok(()),
        Some(FinishReason::ContentFilter) => {
            Err(Failed::new(FailureKind::ContentFilter, "the provider's content filter refused"))
        }
        // All tokens went into reasoning, or the bound was tiny: the caller asked for that.
        Some(FinishReason::Length) if operation != Operation::Embedding => Ok(()),
        _ => Err(Failed::new(FailureKind::Empty, "the answer has no content")),
    }
}

fn is_json(response: &Response<Body>) -> bool {
    let Some(content_type) = response.headers().get(CONTENT_TYPE) else { return true };
    content_type.as_bytes().windows(4).any(|w| w.eq_ignore_ascii_case(b"json"))
}

/// The body, or a failure as soon as it is longer than `limit` bytes.
pub(crate) async fn bounded(response: Response<Body>, limit: usize) -> Result<Bytes, Failed> {
    let mut body = response.into_body();
    let first = piece(&mut body).await?.unwrap_or_default();
    let mut next = piece(&mut body).await?;
    if next.is_none() && first.len() <= limit {
        // Most answers come in one piece, and then nothing is copied.
        return Ok(first);
    }
    let mut whole = BytesMut::from(first);
    while let Some(piece_of_it) = next {
        whole.extend_from_slice(&piece_of_it);
        if whole.len() > limit {
            break;
        }
        next = piece(&mut body).await?;
    }
    if whole.len() > limit {
        return Err(Failed::new(FailureKind::TooLarge, "the answer is longer than a router holds"));
    }
    Ok(whole.freeze())
}

/// The next piece of a body; `None` at its end.
async fn piece(body: &mut Body) -> Result<Option<Bytes>, Failed> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| Failed::broken_off())?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// An answer that came compressed although nobody asked for that: nothing could be read in it, and what it
/// swells to is unknown.
pub(crate) fn plain(response: &Response<Body>) -> Result<(), Failed> {
    let encoding = response.headers().get(CONTENT_ENCODING);
    if encoding.is_none_or(|e| e.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    Err(Failed::new(
        FailureKind::Undecodable,
        "the answer came compressed, which was not asked for",
    ))
}
