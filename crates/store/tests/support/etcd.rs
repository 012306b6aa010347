//! A real etcd for tests, in a directory of its own; stopped and gone with the value.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use trunkline_store::{Etcd, EtcdOptions, Store};

/// One member.
pub struct Server {
    child: Child,
    dir: TempDir,
    client_url: String,
    peer_url: String,
}

impl Server {
    /// Starts a member and waits until it serves.
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [client_url, peer_url] =
            [free_port(), free_port()].map(|port| format!("http://127.0.0.1:{port}"));
        let child = spawn(dir.path(), &client_url, &peer_url);
        let server = Self { child, dir, client_url, peer_url };
        server.ready().await;
        server
    }

    /// A store on it.
    pub fn store(&self) -> Etcd {
        Etcd::new(EtcdOptions { members: vec![self.client_url.clone()], tls: None }).unwrap()
    }

    /// Its client URL.
    pub fn url(&self) -> &str {
        &self.client_url
    }

    /// SIGKILL, and start again on the same data.
    pub async fn kill_and_restart(&mut self) {
        self.kill();
        self.child = spawn(self.dir.path(), &self.client_url, &self.peer_url);
        self.ready().await;
    }

    /// SIGKILL, and start again with nothing, as after the restore of a very old backup.
    pub async fn lose_everything(&mut self) {
        self.kill();
        std::fs::remove_dir_all(self.dir.path().join("data")).unwrap();
        self.child = spawn(self.dir.path(), &self.client_url, &self.peer_url);
        self.ready().await;
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGSTOP: connections stay, answers stop.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    async fn ready(&self) {
        let store = self.store();
        let serves = async {
            while store.list("").await.is_err() {
                // Not a synchronisation: only not to ask without a pause.
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(60), serves).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(dir: &Path, client_url: &str, peer_url: &str) -> Child {
    Command::new(binary())
        .arg("--data-dir")
        .arg(dir.join("data"))
        .args(["--listen-client-urls", client_url, "--advertise-client-urls", client_url])
        .args(["--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url])
        .args(["--name", "one", "--initial-cluster", &format!("one={peer_url}")])
        .args(["--log-level", "error"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn binary() -> PathBuf {
    let provisioned = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/etcd");
    let path = std::env::var_os("TRUNKLINE_ETCD").map_or(provisioned, PathBuf::from);
    assert!(path.exists(), "{} is missing: run tests/provision/etcd.sh", path.display());
    path
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
