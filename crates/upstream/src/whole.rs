//! An answer that comes in one piece.

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use trunkline_core::catalog::Dialect;
use trunkline_core::failure::FailureKind;
use trunkline_wire::answer::{AnswerScan, scan_answer};
use trunkline_wire::chunk::FinishReason;
use trunkline_wire::operation::Operation;

use crate::anthropic;
use crate::classify::Failed;
use crate::transport::Call;

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

pub(crate) async fn read(response: reqwest::Response, call: &Call<'_>) -> Result<Whole, Failed> {
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

fn is_json(response: &reqwest::Response) -> bool {
    let Some(content_type) = response.headers().get(CONTENT_TYPE) else { return true };
    content_type.as_bytes().windows(4).any(|w| w.eq_ignore_ascii_case(b"json"))
}

/// The body, or a failure as soon as it is longer than `limit` bytes after decompression.
pub(crate) async fn bounded(
    mut response: reqwest::Response,
    limit: usize,
) -> Result<Bytes, Failed> {
    let Some(first) = response.chunk().await.map_err(|e| Failed::of_body(&e))? else {
        return Ok(Bytes::new());
    };
    let too_large =
        || Failed::new(FailureKind::TooLarge, "the answer is longer than a router holds");
    if first.len() > limit {
        return Err(too_large());
    }
    // Most answers come in one piece, and then nothing is copied.
    let Some(second) = response.chunk().await.map_err(|e| Failed::of_body(&e))? else {
        return Ok(first);
    };
    let mut body = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(piece) = next {
        if body.len() + piece.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&piece);
        next = response.chunk().await.map_err(|e| Failed::of_body(&e))?;
    }
    Ok(body.freeze())
}
