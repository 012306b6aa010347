//! The status page on the operations port: what this router knows of its cluster, for people, and the same as
//! JSON. It changes nothing, asks for no key and shows no text of callers but the values of allow-listed tags.
//! Its files are part of the program; a browser loads nothing from anywhere else.

mod canary;
mod costs;
mod evidence;
mod history;
mod status;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use tokio::runtime::Handle;
use trunkline_runtime::ops::{Page, PageMaker};
use trunkline_runtime::{BoxError, Shutdown};
use trunkline_store::port::Store;

use crate::pipeline::Router;
use crate::register::Identity;

pub use costs::TagCosts;
pub use history::History;

/// How long a page that was made is shown to everybody else who asks: many viewers cost the store one reading.
const FRESH: Duration = Duration::from_secs(1);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";

/// What the page is made from.
pub struct Source {
    /// What calls are served from.
    pub router: Arc<Router>,
    /// The shared state: observations are in no view.
    pub store: Arc<dyn Store>,
    /// Which router this is.
    pub identity: Identity,
    /// The last hour.
    pub history: Arc<History>,
    /// What was spent, by tag.
    pub costs: Arc<TagCosts>,
}

/// The page's paths on the operations port, each with what makes it. Called inside the runtime, which later
/// waits for the store.
pub fn pages(source: Source) -> Vec<(&'static str, PageMaker)> {
    let source = Arc::new(source);
    let runtime = Handle::current();
    let (told, remembered) = (Arc::clone(&source), source);
    let last: Mutex<Option<(Instant, Bytes)>> = Mutex::default();
    vec![
        ("/", asset(HTML, include_str!("page/index.html"))),
        ("/page.css", asset(CSS, include_str!("page/page.css"))),
        ("/page.js", asset(SCRIPT, include_str!("page/page.js"))),
        (
            "/status.json",
            // Held while the page is made: whoever asks meanwhile gets the same one.
            Arc::new(move || {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                let fresh = last.as_ref().filter(|(made, _)| made.elapsed() < FRESH);
                if let Some((_, body)) = fresh {
                    return Page { content_type: JSON, body: body.clone() };
                }
                let page = json(&runtime.block_on(status::of(&told)));
                *last = Some((Instant::now(), page.body.clone()));
                page
            }),
        ),
        ("/history.json", Arc::new(move || json(&remembered.history.read()))),
    ]
}

/// Remembers, as long as the router runs.
///
/// # Errors
/// None.
pub async fn remember(
    router: Arc<Router>,
    history: Arc<History>,
    shutdown: Shutdown,
) -> Result<(), BoxError> {
    let mut ticks = tokio::time::interval(history::POINT_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => history.take(&router.view.load_full().snapshot),
            () = shutdown.wait() => return Ok(()),
        }
    }
}

fn asset(content_type: &'static str, text: &'static str) -> PageMaker {
    Arc::new(move || Page { content_type, body: Bytes::from_static(text.as_bytes()) })
}

fn json(value: &impl Serialize) -> Page {
    // Strings, numbers and lists of them always serialise.
    let body = serde_json::to_vec(value).unwrap_or_default();
    Page { content_type: JSON, body: body.into() }
}
