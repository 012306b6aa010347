//! The `/_sim/` routes by which a test in another process steers the provider and reads its log.

use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::{Arc, PoisonError};

use crate::fault::FaultRule;
use crate::play::Playing;
use crate::profile::Profile;
use crate::script::Script;
use crate::serve::World;

/// Carries out one control request.
#[must_use]
pub fn answer(world: &World, head: &Parts, body: &[u8]) -> Script {
    let path = head.uri.path();
    match (&head.method, path) {
        (&Method::POST, "/_sim/fault") => with_json(body, |rule: FaultRule| {
            world.set_fault(rule);
            done()
        }),
        (&Method::GET, "/_sim/fault") => {
            shown(&world.rules.lock().unwrap_or_else(PoisonError::into_inner).listed())
        }
        (&Method::DELETE, "/_sim/fault") => {
            world.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
            match world.line.calm() {
                Ok(()) => done(),
                Err(error) => told(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            }
        }
        (&Method::GET, "/_sim/log") => shown(&world.log.since(since(head.uri.query()))),
        (&Method::DELETE, "/_sim/log") => {
            world.log.clear();
            done()
        }
        (&Method::GET, "/_sim/profile") => shown(&*world.profile()),
        (&Method::PUT, "/_sim/profile") => with_json(body, |profile: Profile| {
            *world.profile.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(profile);
            done()
        }),
        _ => told(StatusCode::NOT_FOUND, "unknown control route"),
    }
}

/// A control answer as a response; it is neither logged nor ruined.
#[must_use]
pub fn response(script: Script) -> Response<Playing> {
    let mut response = Response::new(Playing::unwitnessed(script.steps));
    *response.status_mut() = script.status;
    *response.headers_mut() = script.headers;
    response
}

/// The id in `since=`; 0, which is before every entry, when it is absent or no number.
fn since(query: Option<&str>) -> u64 {
    let pairs = query.unwrap_or_default().split('&');
    pairs.filter_map(|pair| pair.strip_prefix("since=")).find_map(|id| id.parse().ok()).unwrap_or(0)
}

fn with_json<T: DeserializeOwned>(body: &[u8], act: impl FnOnce(T) -> Script) -> Script {
    match serde_json::from_slice(body) {
        Ok(value) => act(value),
        Err(error) => told(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn shown<T: Serialize + ?Sized>(value: &T) -> Script {
    match serde_json::to_vec(value) {
        Ok(body) => Script::json(StatusCode::OK, body, 0),
        Err(error) => told(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn done() -> Script {
    Script::json(StatusCode::OK, b"{}".to_vec(), 0)
}

fn told(status: StatusCode, message: &str) -> Script {
    Script::json(status, json!({"error": message}).to_string().into_bytes(), 0)
}
