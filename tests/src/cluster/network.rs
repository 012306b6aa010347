//! All doors of a cluster, and the condition of every link between two parts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::door::{Condition, pass};
use super::owner;
use crate::process;

/// Who connects without being a part of the cluster: the test itself.
const STRANGER: &str = "test";
/// How often the opener of a connection is looked for: the system's list of connections misses some while others
/// come and go.
const LOOKS: usize = 5;
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The network. Dropping it closes every door.
#[derive(Default)]
pub struct Network {
    links: Arc<Mutex<Links>>,
    doors: JoinSet<()>,
}

#[derive(Default)]
struct Links {
    /// In the order in which they were told: the last that fits a link counts.
    rules: Vec<Rule>,
    known: BTreeMap<(String, String), watch::Sender<Condition>>,
}

struct Rule {
    from: String,
    to: String,
    condition: Condition,
}

impl Rule {
    fn fits(&self, from: &str, to: &str) -> bool {
        matches(&self.from, from) && matches(&self.to, to)
    }
}

/// `etcd-1` is one part; `etcd-*` are all whose names begin so, and `*` is every part.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

impl Links {
    fn condition(&self, from: &str, to: &str) -> Condition {
        let rule = self.rules.iter().rev().find(|rule| rule.fits(from, to));
        rule.map_or(Condition::Clear, |rule| rule.condition)
    }

    fn link(&mut self, from: String, to: &str) -> watch::Receiver<Condition> {
        let condition = self.condition(&from, to);
        let link = self.known.entry((from, to.to_owned()));
        link.or_insert_with(|| watch::channel(condition).0).subscribe()
    }
}

impl Network {
    /// Opens a door to a part, and says where it is.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn door(&mut self, to: &str, target: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let (links, to) = (Arc::clone(&self.links), to.to_owned());
        self.doors.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, peer)) = listener.accept().await {
                let (links, to) = (Arc::clone(&links), to.clone());
                connections.spawn(async move {
                    // Whoever cannot be found has left already.
                    let Some(from) = opener(peer, address).await else { return };
                    let link = lock(&links).link(from, &to);
                    pass(near, target, link).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        address
    }

    /// Sets the condition of all links from one part to another, as the connections are opened: routers and
    /// probers connect to etcd and to providers, members of etcd to each other. `*` at the end of a name
    /// stands for whatever follows.
    pub fn set(&self, from: &str, to: &str, condition: Condition) {
        let mut links = lock(&self.links);
        links.rules.push(Rule { from: from.to_owned(), to: to.to_owned(), condition });
        for ((from, to), link) in &links.known {
            link.send_replace(links.condition(from, to));
        }
    }

    /// Clears every link.
    pub fn heal(&self) {
        self.set("*", "*", Condition::Clear);
    }
}

/// Whose process opened a connection. The looking blocks, so others do it.
async fn opener(peer: SocketAddr, door: SocketAddr) -> Option<String> {
    let mut parts = process::all();
    parts.push((std::process::id(), STRANGER.to_owned()));
    for _ in 0..LOOKS {
        let known = parts.clone();
        let looking = tokio::task::spawn_blocking(move || owner::of(peer, door, &known));
        if let Ok(Some(found)) = looking.await {
            return Some(found);
        }
        sleep(LOOK_AGAIN).await;
    }
    None
}

fn lock(links: &Mutex<Links>) -> MutexGuard<'_, Links> {
    links.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::{Instant, timeout};

    use super::*;

    /// Long enough to see that nothing comes.
    const A_WHILE: Duration = Duration::from_millis(200);

    /// A network with a door called `echo` to a server that says everything back.
    async fn network() -> (Network, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        let mut network = Network::default();
        network.doors.spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (mut out, mut into) = socket.split();
                let _ = tokio::io::copy(&mut out, &mut into).await;
            }
        });
        let address = network.door("echo", target).await;
        (network, TcpStream::connect(address).await.unwrap())
    }

    async fn echoes(socket: &mut TcpStream) -> bool {
        socket.write_all(b"x").await.unwrap();
        let mut byte = [0];
        matches!(timeout(A_WHILE, socket.read_exact(&mut byte)).await, Ok(Ok(_)))
    }

    #[tokio::test]
    async fn a_clear_link_passes_everything_and_knows_who_connects() {
        let (network, mut socket) = network().await;
        assert!(echoes(&mut socket).await);
        let known = lock(&network.links).known.keys().next().cloned();
        assert_eq!(known, Some((STRANGER.to_owned(), "echo".to_owned())));
    }

    #[tokio::test]
    async fn what_is_lost_arrives_when_the_link_is_clear_again() {
        for condition in [Condition::Lost, Condition::HalfOpen] {
            let (network, mut socket) = network().await;
            assert!(echoes(&mut socket).await);
            network.set(STRANGER, "ec*", condition);
            assert!(!echoes(&mut socket).await);
            network.heal();
            let mut byte = [0];
            socket.read_exact(&mut byte).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_cut_link_resets_what_is_there_and_what_comes() {
        let (network, mut socket) = network().await;
        assert!(echoes(&mut socket).await);
        network.set("*", "echo", Condition::Cut);
        assert!(socket.read_u8().await.is_err());
        let address = socket.peer_addr();
        assert!(address.is_err() || socket.read_u8().await.is_err());
    }

    #[tokio::test]
    async fn a_delay_counts_for_each_direction_and_only_for_its_link() {
        let (network, mut socket) = network().await;
        network.set("you", "echo", Condition::Lost);
        network.set(STRANGER, "echo", Condition::Delayed(Duration::from_millis(40)));
        let began = Instant::now();
        assert!(echoes(&mut socket).await);
        assert!(began.elapsed() >= Duration::from_millis(80), "{:?}", began.elapsed());
    }
}
