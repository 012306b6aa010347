//! A deployment with secrets in all its places, and what callers and operators do with it. It judges nothing: all
//! that is told goes to what is planted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use serde_json::{Value, json};
use sim_provider::Fault;
use trunkline_runtime::tls::TlsFiles;
use trunkline_tests::authority::Authority;
use trunkline_tests::client::{Client, Head, Reply};
use trunkline_tests::json::overlay;
use trunkline_tests::operator::Operator;
use trunkline_tests::provider::Provider;
use trunkline_tests::puppet::Puppet;
use trunkline_tests::router::{Router, Setup, beside};

use super::planted::{
    ADMIN_KEY, CALL_KEY, CANARY, PASTED, PEPPER, PROMPT, PROVIDER_KEYS, Planted, TOKEN, WRONG_KEY,
    hash,
};

const CHAT: &str = "/v1/chat/completions";
/// Verbs that only read.
const READS: [&[&str]; 20] = [
    &["status"],
    &["get", "providers"],
    &["get", "models"],
    &["get", "endpoints"],
    &["get", "drains"],
    &["get", "routers"],
    &["get", "probers"],
    &["get", "policy"],
    &["get", "keys"],
    &["describe", "provider", "good"],
    &["describe", "endpoint", "good/m@global"],
    &["describe", "key", "canary01"],
    &["catalog", "show"],
    &["catalog", "log"],
    &["policy", "show"],
    &["policy", "log"],
    &["policy", "canary", "status"],
    &["dataflow"],
    &["explain", "route", "--model", "m"],
    &["keys", "list"],
];

