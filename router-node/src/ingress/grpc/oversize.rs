//! Messages that are too long get the same answer as bodies over HTTP: tonic's own says OUT_OF_RANGE and
//! carries no details. Touches no other answer.

use http::Response;
use tonic::body::Body;
use trunkline_wire::error::ErrorType;

use super::transcode::status;
use crate::rejection::reject;

/// The `grpc-status` by which tonic refuses a message before a service sees it; no service here uses it.
const OUT_OF_RANGE: &[u8] = b"11";

/// The answer in our words, if it refuses a message longer than `max_bytes`; any other answer as it is.
pub fn in_our_words(answer: Response<Body>, max_bytes: usize) -> Response<Body> {
    let code = answer.headers().get(tonic::Status::GRPC_STATUS);
    if code.is_none_or(|code| code.as_bytes() != OUT_OF_RANGE) {
        return answer;
    }
    let message = format!("the message is larger than {max_bytes} bytes; shorten the prompt");
    status::from_error(&reject(ErrorType::PayloadTooLarge, message)).into_http()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::{Code, Status};

    #[test]
    fn a_long_message_is_refused_like_a_long_body() {
        let answer = in_our_words(Status::out_of_range("too large").into_http(), 20 << 20);
        let said = Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(said.code(), Code::ResourceExhausted);
        assert!(said.message().contains("20971520 bytes"));
        assert!(!said.details().is_empty());
    }

    #[test]
    fn other_answers_pass() {
        for status in [Status::not_found("gone"), Status::internal("broken")] {
            let answer = in_our_words(status.clone().into_http(), 1);
            let said = Status::from_header_map(answer.headers()).unwrap();
            assert_eq!((said.code(), said.message()), (status.code(), status.message()));
        }
        let fine = in_our_words(Response::new(Body::empty()), 1);
        assert!(fine.headers().is_empty());
    }
}
