//! A real etcd for tests, in a directory of its own; stopped and gone with the value.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use trunkline_store::access::Administrator;
use trunkline_store::{ClientFiles, ClientTls, Etcd, EtcdOptions, Store};

/// One member.
pub struct Server {
    child: Child,
    dir: TempDir,
    client_url: String,
    peer_url: String,
    /// For a member that wants client certificates.
    authority: Option<Authority>,
}

impl Server {
    /// Starts a member and waits until it serves.
    pub async fn start() -> Self {
        Self::start_as("http", None).await
    }

    /// Starts a member that only talks to clients with a certificate, whose user is its common name.
    pub async fn start_with_certificates() -> Self {
        Self::start_as("https", Some(Authority::new())).await
    }

    async fn start_as(scheme: &str, authority: Option<Authority>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let client_url = format!("{scheme}://127.0.0.1:{}", free_port());
        let peer_url = format!("http://127.0.0.1:{}", free_port());
        let child = spawn(dir.path(), [client_url.as_str(), &peer_url], authority.as_ref());
        let server = Self { child, dir, client_url, peer_url, authority };
        server.ready().await;
        server
    }

    /// A store on it; as the user root where it wants a certificate.
    pub fn store(&self) -> Etcd {
        self.store_as("root")
    }

    /// A store on it, as a user.
    pub fn store_as(&self, user: &str) -> Etcd {
        let load = |files: Files| ClientTls::load("etcd", files.into()).unwrap();
        let tls = self.authority.as_ref().map(|authority| load(authority.issue(user)));
        Etcd::new(EtcdOptions { members: vec![self.client_url.clone()], tls }).unwrap()
    }

    /// The client of the administrator, root.
    pub async fn admin(&self) -> etcd_client::Client {
        let options = self.authority.as_ref().map(|authority| {
            let files = authority.issue("root");
            let [ca, cert, key] =
                [files.ca, files.cert, files.key].map(|file| std::fs::read(file).unwrap());
            let tls = etcd_client::TlsOptions::new()
                .ca_certificate(etcd_client::Certificate::from_pem(ca))
                .identity(etcd_client::Identity::from_pem(cert, key));
            etcd_client::ConnectOptions::new().with_tls(tls)
        });
        etcd_client::Client::connect([&self.client_url], options).await.unwrap()
    }

    /// Its access control, as somebody with this certificate sees it.
    pub fn administrator(&self, user: &str) -> Administrator {
        let files = self.authority.as_ref().unwrap().issue(user).into();
        let tls = Some(ClientTls::load("etcd", files).unwrap());
        Administrator::new(EtcdOptions { members: vec![self.client_url.clone()], tls }).unwrap()
    }

    /// Its client URL.
    pub fn url(&self) -> &str {
        &self.client_url
    }

    /// SIGKILL, and start again on the same data.
    pub async fn kill_and_restart(&mut self) {
        self.kill();
        self.child = self.spawn();
        self.ready().await;
    }

    /// SIGKILL, and start again with nothing, as after the restore of a very old backup.
    pub async fn lose_everything(&mut self) {
        self.kill();
        std::fs::remove_dir_all(self.dir.path().join("data")).unwrap();
        self.child = self.spawn();
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

    fn spawn(&self) -> Child {
        let urls = [self.client_url.as_str(), self.peer_url.as_str()];
        spawn(self.dir.path(), urls, self.authority.as_ref())
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

fn spawn(dir: &Path, urls: [&str; 2], authority: Option<&Authority>) -> Child {
    let [client_url, peer_url] = urls;
    let mut command = Command::new(program("etcd", "TRUNKLINE_ETCD"));
    command
        .arg("--data-dir")
        .arg(dir.join("data"))
        .args(["--listen-client-urls", client_url, "--advertise-client-urls", client_url])
        .args(["--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url])
        .args(["--name", "one", "--initial-cluster", &format!("one={peer_url}")])
        .args(["--log-level", "error"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(authority) = authority {
        let files = authority.issue("server");
        command.arg("--client-cert-auth");
        command.arg("--trusted-ca-file").arg(files.ca);
        command.arg("--cert-file").arg(files.cert).arg("--key-file").arg(files.key);
    }
    command.spawn().unwrap()
}

/// Somebody's identity.
struct Files {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl From<Files> for ClientFiles {
    fn from(files: Files) -> Self {
        Self { ca: files.ca, identity: Some((files.cert, files.key)) }
    }
}

/// Issues certificates for this machine, into a directory of its own.
struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { dir, issuer: Issuer::new(params, key) }
    }

    /// The files of somebody's identity.
    fn issue(&self, name: &str) -> Files {
        let file = |kind: &str| self.dir.path().join(format!("{name}{kind}.pem"));
        let files = Files { ca: self.dir.path().join("ca.pem"), cert: file(""), key: file("-key") };
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.extended_key_usages.extend(both);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(&files.cert, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }
}

fn program(name: &str, variable: &str) -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools");
    let path = std::env::var_os(variable).map_or_else(|| tools.join(name), PathBuf::from);
    assert!(path.exists(), "{} is missing: run tests/provision/etcd.sh", path.display());
    path
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
