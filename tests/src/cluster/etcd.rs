//! The members of a real etcd cluster. What the store's port does not offer (who leads, compaction, alarms) is
//! asked through etcd's own JSON gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpSocket;
use trunkline_store::keys::ROOT;
use trunkline_store::{Etcd, EtcdOptions, Expect, Listing, Store, Txn};

use super::network::Network;
use super::until;
use crate::client::Client;
use crate::json::overlay;
use crate::process::{Process, etcd_program};

/// How much a member takes: many times what any test writes, and soon filled by the one that fills it.
const QUOTA_BYTES: usize = 64 * 1024 * 1024;
/// What it is filled with at a time: less than the largest request that etcd takes.
const FILLING_BYTES: usize = 1024 * 1024;

/// A cluster of etcd.
pub struct Members {
    members: Vec<Member>,
    store: Etcd,
    _folder: TempDir,
}

struct Member {
    name: String,
    /// Where it listens for clients itself.
    client: Port,
    /// Where it listens for the others itself.
    peer: Port,
    /// Where clients reach it.
    client_door: SocketAddr,
    /// Where the others reach it.
    peer_door: SocketAddr,
    data: PathBuf,
    process: Option<Process>,
}

/// A port that nobody else gets while this lives; a process may listen at it.
pub struct Port {
    /// Where it is.
    pub address: SocketAddr,
    _held: TcpSocket,
}

impl Port {
    /// A free one.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn hold() -> Self {
        // Bound and never listening: others that ask for the same may share it, as etcd does.
        let held = TcpSocket::new_v4().expect("a socket");
        held.set_reuseaddr(true).expect("a socket takes its options");
        held.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        Self { address: held.local_addr().expect("a bound address"), _held: held }
    }
}

impl Members {
    /// Starts so many members and waits until they serve. With a network, everybody reaches them through doors.
    pub(super) async fn start(count: usize, network: Option<&mut Network>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut members = Vec::new();
        for number in 0..count {
            let (client, peer) = (Port::hold(), Port::hold());
            members.push(Member {
                name: format!("etcd-{number}"),
                client_door: client.address,
                peer_door: peer.address,
                client,
                peer,
                data: folder.path().join(number.to_string()),
                process: None,
            });
        }
        if let Some(network) = network {
            for member in &mut members {
                member.client_door = network.door(&member.name, member.client.address).await;
                member.peer_door = network.door(&member.name, member.peer.address).await;
            }
        }
        let urls = members.iter().map(|member| format!("http://{}", member.client.address));
        let options = EtcdOptions { members: urls.collect(), tls: None };
        let store = Etcd::new(options).expect("members with plain addresses");
        let mut members = Self { members, store, _folder: folder };
        for number in 0..count {
            members.restart(number);
        }
        members.wait_until_serving().await;
        members
    }

