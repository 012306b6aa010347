//! Keeps a link to every living prober that says where it listens.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use trunkline_runtime::tls::ClientTls;
use trunkline_runtime::{BoxError, Shutdown};
use trunkline_spec::observation::decode_prober_record;
use trunkline_store::keys::{Key, PROBERS};
use trunkline_store::port::{Change, Event, KeyValue, Store};

use super::link::Link;
use crate::pipeline::Router;
use crate::register::Identity;

/// Probers that are reported to; more than the largest cluster that is tested has.
const LINKS_MAX: usize = 256;

/// Reports to all probers of the cluster.
pub struct Reporter {
    /// Whose calls are told.
    pub router: Arc<Router>,
    /// Where probers say that they live.
    pub store: Arc<dyn Store>,
    /// Who tells.
    pub identity: Identity,
    /// For probers that want TLS.
    pub tls: Option<Arc<ClientTls>>,
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Links by their prober's name: where it listens, and what keeps the link going.
#[derive(Default)]
struct Links {
    known: BTreeMap<String, (String, oneshot::Sender<()>)>,
    running: FuturesUnordered<Running>,
}

impl Reporter {
    /// Runs until the shutdown.
    ///
    /// # Errors
    /// None: a store that is away leaves the links as they are.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), BoxError> {
        let mut watch = self.store.watch(PROBERS);
        let mut links = Links::default();
        loop {
            tokio::select! {
                change = watch.next() => self.follow(change, &mut links),
                Some(()) = links.running.next() => {}
                () = shutdown.wait() => return Ok(()),
            }
        }
    }

    fn follow(&self, change: Change, links: &mut Links) {
        match change {
            Change::Snapshot(listing) => {
                let there = |name: &String| {
                    let mut keys =
                        listing.entries.iter().map(|entry| entry.key.strip_prefix(PROBERS));
                    keys.any(|key| key == Some(name.as_str()))
                };
                // Dropping what keeps a link going ends it.
                links.known.retain(|name, _| there(name));
                listing.entries.iter().for_each(|entry| self.meet(entry, links));
            }
            Change::Batch { events, .. } => {
                for event in events {
                    match event {
                        Event::Put(entry) => self.meet(&entry, links),
                        Event::Delete { key } => {
                            links.known.remove(key.strip_prefix(PROBERS).unwrap_or_default());
                        }
                    }
                }
            }
            Change::Progress { .. } | Change::Silent { .. } => {}
        }
    }

    /// A prober lives; a record that cannot be read leaves its link as it is.
    fn meet(&self, entry: &KeyValue, links: &mut Links) {
        let Some(Key::Prober(name)) = Key::parse(&entry.key) else { return };
        let Ok(record) = decode_prober_record(&entry.value) else { return };
        let (name, url) = (name.as_str().to_owned(), record.address);
        if links.known.get(&name).is_some_and(|(known, _)| *known == url) {
            return;
        }
        links.known.remove(&name);
        if url.is_empty() || links.known.len() >= LINKS_MAX {
            return;
        }
        let link = Link {
            router: Arc::clone(&self.router),
            identity: self.identity.clone(),
            prober: name.clone(),
            url: url.clone(),
            tls: self.tls.clone(),
        };
        let (going, gone) = oneshot::channel::<()>();
        links.known.insert(name, (url, going));
        links.running.push(Box::pin(async move {
            tokio::select! {
                () = link.run() => {}
                _ = gone => {}
            }
        }));
    }
}
