//! The examples of `docs/clients/` are what their pages show, and do what their pages say: they are built from the
//! published contract and run against a router, as a reader would.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "fails its test on the spot")]

#[path = "clients/contract.rs"]
mod contract;
#[path = "clients/pages.rs"]
mod pages;
#[path = "clients/workshop.rs"]
mod workshop;

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use sim_provider::{Ending, Profile, SimConfig};
use trunkline_tests::authority::Authority;
use trunkline_tests::cluster::until;
use trunkline_tests::foreign::{node, python, run};
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{KEY, Router, Setup};

use workshop::Workshop;

/// A model that answers all that is asked of it.
const MODEL: &str = "sim/chat";
/// A model that falls silent after two words: only a deadline or the caller ends its calls.
const SILENT: &str = "fault:stall@2";
/// What the examples ask, as the simulated provider answers it in eight words.
const EIGHT_WORDS: &str = "one two three one two three one two";

/// A router in the clear and one with TLS, before one provider.
struct World {
    sim: Provider,
    plain: Router,
    tls: Router,
    authority: Authority,
}

impl World {
    async fn start() -> Self {
        let known = json!({"retention": "zero", "training": "no"});
        let sim = Provider::with("sim", SimConfig::with_profile(Profile::instant(8))).await;
        let sim = sim.serving_as(MODEL, known.clone()).serving_as(SILENT, known);
        let authority = Authority::new();
        let [cert, key] = authority.issue("router");
        let tls = Setup::new(&[&sim]).config(json!({"tls": {"cert": cert, "key": key}}));
        let (plain, tls) = (Setup::new(&[&sim]).start().await, tls.start().await);
        Self { sim, plain, tls, authority }
    }

    /// Runs an example against the router in the clear, and returns what it printed.
    async fn hears(&self, mut example: Command, what: &str, model: &str) -> String {
        let address = self.plain.public;
        example.args([what, model]).env("TRUNKLINE_KEY", KEY);
        example.env("TRUNKLINE_GRPC", address.to_string());
        example.env("TRUNKLINE_URL", format!("http://{address}/v1"));
        run(example).await
    }

    /// The same with TLS.
    async fn hears_by_tls(&self, mut example: Command) -> String {
        example.args(["chat", MODEL]).env("TRUNKLINE_KEY", KEY);
        example.env("TRUNKLINE_GRPC", self.tls.public.to_string());
        example.env("TRUNKLINE_CA", self.authority.ca());
        run(example).await
    }

    /// What the router says of the same call over HTTP.
    async fn usage(&self) -> Value {
        let messages = json!([{"role": "user", "content": "one two three"}]);
        let answer = self.plain.client().chat(&json!({"model": MODEL, "messages": messages})).await;
        answer.json()["usage"].clone()
    }

    /// There were so many calls of the silent model, and each was ended by its caller.
    async fn silent_was_left(&self, calls: usize) {
        until("the provider's call is cancelled", async || {
            let seen = self.sim.saw(SILENT);
            seen.len() == calls && seen.iter().all(|call| call.ended(Ending::ClientGone))
        })
        .await;
    }

    /// What examples in every language do alike.
    async fn converses(&self, example: impl Fn() -> Command) {
        self.is_answered(&example).await;
        let refused = self.hears(example(), "refused", "").await;
        assert!(refused.starts_with("model_not_found\n"), "{refused}");
        let late = self.hears(example(), "deadline", SILENT).await;
        assert!(late.ends_with("no time left\n"), "{late}");
        self.silent_was_left(1).await;
        assert_eq!(self.hears(example(), "cancel", SILENT).await, "left\n");
        self.silent_was_left(2).await;
    }

    async fn is_answered(&self, example: impl Fn() -> Command) {
        let usage = self.usage().await;
        let chat = self.hears(example(), "chat", MODEL).await;
        let spent = chat.strip_prefix(EIGHT_WORDS).unwrap().trim_start();
        let spent = spent.strip_prefix(&format!("{} tokens, ", usage["total_tokens"])).unwrap();
        let cost = spent.split(' ').next().unwrap().parse::<f64>().unwrap();
        assert_eq!(json!(cost), usage["cost"], "{chat}");
        assert_eq!(self.hears(example(), "stream", MODEL).await, format!("{EIGHT_WORDS}\n"));
        let vectors = self.hears(example(), "embed", MODEL).await;
        assert_eq!(vectors, "red: 8 numbers\nblue: 8 numbers\n");
        let models = self.hears(example(), "models", "").await;
        assert_eq!(models, format!("{SILENT}\n{MODEL}\n"));
    }