    /// Where clients reach the members.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.members.iter().map(|member| format!("http://{}", member.client_door)).collect()
    }

    /// A store on them for the test itself; no door is between.
    #[must_use]
    pub fn store(&self) -> Etcd {
        self.store.clone()
    }

    /// Everything under a prefix, as soon as etcd answers.
    ///
    /// # Panics
    /// When it does not.
    pub async fn list(&self, prefix: &str) -> Listing {
        let mut found = None;
        until("etcd lists what it has", async || {
            found = self.store.list(prefix).await.ok();
            found.is_some()
        })
        .await;
        found.expect("just found")
    }

    /// How many there are, dead or alive.
    #[must_use]
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// The number of the member that leads.
    ///
    /// # Panics
    /// When none comes to lead.
    pub async fn leader(&self) -> usize {
        let mut leader = None;
        let found = async || {
            for (number, member) in self.members.iter().enumerate() {
                if member.process.is_some() && self.leads(number).await {
                    leader = Some(number);
                }
            }
            leader.is_some()
        };
        until("a member of etcd leads", found).await;
        leader.expect("just found")
    }

    async fn leads(&self, number: usize) -> bool {
        let status = self.ask(number, "/v3/maintenance/status", json!({})).await;
        let own = status.pointer("/header/member_id").and_then(Value::as_str);
        own.is_some() && own == status.get("leader").and_then(Value::as_str)
    }

    /// SIGKILL to one member.
    pub fn kill(&mut self, number: usize) {
        self.members[number].process = None;
    }

    /// Starts a member that was killed, on the data it had.
    pub fn restart(&mut self, number: usize) {
        let peers: Vec<String> = self.members.iter().map(Member::as_peer).collect();
        let member = &mut self.members[number];
        let mut command = member.command(&peers.join(","));
        member.process = Some(Process::start(&member.name, &mut command));
    }

    /// Makes a backup of everything, as an operator would who stops etcd for it.
    ///
    /// # Panics
    /// When files cannot be copied.
    pub fn back_up(&mut self) {
        self.replace_data(|data, backup| [data, backup]);
    }

    /// Puts the backup in the place of everything that etcd has.
    ///
    /// # Panics
    /// When there is no backup.
    pub fn restore(&mut self) {
        self.replace_data(|data, backup| [backup, data]);
    }

    /// Copies one folder over another while nobody runs.
    fn replace_data(&mut self, from_to: impl Fn(PathBuf, PathBuf) -> [PathBuf; 2]) {
        (0..self.count()).for_each(|number| self.kill(number));
        for member in &self.members {
            let [from, to] = from_to(member.data.clone(), member.data.with_extension("backup"));
            let _ = std::fs::remove_dir_all(&to);
            let copied = Command::new("cp").arg("-r").args([&from, &to]).status();
            assert!(
                copied.is_ok_and(|status| status.success()),
                "{} is not copied",
                from.display()
            );
        }
        (0..self.count()).for_each(|number| self.restart(number));
    }

    /// Waits until the cluster takes reads, which needs a quorum.
    pub async fn wait_until_serving(&self) {
        self.list(ROOT).await;
    }

    /// SIGSTOP to all members.
    pub fn freeze(&self) {
        self.members.iter().filter_map(|member| member.process.as_ref()).for_each(Process::freeze);
    }

    /// SIGCONT to all members.
    pub fn thaw(&self) {
        self.members.iter().filter_map(|member| member.process.as_ref()).for_each(Process::thaw);
    }

    /// Forgets all revisions before this one.
    pub async fn compact(&self, revision: u64) {
        let asked = json!({"revision": revision.to_string(), "physical": true});
        self.ask(self.leader().await, "/v3/kv/compaction", asked).await;
    }

    /// Writes until etcd has no space left and refuses; what it has is all there. From now on it refuses writes.
    ///
    /// # Panics
    /// When it does not come to refuse.
    pub async fn run_out_of_space(&self) {
        let piece = vec![b'-'; FILLING_BYTES];
        for key in fillings() {
            if self.store.put(&key, piece.clone().into(), Expect::Any).await.is_err() {
                return;
            }
        }
        panic!("etcd took more than its quota");
    }

    /// What an operator does then: takes out what filled it, compacts, defragments, and ends the alarm.
    ///
    /// # Panics
    /// When etcd does not do it.
    pub async fn have_space_again(&self) {
        let txn = fillings().fold(Txn::new(), |txn, key| txn.delete(&key));
        let deleted = self.store.commit(txn).await.expect("etcd deletes when it is full");
        self.compact(deleted.revision.0).await;
        for number in 0..self.count() {
            self.ask(number, "/v3/maintenance/defragment", json!({})).await;
        }
        let leader = self.leader().await;
        let raised = self.ask(leader, "/v3/maintenance/alarm", json!({"action": "GET"})).await;
        for alarm in raised["alarms"].as_array().expect("an alarm") {
            let end = overlay(alarm.clone(), json!({"action": "DEACTIVATE"}));
            self.ask(leader, "/v3/maintenance/alarm", end).await;
        }
    }

    async fn ask(&self, number: usize, path: &str, body: Value) -> Value {
        let client = Client { address: self.members[number].client.address, key: String::new() };
        let reply = client.post(path, &body).await;
        assert!(reply.status() == 200 || path.ends_with("status"), "{path}: {}", reply.text());
        reply.json()
    }
}

/// Keys that fill it twice over, away from everything else: how large it is, it only sees from time to time.
fn fillings() -> impl Iterator<Item = String> {
    (0..2 * QUOTA_BYTES / FILLING_BYTES).map(|number| format!("/filling/{number}"))
}

impl Member {
    fn as_peer(&self) -> String {
        format!("{}=http://{}", self.name, self.peer_door)
    }

    fn command(&self, peers: &str) -> Command {
        let listen_client = format!("http://{}", self.client.address);
        let listen_peer = format!("http://{}", self.peer.address);
        let mut command = Command::new(etcd_program());
        command.arg("--data-dir").arg(&self.data).args(["--name", &self.name]);
        command.args(["--listen-client-urls", &listen_client, "--log-level", "warn"]);
        command.args(["--advertise-client-urls", &format!("http://{}", self.client_door)]);
        command.args(["--listen-peer-urls", &listen_peer, "--initial-cluster", peers]);
        command.args(["--initial-advertise-peer-urls", &format!("http://{}", self.peer_door)]);
        // The machine does not go down with the test, so what etcd wrote survives its death without this.
        command.arg("--unsafe-no-fsync");
        command.args(["--quota-backend-bytes", &QUOTA_BYTES.to_string()]);
        command
    }
}
