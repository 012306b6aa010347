//! What a call's metadata says of its caller, and what the answer's metadata says back. Not the message: that
//! is transcoded.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Response, Status};

use super::deadline;
use crate::canary::Decided;
use crate::ledger::OpenRecord;
use crate::pipeline::Router;

/// Longest request id that is taken over from a caller.
const MAX_REQUEST_ID_BYTES: usize = 128;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_GENERATION_ID: HeaderName = HeaderName::from_static("x-trunkline-generation-id");
const X_POLICY: HeaderName = HeaderName::from_static("x-trunkline-policy");

/// Where a call comes from; an extension of its request, put there by whoever accepted the connection.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub IpAddr);

/// Who calls, as far as metadata and connection say.
pub struct Caller {
    headers: HeaderMap,
    peer: IpAddr,
}

impl Caller {
    /// The caller behind a call.
    pub fn new(metadata: MetadataMap, extensions: &Extensions) -> Self {
        let known = extensions.get::<PeerAddress>();
        // Without an address the caller is nowhere: a key that is bound to networks does not open.
        let peer = known.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |PeerAddress(peer)| *peer);
        Self { headers: metadata.into_headers(), peer }
    }

    /// Its metadata.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Where it calls from.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Its API key, as sent.
    pub fn credential(&self) -> Option<&HeaderValue> {
        self.headers.get(AUTHORIZATION).or_else(|| self.headers.get("x-api-key"))
    }

    /// Its own id for the call, if that can be taken over.
    pub fn request_id(&self) -> Option<&str> {
        let id = self.text(X_REQUEST_ID.as_str())?;
        let fits = !id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES;
        (fits && id.bytes().all(|b| b.is_ascii_graphic())).then_some(id)
    }

    /// The session that its call belongs to; the message may name one too.
    pub fn session(&self) -> Option<&str> {
        self.text("x-session-id")
    }

    /// How long it will wait.
    pub fn timeout(&self) -> Option<Duration> {
        self.text("grpc-timeout").and_then(deadline::parse)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The ids by which a call can be found again.
pub struct Ids {
    /// The call's own.
    pub generation: String,
    /// Which policy decides.
    pub decided: Decided,
    request: String,
}

impl Ids {
    /// The ids of a call whose record is open.
    pub fn of(router: &Router, record: &OpenRecord) -> Self {
        let read = record.read(|r| (r.generation.to_string(), r.known_as()));
        let (generation, request) = read.unwrap_or_default();
        Self { generation, decided: Decided::of(router), request }
    }

    /// An answer that names them, and the policy that decided.
    pub fn answer<T>(&self, router: &Router, message: T) -> Response<T> {
        let mut response = Response::new(message);
        self.write(router, response.metadata_mut());
        response
    }

    /// A status that names them too.
    pub fn refuse(&self, router: &Router, mut status: Status) -> Status {
        self.write(router, status.metadata_mut());
        status
    }

    fn write(&self, router: &Router, metadata: &mut MetadataMap) {
        let headers = metadata.as_mut();
        headers.insert(X_POLICY, self.decided.policy_header(router));
        for (name, id) in [(X_GENERATION_ID, &self.generation), (X_REQUEST_ID, &self.request)] {
            if let Ok(mut id) = HeaderValue::from_str(id) {
                // It never comes again: in the connection's table of headers it would only push others out.
                id.set_sensitive(true);
                headers.insert(name, id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(pairs: &[(&'static str, &str)]) -> Caller {
        let pairs = pairs.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        let headers = pairs.collect();
        Caller { headers, peer: IpAddr::V6(Ipv6Addr::LOCALHOST) }
    }

    #[test]
    fn a_key_is_found_under_either_name_and_authorization_wins() {
        let both = caller(&[("x-api-key", "a"), ("authorization", "Bearer b")]);
        assert_eq!(both.credential().unwrap(), "Bearer b");
        assert_eq!(caller(&[("x-api-key", "a")]).credential().unwrap(), "a");
        assert!(caller(&[]).credential().is_none());
    }

    #[test]
    fn a_request_id_is_taken_over_only_when_it_can_stand_in_a_log() {
        assert_eq!(caller(&[("x-request-id", "abc-1")]).request_id(), Some("abc-1"));
        for odd in ["", "two words", &"x".repeat(MAX_REQUEST_ID_BYTES + 1)] {
            assert_eq!(caller(&[("x-request-id", odd)]).request_id(), None);
        }
    }

    #[test]
    fn the_deadline_is_read_from_grpc_timeout() {
        let caller = caller(&[("grpc-timeout", "1500m")]);
        assert_eq!(caller.timeout(), Some(Duration::from_millis(1500)));
    }
}