    /// What the examples over gRPC do beside that.
    async fn converses_by_grpc(&self, example: impl Fn() -> Command) {
        self.converses(&example).await;
        let chat = self.hears_by_tls(example()).await;
        assert!(chat.starts_with(EIGHT_WORDS) && chat.contains("recorded as "), "{chat}");
        let refused = self.hears(example(), "refused", "").await;
        let kinds: Vec<&str> = refused.lines().collect();
        assert!(kinds[2] == "invalid_request" && kinds[3].starts_with("n: "), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_by_grpc() {
    let workshop = Workshop::new("python");
    workshop.generate().await;
    let example = || workshop.command(python(), &["hello.py"]);
    World::start().await.converses_by_grpc(example).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_by_grpc() {
    let workshop = Workshop::new("go");
    workshop.generate().await;
    run(workshop.go(&["vet", workshop::GO_MODULE])).await;
    run(workshop.go(&["build", "-o", "hello", workshop::GO_MODULE])).await;
    let example = || workshop.command(PathBuf::from("./hello"), &[]);
    World::start().await.converses_by_grpc(example).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typescript_by_grpc() {
    let workshop = Workshop::new("typescript");
    workshop.link_modules("../docs/clients/examples/typescript");
    workshop.generate().await;
    run(workshop.command(PathBuf::from("node_modules/.bin/tsc"), &[])).await;
    let example = || workshop.command(node(), &["dist/hello.js"]);
    World::start().await.converses_by_grpc(example).await;
}

/// The examples with OpenAI's SDKs can also say what its API has no word for.
async fn converses_and_routes(example: impl Fn() -> Command) {
    let world = World::start().await;
    world.converses(&example).await;
    let routed = world.hears(example(), "routed", MODEL).await;
    assert_eq!(routed, format!("{EIGHT_WORDS}\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_sdk_for_python() {
    let workshop = Workshop::new("openai-sdk");
    converses_and_routes(|| workshop.command(python(), &["hello.py"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_sdk_for_javascript() {
    let workshop = Workshop::new("openai-sdk");
    workshop.link_modules("sdk");
    converses_and_routes(|| workshop.command(node(), &["hello.mjs"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl() {
    let (workshop, world) = (Workshop::new("curl"), World::start().await);
    let script = |name: &str, model: &str| {
        let mut command = workshop.command(format!("./{name}.sh"), &[]);
        command.env("URL", format!("http://{}", world.plain.public));
        command.env("KEY", KEY).env("MODEL", model);
        command
    };
    let json = async |name: &str, model: &str| -> Value {
        let printed = run(script(name, model)).await;
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    };
    assert_eq!(json("chat", MODEL).await["choices"][0]["message"]["content"], EIGHT_WORDS);
    assert_eq!(json("grpc", MODEL).await["choices"][0]["message"]["content"], EIGHT_WORDS);
    assert_eq!(json("embed", MODEL).await["data"][1]["index"], 1);
    assert_eq!(json("models", "").await["data"][1]["id"], MODEL);
    assert_eq!(json("generation", MODEL).await["data"]["model"], MODEL);
    let refused = json("refused", "").await;
    assert_eq!(refused["error"]["metadata"]["error_type"], "model_not_found");
    let streamed = run(script("stream", MODEL)).await;
    assert!(
        streamed.contains("\"usage\":{") && streamed.ends_with("data: [DONE]\n\n"),
        "{streamed}"
    );
    // curl tells by its own exit code that it ran out of time.
    let mut late = script("deadline", SILENT);
    let late = tokio::task::spawn_blocking(move || late.output()).await.unwrap().unwrap();
    assert_eq!(late.status.code(), Some(28), "{late:?}");
    world.silent_was_left(1).await;
}
