//! Secrets planted where a deployment has its own: none of them comes up again in a log, at its most talkative level
//! as well, on a page, in an answer, in the store or on the disk, or in what an operator reads.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "fails its test on the spot")]

#[expect(dead_code, reason = "this test needs no backup")]
#[path = "members/etcd.rs"]
mod etcd;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use serde_json::{Value, json};
use sim_provider::Fault;
use tonic::metadata::MetadataValue;
use tonic::transport::Endpoint;
use trunkline_proto::inference::v1::inference_service_client::InferenceServiceClient;
use trunkline_proto::inference::v1::{ChatRequest, Message, Role, message};
use trunkline_store::{Listing, Store};
use trunkline_tests::authority::Authority;
use trunkline_tests::client::{Client, Reply};
use trunkline_tests::json::overlay;
use trunkline_tests::operator::Operator;
use trunkline_tests::provider::Provider;
use trunkline_tests::puppet::Puppet;
use trunkline_tests::router::{Router, Setup, beside};

use etcd::Etcd;

const CHAT: &str = "/v1/chat/completions";

/// Keys of providers, one of which the provider refuses.
const PROVIDER_KEYS: [&str; 3] =
    ["sk-KANARIErefused0001", "sk-KANARIEaccepted002", "sk-KANARIEechoed00003"];
const CALL_KEY: &str = "tl_canary01_KANARIEcallkey000000";
const ADMIN_KEY: &str = "tl_canary02_KANARIEadminkey00000";
const WRONG_KEY: &str = "tl_canary03_KANARIEwrongkey00000";
const PEPPER: &str = "KANARIEpepper0000000000000000000";
/// A prompt; simulated providers answer with its words.
const PROMPT: &str = "KANARIEprompt1 KANARIEprompt2 KANARIEprompt3 KANARIEprompt4";
/// A secret that somebody pasted where the name of a variable belongs.
const PASTED: &str = "sk-KANARIE0pasted1into2a3document";
/// What is in all of them, and in nothing else.
const CANARY: &str = "KANARIE";

/// What was planted beside the canaries, and where anything planted came up again.
struct Planted {
    /// The key of a certificate has no canary of its own; its first line stands for it.
    tls_key: String,
    hashes: Vec<String>,
    found: Mutex<Vec<String>>,
}

impl Planted {
    /// Nothing secret is in it. `what` is what is looked at.
    fn absent(&self, what: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for secret in [CANARY, &self.tls_key] {
            if let Some(at) = text.find(secret) {
                let before = text[..at].chars().rev().take(300).collect::<Vec<_>>();
                let around = before.iter().rev().copied().chain(text[at..].chars().take(60));
                let found = format!("{what}: {}", around.collect::<String>());
                self.found.lock().unwrap().push(found);
            }
        }
    }

    /// Nor a key's hash.
    fn absent_with_hashes(&self, what: &str, bytes: &[u8]) {
        self.absent(what, bytes);
        let text = String::from_utf8_lossy(bytes);
        if self.hashes.iter().any(|hash| text.contains(hash)) {
            self.found.lock().unwrap().push(format!("{what}: a key's hash"));
        }
    }
}

/// A deployment with secrets in all its places.
struct Deployment {
    router: Router,
    operator: Operator,
    planted: Planted,
    folder: tempfile::TempDir,
    _authority: Authority,
    providers: Vec<Provider>,
    _puppet: Puppet,
}

fn hash(secret: &str) -> String {
    let pepper = blake3::derive_key("trunkline 2026 api key pepper", PEPPER.as_bytes());
    blake3::keyed_hash(&pepper, secret.as_bytes()).to_hex().to_string()
}

/// An answer that repeats the key and the prompt it was sent, as some providers do.
fn echo() -> String {
    let message = format!("Incorrect API key provided: {}. Prompt: {PROMPT}", PROVIDER_KEYS[2]);
    let body = json!({"error": {"message": message, "type": "invalid_request_error", "code": "x"}});
    let body = body.to_string();
    format!(
        "HTTP/1.1 500 No\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": PROMPT}]})
}