/// A deployment with secrets in all its places.
pub struct Deployment {
    pub router: Router,
    pub providers: Vec<Provider>,
    pub collector: Puppet,
    pub operator: Operator,
    generations: Mutex<Vec<String>>,
    folder: tempfile::TempDir,
    _puppet: Puppet,
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

/// A router's configuration with the pepper and two keys in files of this folder, at its most talkative.
fn configuration(folder: &Path, authority: &Authority) -> Value {
    let keys: Vec<Value> = [(CALL_KEY, json!(null)), (ADMIN_KEY, json!("admin"))]
        .map(|(key, role)| {
            let entry = json!({"id": key.split('_').nth(1), "hash": hash(key)});
            if role.is_null() { entry } else { overlay(entry, json!({"role": role})) }
        })
        .to_vec();
    let (pepper, keys_file) = (folder.join("pepper"), folder.join("keys.json"));
    fs::write(&pepper, PEPPER).unwrap();
    fs::write(&keys_file, json!({"version": 1, "keys": keys}).to_string()).unwrap();
    let [cert, key] = authority.issue("admin");
    json!({
        "admin_tls": {"cert": cert, "key": key, "client_ca": authority.ca()},
        "key_pepper": {"file": pepper},
        "bootstrap": {"keys": keys_file},
        "log": {"level": "trace"},
    })
}

/// A collector of spans that wants to see a certificate, and how a router with a key of its own reaches it.
async fn collector(authority: &Authority) -> (Puppet, Value) {
    let [cert, key] = authority.issue("collector");
    let files = TlsFiles { certificate: cert, key, client_ca: Some(authority.ca()) };
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let collector = Puppet::answering_over_tls(ok, files).await;
    let [cert, key] = authority.issue("to-collector");
    let otlp = json!({
        "endpoint": format!("https://{}", collector.address),
        "headers": {"env": "COLLECTOR"},
        "tls": {"ca": authority.ca(), "cert": cert, "key": key},
    });
    (collector, json!({"tracing": {"otlp": otlp}}))
}

impl Deployment {
    /// Starts it; `place` says where its state is, and what else its configuration says.
    pub async fn start(authority: &Authority, place: impl FnOnce(Setup) -> Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (collector, tracing) = collector(authority).await;
        let config = overlay(configuration(folder.path(), authority), tracing);
        let good = Provider::start("good").await.serving("m");
        let good = good.with_credentials(&PROVIDER_KEYS[..2]);
        let puppet = Puppet::answering(&echo()).await;
        let echoing = Provider::start("echoing").await.serving("echoed");
        let echoing = echoing.at(&puppet.base_url()).with_credentials(&PROVIDER_KEYS[2..]);
        let token = [("COLLECTOR".to_owned(), format!("authorization={TOKEN}"))];
        let setup = Setup::new(&[&good, &echoing]).config(config).environment(&token);
        let router = place(setup).start().await;
        let (ca, [cert, key]) = (authority.ca(), authority.issue("operator"));
        let flags = [("--ca", &ca), ("--cert", &cert), ("--cert-key", &key)];
        let flags = flags.map(|(flag, file)| [flag.as_ref(), file.as_os_str()]).concat();
        let operator = Operator::at(&router).with_key(ADMIN_KEY).over_tls(&flags);
        Self {
            router,
            providers: vec![good, echoing],
            collector,
            operator,
            generations: Mutex::default(),
            folder,
            _puppet: puppet,
        }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The file of what keys are hashed with.
    pub fn pepper(&self) -> PathBuf {
        self.folder.path().join("pepper")
    }

    fn ended(&self, head: &Head) {
        let id = head.header("x-trunkline-generation-id").map(str::to_owned);
        self.generations.lock().unwrap().extend(id);
    }

    /// Calls of every kind, most of which fail in their own way.
    pub async fn call(&self, planted: &Planted) {
        self.call_and_be_answered(planted).await;
        for reply in [self.call_and_fail().await, self.send_nonsense().await].concat() {
            self.ended(&reply.head);
            let told = format!("{:?}{}", reply.head, reply.text());
            // A provider may repeat a prompt to whoever sent it.
            planted.shown("what a caller is told", told.replace(PROMPT, "").as_bytes());
        }
    }

    async fn call_and_be_answered(&self, planted: &Planted) {
        let client = self.router.client_with(CALL_KEY);
        let headers = [("cookie", "KANARIEcookie"), ("x-trunkline-explain", "1")];
        for body in [ask("m"), overlay(ask("m"), json!({"stream": true}))] {
            let reply = client.post_with(CHAT, &headers, &body).await;
            assert!(reply.content().contains(CANARY), "{}", reply.text());
            self.ended(&reply.head);
            planted.shown("an answer's head", format!("{:?}", reply.head).as_bytes());
            let record = client.record(&reply.head).await;
            planted.shown("a record", record.0.to_string().as_bytes());
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

    /// Everything that an operator can read, and mistakes that operators make.
    pub fn operate(&self, planted: &Planted) {
        self.make_a_key(planted);
        self.try_a_policy(planted);
        for words in READS {
            for shape in ["table", "wide", "json", "yaml"] {
                let output = self.says(planted, &[words, &["-o", shape]].concat());
                assert!(output.status.success(), "{words:?}: {output:?}");
            }
        }
        self.says(planted, &["doctor"]);
        let top = self.says(planted, &["top", "--once"]);
        assert!(top.status.success(), "{top:?}");
        self.explain(planted);
        self.mistake(planted);
    }

    /// A key is shown to whoever makes it, and to nobody else.
    fn make_a_key(&self, planted: &Planted) {
        let words = ["keys", "create", "--note", "shown once", "--role", "viewer", "--reason", "x"];
        let made = self.operator.reads(&words);
        planted.key(made["key"].as_str().unwrap());
    }

    /// On a few callers, so that there is a canary to be shown.
    fn try_a_policy(&self, planted: &Planted) {
        let policy = json!({"version": 1, "routes": {"r": {"models": ["m"]}}}).to_string();
        let policy = self.file("candidate.json", &policy);
        let how = ["--share", "10%", "--reason", "x"];
        let words = ["policy", "canary", "-f", policy.to_str().unwrap()];
        let begun = self.says(planted, &[&words[..], &how].concat());
        assert!(begun.status.success(), "{begun:?}");
    }

    /// Every call, whatever became of it.
    fn explain(&self, planted: &Planted) {
        let generations = self.generations.lock().unwrap();
        let explained = generations.iter().filter(|id| {
            let shapes = ["table", "json"];
            let shown = shapes.map(|shape| self.says(planted, &["explain", id, "-o", shape]));
            shown.iter().all(|output| output.status.success())
        });
        assert!(explained.count() >= 6, "of {generations:?}");
    }

    fn mistake(&self, planted: &Planted) {
        let endpoint = json!({"model": "m"});
        let entry = json!({"id": "x", "base_url": "https://x.example", "credentials": [{"env": PASTED}], "endpoints": [endpoint]});
        let catalog =
            self.file("pasted.json", &json!({"version": 1, "providers": [entry]}).to_string());
        let catalog = catalog.to_str().unwrap();
        let contexts = self.folder.path().join("contexts.yaml");
        let contexts = contexts.to_str().unwrap();
        for words in [
            &["catalog", "validate", "-f", catalog][..],
            &["catalog", "apply", "-f", catalog, "--reason", "x"],
            &["context", "set", "c", "--contexts", contexts, "--key-env", PASTED],
            &["context", "set", "c", "--contexts", contexts, "--key-env", ADMIN_KEY],
        ] {
            let output = self.says(planted, words);
            assert!(!output.status.success(), "{output:?}");
        }
        let wrong = self.operator.with_key(WRONG_KEY).says(&["status"]);
        assert!(!wrong.status.success(), "{wrong:?}");
        said(planted, "a stranger's status", &wrong);
        let config = self
            .file("wrong.json", &json!({"key_pepper": {"env": PASTED}, "listen": "x"}).to_string());
        let check =
            Command::new(beside("router-node")).arg("check").arg("--config").arg(config).output();
        said(planted, "check", &check.unwrap());
    }

    fn says(&self, planted: &Planted, words: &[&str]) -> Output {
        let output = self.operator.says(words);
        said(planted, words[0], &output);
        output
    }

    /// Pages of the operations port.
    pub async fn pages(&self, planted: &Planted) {
        let operations = Client { address: self.router.ops, key: String::new() };
        for path in ["/", "/metrics", "/status.json", "/history.json", "/readyz"] {
            let page = operations.get(path).await;
            assert_eq!(page.status(), 200, "{path}");
            planted.shown(path, &page.body);
        }
    }

    /// Ends it: what it logged, and what the collector was sent.
    pub async fn end(self, planted: &Planted) {
        let Self { router, collector, .. } = self;
        let log = router.stop().await;
        assert!(
            log.0.iter().any(|line| line.contains("TRACE")),
            "the log is at its most talkative"
        );
        assert!(!log.calls().is_empty(), "calls were logged");
        log.0.iter().for_each(|line| planted.shown("the log", line.as_bytes()));
        let spans = collector.asked();
        assert!(!spans.is_empty(), "spans were sent");
        for sent in spans {
            let (head, body) = sent.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(TOKEN), "the collector was called with its token");
            planted.shown("spans", body.as_bytes());
        }
    }
}

fn said(planted: &Planted, what: &str, output: &Output) {
    planted.shown(what, &output.stdout);
    planted.shown(what, &output.stderr);
}
