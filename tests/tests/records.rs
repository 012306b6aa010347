//! What the records of calls are good for: every decision can be drawn again, before and after a restart; a
//! call can be explained before it is made; and a proposed document is tried on the calls there were. None of
//! it has a word of what was said, or a key.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "fails its test on the spot")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use sim_provider::{Fault, FaultRule};
use tonic::Request;
use tonic::transport::{Channel, Endpoint};
use trunkline_proto::admin::v1::admin_service_client::AdminServiceClient;
use trunkline_proto::admin::v1::{
    ExplainRequest, ExplainResponse, PlanImpactRequest, PlanImpactResponse,
};
use trunkline_tests::cluster::until;
use trunkline_tests::json::{PROMPT, chat, overlay};
use trunkline_tests::provider::Provider;
use trunkline_tests::router::{KEY, Router, Setup, beside};

/// Calls that are made and explained.
const CALLS: usize = 300;

fn signed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {KEY}").parse().unwrap());
    request
}

fn admin(router: &Router) -> AdminServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", router.admin)).unwrap();
    AdminServiceClient::new(endpoint.connect_lazy())
}

async fn explained(router: &Router, generation: &str) -> ExplainResponse {
    let asked = ExplainRequest { generation_id: generation.to_owned(), only_here: false };
    admin(router).explain(signed(asked)).await.unwrap().into_inner()
}

fn proposing(kind: &str, document: &str) -> Request<PlanImpactRequest> {
    let (document_kind, document) = (kind.to_owned(), document.to_owned());
    signed(PlanImpactRequest { document_kind, document, max_calls: 0, only_here: false })
}

async fn impact(router: &Router, kind: &str, document: Value) -> PlanImpactResponse {
    let asked = proposing(kind, &document.to_string());
    admin(router).plan_impact(asked).await.unwrap().into_inner()
}

/// Calls that try a provider first, before and after.
fn calls_of(answer: &PlanImpactResponse, provider: &str) -> (u64, u64) {
    let of = answer.endpoints.iter().filter(|share| share.provider == provider);
    let calls = of.map(|share| (share.calls_before, share.calls_after));
    calls.fold((0, 0), |(before, after), (b, a)| (before + b, after + a))
}

fn command(router: &Router, words: &[&str]) -> Output {
    let mut command = Command::new(beside("admin-cli"));
    command.env_clear().env("TRUNKLINE_ADMIN_KEY", KEY);
    command.env("TRUNKLINE_ENDPOINT", format!("http://{}", router.admin));
    command.args(words).output().unwrap()
}