impl Deployment {
    async fn start(place: impl FnOnce(Setup) -> Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let [cert, key] = authority.issue("router");
        let tls_key = fs::read_to_string(&key).unwrap().lines().nth(1).unwrap().to_owned();
        let pepper = folder.path().join("pepper");
        fs::write(&pepper, PEPPER).unwrap();
        let keys: Vec<Value> = [(CALL_KEY, json!(null)), (ADMIN_KEY, json!("admin"))]
            .map(|(key, role)| {
                let entry = json!({"id": key.split('_').nth(1), "hash": hash(key)});
                if role.is_null() { entry } else { overlay(entry, json!({"role": role})) }
            })
            .to_vec();
        let keys_file = folder.path().join("keys.json");
        fs::write(&keys_file, json!({"version": 1, "keys": keys}).to_string()).unwrap();
        let config = json!({
            "admin_tls": {"cert": cert, "key": key},
            "key_pepper": {"file": pepper},
            "bootstrap": {"keys": keys_file},
            "log": {"level": "trace"},
        });
        let good = Provider::start("good").await.serving("m");
        let good = good.with_credentials(&PROVIDER_KEYS[..2]);
        let puppet = Puppet::answering(&echo()).await;
        let echoing = Provider::start("echoing").await.serving("echoed");
        let echoing = echoing.at(&puppet.base_url()).with_credentials(&PROVIDER_KEYS[2..]);
        let router = place(Setup::new(&[&good, &echoing]).config(config)).start().await;
        let ca = authority.ca();
        let flags = ["--ca".as_ref(), ca.as_os_str()];
        let operator = Operator::at(&router).with_key(ADMIN_KEY).over_tls(&flags);
        let hashes = [CALL_KEY, ADMIN_KEY].map(hash).to_vec();
        let planted = Planted { tls_key, hashes, found: Mutex::default() };
        let (providers, puppet) = (vec![good, echoing], puppet);
        Self {
            router,
            operator,
            planted,
            folder,
            _authority: authority,
            providers,
            _puppet: puppet,
        }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Calls of every kind, most of which fail in their own way.
    async fn call(&self) {
        self.call_and_be_answered().await;
        self.call_over_grpc().await;
        for reply in [self.call_and_fail().await, self.send_nonsense().await].concat() {
            let told = format!("{:?}{}", reply.head, reply.text());
            // A provider may repeat a prompt to whoever sent it.
            let told = told.replace(PROMPT, "");
            self.planted.absent("what a caller is told", told.as_bytes());
        }
    }

    async fn call_and_be_answered(&self) {
        let client = self.router.client_with(CALL_KEY);
        let headers = [("cookie", "KANARIEcookie"), ("x-trunkline-explain", "1")];
        for body in [ask("m"), overlay(ask("m"), json!({"stream": true}))] {
            let reply = client.post_with(CHAT, &headers, &body).await;
            assert!(reply.content().contains(CANARY), "{}", reply.text());
            self.planted.absent("an answer's head", format!("{:?}", reply.head).as_bytes());
            let record = client.record(&reply.head).await;
            self.planted.absent("a record", record.0.to_string().as_bytes());
        }
    }

    async fn call_and_fail(&self) -> Vec<Reply> {
        let client = self.router.client_with(CALL_KEY);
        let mut told = Vec::new();
        // The last one makes its credentials rest.
        for fault in [Fault::Cut { after: 2 }, Fault::status(400), Fault::status(401)] {
            self.providers[0].fails_with(fault);
            told.push(client.chat(&overlay(ask("m"), json!({"delivery": "assured"}))).await);
        }
        self.providers[0].sim.clear_faults().unwrap();
        told.push(client.chat(&ask("echoed")).await);
        told.push(client.chat(&ask("none")).await);
        told.push(self.router.client_with(WRONG_KEY).chat(&ask("m")).await);
        told
    }

    async fn send_nonsense(&self) -> Vec<Reply> {
        let client = self.router.client_with(CALL_KEY);
        let mut told = vec![client.get("/v1/models?api_key=KANARIEquery").await];
        for body in [
            json!({"model": "m", "messages": PROMPT}).to_string(),
            format!("{{\"model\": \"{PROMPT}"),
            format!("{}{PROMPT}", "[".repeat(100)),
        ] {
            told.push(client.open("POST", CHAT, &[], body.as_bytes()).await.read().await);
        }
        told
    }

    async fn call_over_grpc(&self) {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.router.public)).unwrap();
        let mut client = InferenceServiceClient::new(endpoint.connect().await.unwrap());
        for (key, model) in
            [(CALL_KEY, "m"), (CALL_KEY, "echoed"), (CALL_KEY, "none"), (WRONG_KEY, "m")]
        {
            let text = Some(message::Body::Content(PROMPT.to_owned()));
            let said = Message { role: Role::User.into(), body: text, ..Message::default() };
            let chat = ChatRequest {
                model: model.to_owned(),
                messages: vec![said],
                ..ChatRequest::default()
            };
            let mut request = tonic::Request::new(chat);
            let bearer = MetadataValue::try_from(format!("Bearer {key}")).unwrap();
            request.metadata_mut().insert("authorization", bearer);
            let told = client.chat(request).await;
            assert_eq!(told.is_ok(), (key, model) == (CALL_KEY, "m"), "{told:?}");
            if let Err(status) = told {
                let told = format!("{status:?}{}", String::from_utf8_lossy(status.details()));
                self.planted.absent("a status", told.replace(PROMPT, "").as_bytes());
            }
        }
    }

    /// Everything that an operator can read, and mistakes that operators make.
    fn operate(&self) {
        let reads: [&[&str]; 13] = [
            &["status"],
            &["get", "providers"],
            &["get", "models"],
            &["get", "endpoints"],
            &["get", "routers"],
            &["get", "policy"],
            &["get", "keys"],
            &["describe", "provider/good"],
            &["describe", "endpoint/good/m"],
            &["catalog", "show"],
            &["policy", "log"],
            &["dataflow"],
            &["explain", "route", "--model", "m"],
        ];
        for words in reads {
            for shape in ["table", "wide", "json", "yaml"] {
                let output = self.operator.says(&[words, &["-o", shape]].concat());
                self.says(words, &output);
            }
        }
        self.says(&["doctor"], &self.operator.says(&["doctor"]));
        let endpoint = json!({"model": "m"});
        let entry = json!({"id": "x", "base_url": "https://x.example", "credentials": [{"env": PASTED}], "endpoints": [endpoint]});
        let catalog =
            self.file("pasted.json", &json!({"version": 1, "providers": [entry]}).to_string());
        let catalog = catalog.to_str().unwrap();
        for words in [
            &["catalog", "validate", "-f", catalog][..],
            &["catalog", "apply", "-f", catalog, "--reason", "x"],
        ] {
            let output = self.operator.says(words);
            assert!(!output.status.success(), "{output:?}");
            self.says(words, &output);
        }
        let wrong = self.operator.with_key(WRONG_KEY).says(&["status"]);
        assert!(!wrong.status.success(), "{wrong:?}");
        self.says(&["status"], &wrong);
        let config = self
            .file("wrong.json", &json!({"key_pepper": {"env": PASTED}, "listen": "x"}).to_string());
        let check =
            Command::new(beside("router-node")).arg("check").arg("--config").arg(config).output();
        self.says(&["check"], &check.unwrap());
    }

    fn says(&self, words: &[&str], output: &Output) {
        let what = format!("{words:?}");
        self.planted.absent_with_hashes(&what, &output.stdout);
        self.planted.absent_with_hashes(&what, &output.stderr);
    }

    async fn pages(&self) {
        let operations = Client { address: self.router.ops, key: String::new() };
        for path in ["/", "/metrics", "/status.json", "/history.json", "/readyz"] {
            let page = operations.get(path).await;
            assert_eq!(page.status(), 200, "{path}");
            self.planted.absent_with_hashes(path, &page.body);
        }
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// What was kept on the disk, and what was logged by then.
async fn looks_through(deployment: Deployment, kept: &Path) {
    let Deployment { router, planted, .. } = deployment;
    let log = router.stop().await;
    assert!(log.0.iter().any(|line| line.contains("TRACE")), "the log is at its most talkative");
    assert!(!log.calls().is_empty(), "calls were logged");
    log.0.iter().for_each(|line| planted.absent_with_hashes("the log", line.as_bytes()));
    let kept = files(kept);
    assert!(!kept.is_empty());
    for file in kept {
        planted.absent(&file.display().to_string(), &fs::read(&file).unwrap());
    }
    let found = planted.found.into_inner().unwrap();
    assert!(found.is_empty(), "{} times: {:#?}", found.len(), &found[..found.len().min(20)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_comes_up_again_on_one_machine() {
    let kept = tempfile::tempdir().unwrap();
    let store = json!({"store": {"embedded": {"dir": kept.path()}}});
    let deployment = Deployment::start(|setup| setup.config(store)).await;
    deployment.call().await;
    deployment.operate();
    deployment.pages().await;
    looks_through(deployment, kept.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_comes_up_again_in_a_cluster() {
    let (etcd, kept) = (Etcd::start().await, tempfile::tempdir().unwrap());
    let store = json!({"store": {"etcd": {"snapshot_dir": kept.path()}}});
    let deployment = Deployment::start(|setup| setup.etcd(&etcd.members()).config(store)).await;
    deployment.call().await;
    deployment.operate();
    let Listing { entries, .. } = etcd.store().list("").await.unwrap();
    assert!(entries.len() > 3, "{entries:?}");
    for entry in entries {
        deployment.planted.absent(&entry.key, &entry.value);
    }
    looks_through(deployment, kept.path()).await;
}

#[test]
fn a_secret_that_comes_up_again_is_found() {
    let (tls_key, hashes) = ("MIGHAgEA".to_owned(), vec![hash(CALL_KEY)]);
    let planted = Planted { tls_key, hashes, found: Mutex::default() };
    planted.absent_with_hashes("nothing", b"all is well");
    assert!(planted.found.lock().unwrap().is_empty());
    for secret in [PROMPT, PEPPER, PASTED, "x MIGHAgEA x", &hash(CALL_KEY)] {
        planted.absent_with_hashes("something", secret.as_bytes());
    }
    assert_eq!(planted.found.lock().unwrap().len(), 5);
}
