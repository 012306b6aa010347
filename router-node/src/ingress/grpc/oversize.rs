//! Messages that are too long get the same answer as bodies over HTTP: tonic's own says OUT_OF_RANGE and
//! carries no details. Touches no other answer.

use std::task::{Context, Poll};

use http::Response;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;
use trunkline_proto::inference::v1::inference_service_server::InferenceServiceServer;
use trunkline_wire::error::ErrorType;

use super::inference::Inference;
use super::transcode::status;
use crate::rejection::reject;

/// The `grpc-status` by which tonic refuses a message before a service sees it; no service here uses it.
const OUT_OF_RANGE: &[u8] = b"11";

/// The inference service with something in front of it, still under its own name.
#[derive(Clone)]
pub struct Fronted<S>(pub S);

impl<S> NamedService for Fronted<S> {
    const NAME: &'static str = <InferenceServiceServer<Inference> as NamedService>::NAME;
}

impl<R, S: Service<R>> Service<R> for Fronted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}

/// The answer in our words, if it refuses a message longer than `max_bytes`; any other answer as it is.
pub fn in_our_words(answer: Response<Body>, max_bytes: usize) -> Response<Body> {
    let code = answer.headers().get(tonic::Status::GRPC_STATUS);
    if code.is_none_or(|code| code.as_bytes() != OUT_OF_RANGE) {
        return answer;
    }
    let message = format!("the message is larger than {} MiB; shorten the prompt", max_bytes >> 20);
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
        assert!(said.message().contains("20 MiB"));
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