fn reads(router: &Router, words: &[&str]) -> Value {
    let output = command(router, &[words, &["-o", "json"]].concat());
    assert!(output.status.success(), "{words:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Three providers of two models; the first of them breaks now and then.
async fn three() -> Vec<Provider> {
    let mut providers = Vec::new();
    for (id, jurisdiction) in [("a", "eu"), ("b", "us"), ("c", "eu")] {
        let keys = json!({"jurisdiction": jurisdiction});
        let provider = Provider::start(id).await;
        providers.push(provider.serving_as("m", keys.clone()).serving_as("n", keys));
    }
    let broken = FaultRule::from(Fault::status(500)).with_probability(0.4, 7);
    providers[0].fails_with(broken);
    providers
}

fn setup(providers: &[Provider]) -> Setup {
    Setup::new(&providers.iter().collect::<Vec<_>>())
}

fn in_folder(providers: &[Provider], folder: &Path) -> Setup {
    setup(providers).config(json!({"store": {"embedded": {"dir": folder}}}))
}

/// A call of every kind that is decided in its own way.
fn any_call(at: usize) -> Value {
    let kinds = [
        json!({}),
        json!({"stream": true}),
        json!({"session_id": format!("session-{}", at % 9)}),
        json!({"provider": {"order": ["c", "a"]}}),
        json!({"provider": {"sort": "price", "ignore": ["b"]}}),
        json!({"models": ["n"], "max_tokens": 5}),
    ];
    overlay(chat("m"), kinds[at % kinds.len()].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_calls_before_a_broken_provider_replay_bit_for_bit() {
    let providers = three().await;
    let router = setup(&providers).start().await;
    let (mut calls, mut retried) = (Vec::new(), 0);
    for at in 0..CALLS {
        let reply = router.client().chat(&any_call(at)).await;
        calls.push(reply.head.generation().to_owned());
    }
    for call in &calls {
        let answer = explained(&router, call).await;
        let (record, again) = (answer.generation.unwrap(), answer.replayed.unwrap());
        let taken = record.decision.unwrap();
        assert!(answer.identical, "{taken:?}\nis not\n{again:?}");
        assert_eq!(taken, again);
        assert_eq!(record.attempts[0].endpoint_id, again.turns[0].endpoint_id);
        assert_eq!(again.facts.unwrap().models.is_empty(), again.candidates.len() == 3);
        retried += usize::from(record.attempts.len() > 1);
    }
    assert!(retried > 10, "only {retried} calls met the broken provider");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_survive_a_restart_and_hold_nothing_that_was_said() {
    let (providers, folder) = (three().await, tempfile::tempdir().unwrap());
    let router = in_folder(&providers, folder.path()).start().await;
    let (mut before, mut said) = (Vec::new(), String::new());
    for at in 0..40 {
        let reply = router.client().chat(&any_call(at)).await;
        said = reply.content();
        before.push((router.client().record(&reply.head).await, reply.head));
    }
    router.stop().await;
    let mut kept = 0;
    for file in fs::read_dir(folder.path().join("records")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        kept += text.lines().filter(|line| line.starts_with("{\"record\"")).count();
        let secret = KEY.rsplit('_').next().unwrap();
        let hash = blake3::keyed_hash(&[0; 32], KEY.as_bytes()).to_hex();
        for canary in [PROMPT, &said, secret, hash.as_str(), "http://"] {
            assert!(!text.contains(canary), "{canary}");
        }
    }
    assert_eq!(kept, 40);
    let router = in_folder(&providers, folder.path()).start().await;
    for (record, head) in &before {
        assert_eq!(router.client().record(head).await.0, record.0);
        let answer = explained(&router, head.generation()).await;
        assert!(answer.identical, "{answer:?}");
        assert_eq!(answer.generation.unwrap().decision, answer.replayed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_router_finds_what_it_had_written() {
    let (providers, folder) = (three().await, tempfile::tempdir().unwrap());
    let mut router = in_folder(&providers, folder.path()).start().await;
    let reply = router.client().chat(&chat("m")).await;
    let records = folder.path().join("records");
    let written = || {
        let files = fs::read_dir(&records).into_iter().flatten().flatten();
        let mut texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
        texts.any(|text| text.contains(reply.head.generation()))
    };
    until("the record is on the disk", async || written()).await;
    router.process.kill();
    let router = in_folder(&providers, folder.path()).start().await;
    assert!(explained(&router, reply.head.generation()).await.identical);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_explained_before_it_is_made_and_nothing_is_sent() {
    let providers = three().await;
    let limited = "tl_limited1_a-key-for-europe";
    let router = setup(&providers).key(limited, json!({"providers": ["c"]})).start().await;
    let now = reads(&router, &["explain", "route", "--model", "m", "--seed", "5"]);
    assert_eq!(now["decision"]["candidates"].as_array().unwrap().len(), 3);
    assert_eq!(now["decision"]["turns"][0]["reason"], "drawn");
    assert_eq!(now, reads(&router, &["explain", "route", "--model", "m", "--seed", "5"]));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("request.json");
    fs::write(&file, overlay(chat("m"), json!({"provider": {"order": ["b"]}})).to_string())
        .unwrap();
    let file = file.to_str().unwrap();
    let ordered = reads(&router, &["explain", "route", "-f", file]);
    assert_eq!(ordered["decision"]["turns"][0]["provider"], "b");
    assert_eq!(ordered["decision"]["turns"][0]["reason"], "ordered");
    let other = reads(&router, &["explain", "route", "-f", file, "--model", "n"]);
    assert_eq!(other["decision"]["turns"][0]["model"], "n");

    let theirs = reads(&router, &["explain", "route", "--model", "m", "--for-key", "limited1"]);
    let turns = theirs["decision"]["turns"].as_array().unwrap();
    assert!(turns.len() == 1 && turns[0]["provider"] == "c", "{theirs}");
    for (code, words) in [
        (1, ["--model", "m", "--for-key", "nobody"]),
        (1, ["--model", "none", "--seed", "1"]),
        (2, ["--file", "/nonexistent", "--model", "m"]),
    ] {
        let output = command(&router, &[&["explain", "route"], &words[..]].concat());
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
    }
    assert!(providers.iter().all(|provider| provider.saw("m").is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_it_is_told_the_decision_with_the_answer() {
    let providers = three().await;
    let router = setup(&providers).start().await;
    for body in [chat("m"), overlay(chat("m"), json!({"stream": true}))] {
        let path = "/v1/chat/completions";
        let plain = router.client().post(path, &body).await;
        assert_eq!(plain.head.header("x-trunkline-decision"), None);
        let reply = router.client().post_with(path, &[("x-trunkline-explain", "1")], &body).await;
        let told = reply.head.header("x-trunkline-decision").unwrap();
        let record = router.client().record(&reply.head).await;
        assert_eq!(serde_json::from_str::<Value>(told).unwrap(), record.0["decision"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposed_policy_is_tried_on_the_calls_there_were() {
    let providers = three().await;
    let router = setup(&providers).start().await;
    for at in 0..60 {
        router.client().chat(&any_call(at)).await;
    }
    let same = impact(&router, "policy", json!({"version": 1})).await;
    assert_eq!((same.calls, same.moved_calls), (60, 0));
    assert_eq!(same.before, same.after);

    let only = |jurisdiction| json!({"version": 1, "data": {"jurisdictions": [jurisdiction]}});
    let eu = impact(&router, "policy", only("eu")).await;
    let (before, after) = (eu.before.unwrap(), eu.after.unwrap());
    let (us_before, us_after) = calls_of(&eu, "b");
    assert!(us_before > 0, "{eu:?}");
    assert_eq!((us_after, eu.moved_calls), (0, us_before));
    assert!(before.rule_violations >= us_before && after.rule_violations == 0, "{eu:?}");
    assert_eq!(after.unserved_calls, 0);
    assert!(before.cost_pico_usd > 0);
    let gone = impact(&router, "policy", only("ch")).await;
    assert_eq!(gone.after.unwrap().unserved_calls, 60);

    let refused = proposing("policy", "version: 1\nnonsense: 2\n");
    let refused = admin(&router).plan_impact(refused).await.unwrap_err();
    assert!(refused.message().contains("nonsense"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposed_catalog_is_tried_on_the_calls_there_were() {
    let providers = three().await;
    let router = setup(&providers).start().await;
    for _ in 0..20 {
        router.client().chat(&chat("m")).await;
    }
    router.client().chat(&chat("n")).await;
    let endpoint = json!({"model": "m", "price": {"input": 10.0, "output": 20.0}});
    let provider = json!({"id": "c", "base_url": "https://c.example/v1", "endpoints": [endpoint]});
    let dear = json!({"version": 1, "providers": [provider]});
    let answer = impact(&router, "catalog", dear).await;
    let (before, after) = (answer.before.unwrap(), answer.after.unwrap());
    assert_eq!((calls_of(&answer, "c").1, after.unknown_model_calls), (20, 1));
    assert_eq!((before.unknown_model_calls, before.unserved_calls), (0, 0));
    assert!(after.cost_pico_usd > 9 * before.cost_pico_usd, "{before:?} {after:?}");
    assert_eq!(router.client().chat(&chat("n")).await.status(), 200, "nothing was written");
}
