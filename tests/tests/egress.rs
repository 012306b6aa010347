//! Where a router connects to and what it sends there: only where the catalog says, never to addresses where no
//! provider may be, and no header of one side reaches the other.
#![expect(clippy::unwrap_used, reason = "fails its test on the spot")]

use std::fs;

use serde_json::json;
use sim_provider::{Fault, answer_text};
use tokio::net::TcpListener;
use trunkline_spec::observation::{ProberRecord, encode_prober};
use trunkline_spec::router::RouterRecord;
use trunkline_store::keys::{PROBERS, ROUTERS};
use trunkline_store::{Store, Txn};
use trunkline_tests::authority::Authority;
use trunkline_tests::cluster::{Cluster, until};
use trunkline_tests::json::{PROMPT, chat, overlay};
use trunkline_tests::names::Names;
use trunkline_tests::operator::Operator;
use trunkline_tests::provider::{Provider, TOKENS};
use trunkline_tests::puppet::Puppet;
use trunkline_tests::router::{KEY, Router, Setup};

const CHAT: &str = "/v1/chat/completions";
/// The id of a call that nobody served: the router asks all others about it.
const NOBODYS: &str = "01900000-0000-7000-8000-000000000000";

/// A whole answer of a provider, with headers that no caller may see.
fn answer() -> String {
    let message = json!({"role": "assistant", "content": "hi"});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let body = json!({"id": "c", "object": "chat.completion", "choices": [choice]}).to_string();
    let headers = [
        "server: planted-server",
        "set-cookie: planted=cookie",
        "x-request-id: planted-request",
        "x-planted: planted",
        "access-control-allow-origin: *",
        "openai-organization: planted-organization",
        "content-type: application/json",
    ];
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\n{}\r\ncontent-length: {length}\r\n\r\n{body}", headers.join("\r\n"))
}

async fn provider(id: &str, model: &str) -> Provider {
    Provider::start(id).await.serving(model)
}

/// A call of a model that nobody may be asked for, whose caller is told why.
async fn fails(router: &Router, model: &str, why: &str) {
    let reply = router.client().chat(&chat(model)).await;
    assert_eq!((reply.status(), reply.error_type().as_str()), (502, "provider_unavailable"));
    let message = reply.error().unwrap().to_string();
    assert!(message.contains("the provider's name leads to") && message.contains(why), "{message}");
    let record = router.client().record(&reply.head).await;
    assert!(record.attempts().iter().all(|a| a.ends_with(":dns") || a.ends_with(":reset")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_leads_where_no_provider_may_be_is_refused() {
    let sim = provider("a", "m").await;
    let router = Setup::new(&[&sim]).start().await;
    let operator = Operator::at(&router);
    let folder = tempfile::tempdir().unwrap();
    let urls = [
        ("http://169.254.169.254/latest", "metadata"),
        ("https://169.254.170.2", "metadata"),
        ("https://100.100.100.200", "metadata"),
        ("https://[fd00:ec2::254]", "metadata"),
        ("https://[::ffff:169.254.169.254]/v1", "metadata"),
        ("https://[::ffff:a9fe:a9fe]/v1", "metadata"),
        ("https://[64:ff9b::a9fe:a9fe]", "metadata"),
        ("https://[fe80::1]", "metadata"),
        ("http://0.0.0.0:8080", "metadata"),
        ("https://2852039166", "four numbers"),
        ("https://0xa9fea9fe", "four numbers"),
        ("https://0xa9.0xfe.0xa9.0xfe", "four numbers"),
        ("https://0251.0376.0251.0376", "four numbers"),
        ("https://169.254.43518", "four numbers"),
        ("http://8.8.8.8", "unencrypted"),
        ("https://user:password@provider.example", "user name"),
        ("file:///etc/passwd", "no host"),
        ("gopher://127.0.0.1", "use https://"),
    ];
    for (at, (url, word)) in urls.into_iter().enumerate() {
        let endpoint = json!({"model": "m"});
        let entry =
            json!({"id": "x", "base_url": url, "allow_plaintext": true, "endpoints": [endpoint]});
        let file = folder.path().join(format!("{at}.json"));
        fs::write(&file, json!({"version": 1, "providers": [entry]}).to_string()).unwrap();
        let file = file.to_str().unwrap();
        let told = operator.is_told(1, &["catalog", "validate", "-f", file]);
        assert!(told.contains("base_url") && told.contains(word), "{url}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_lead_where_no_provider_may_be_are_never_connected_to() {
    let bad = [
        ("metadata.test", "169.254.169.254", "metadata"),
        ("metadata6.test", "fd00:ec2::254", "metadata"),
        ("mapped.test", "::ffff:169.254.169.254", "metadata"),
        ("nat64.test", "64:ff9b::a9fe:a9fe", "metadata"),
        ("alibaba.test", "100.100.100.200", "metadata"),
        ("unspecified.test", "0.0.0.0", "metadata"),
        // From the range for examples: nobody is there, and plain text must not try.
        ("public.test", "203.0.113.7", "unencrypted"),
    ];
    let rows: Vec<_> = bad.iter().map(|(name, address, _)| (*name, [*address])).collect();
    let rows: Vec<(&str, &[&str])> = rows.iter().map(|(name, to)| (*name, &to[..])).collect();
    let names = Names::leading(&rows);
    let mut providers = Vec::new();
    for (name, _, _) in bad {
        let id = name.replace('.', "-");
        providers.push(provider(&id, name).await.at(&format!("http://{name}:8080/v1")));
    }
    let all: Vec<&Provider> = providers.iter().collect();
    let router = Setup::new(&all).environment(&names.environment()).start().await;
    for (name, address, word) in bad {
        fails(&router, name, word).await;
        let connected = names.connected();
        let bare = address.trim_start_matches("::ffff:");
        assert!(!connected.iter().any(|to| to.contains(bare)), "{name}: {connected:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_turns_into_another_address_is_looked_at_each_time() {
    let names = Names::leading(&[("rebind.test", &["127.0.0.1", "169.254.169.254"])]);
    let sim = provider("a", "m").await;
    let url = sim.sim.base_url().replace("127.0.0.1", "rebind.test");
    let sim = sim.at(&url);
    let router = Setup::new(&[&sim]).environment(&names.environment()).start().await;
    let reply = router.client().chat(&chat("m")).await;
    assert_eq!(reply.content(), answer_text(PROMPT, TOKENS));
    assert!(names.connected().contains(&"127.0.0.1".to_owned()), "connects are noted");
    // Its connection breaks; for the next one the name is asked for again.
    sim.fails_with(Fault::Reset);
    fails(&router, "m", "metadata").await;
    assert!(
        !names.connected().iter().any(|to| to.starts_with("169.254")),
        "{:?}",
        names.connected()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prober_that_says_it_is_where_none_may_be_is_not_told_anything() {
    let sim = provider("a", "m").await;
    let cluster = Cluster::plan().probers(0).providers(&[&sim]).start_unmeasured().await;
    let names = Names::leading(&[("liar.test", &["169.254.169.254"])]);
    let setup = Setup::new(&[&sim]).etcd(&cluster.etcd.urls()).config(json!({"node_id": "wary"}));
    let router = setup.environment(&names.environment()).start().await;
    let store = cluster.etcd.store();
    for (name, address) in
        [("literal", "http://169.254.169.254"), ("named", "http://liar.test:9092")]
    {
        let (zone, address) = ("z".to_owned(), address.to_owned());
        let record = ProberRecord { zone, address, ..ProberRecord::default() };
        let written = Txn::new().put(&format!("{PROBERS}{name}"), encode_prober(&record));
        store.commit(written).await.unwrap();
        let words = ["the prober cannot be told", "metadata", &format!("\"{name}\"")];
        let told = |line: &String| words.iter().all(|word| line.contains(word));
        until(name, async || router.process.lines().iter().any(told)).await;
    }
    let connected = names.connected();
    assert!(!connected.is_empty(), "connects are noted");
    assert!(!connected.iter().any(|to| to.starts_with("169.254")), "{connected:?}");
}

/// Has the store say that there is another router, whose admin API is at this address.
async fn another_router(store: &impl Store, name: &str, admin_url: &str) {
    let record = RouterRecord { admin_url: admin_url.to_owned(), ..RouterRecord::default() };
    let written = Txn::new().put(&format!("{ROUTERS}{name}"), record.encode());
    store.commit(written).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_says_it_is_where_none_may_be_is_not_asked_anything() {
    let sim = provider("a", "m").await;
    let cluster = Cluster::plan().probers(0).providers(&[&sim]).start_unmeasured().await;
    let names = Names::leading(&[("liar.test", &["169.254.169.254"])]);
    let setup = Setup::new(&[&sim]).etcd(&cluster.etcd.urls()).config(json!({"node_id": "wary"}));
    let router = setup.environment(&names.environment()).start().await;
    let store = cluster.etcd.store();
    another_router(&store, "literal", "http://169.254.169.254").await;
    another_router(&store, "named", "http://liar.test:9091").await;
    let operator = Operator::at(&router);
    for name in ["literal", "named"] {
        let words = ["another router is not asked", "metadata", &format!("\"{name}\"")];
        let told = |line: &String| words.iter().all(|word| line.contains(word));
        let asked = async || {
            operator.is_told(1, &["explain", NOBODYS]);
            router.process.lines().iter().any(told)
        };
        until(name, asked).await;
    }
    let connected = names.connected();
    assert!(!connected.is_empty(), "connects are noted");
    assert!(!connected.iter().any(|to| to.starts_with("169.254")), "{connected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_key_goes_to_no_router_that_shows_no_certificate() {
    let (sim, authority) = (provider("a", "m").await, Authority::new());
    let cluster = Cluster::plan().probers(0).providers(&[&sim]).start_unmeasured().await;
    let [cert, key] = authority.issue("router");
    let tls = json!({"cert": cert, "key": key, "client_ca": authority.ca()});
    let setup = Setup::new(&[&sim]).etcd(&cluster.etcd.urls());
    let router = setup.config(json!({"node_id": "wary", "admin_tls": tls})).start().await;
    let open = Puppet::answering("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    another_router(&cluster.etcd.store(), "open", &format!("http://{}", open.address)).await;
    let flags = [("--ca", authority.ca()), ("--cert", cert), ("--cert-key", key)];
    let flags = flags.map(|(flag, file)| [flag.into(), file.into_os_string()]);
    let operator = Operator::at(&router).over_tls(flags.as_flattened());
    let told = |line: &String| line.contains("another router is not asked");
    let asked = async || {
        operator.is_told(1, &["explain", NOBODYS]);
        router.process.lines().iter().any(told)
    };
    until("the log names it", asked).await;
    assert!(open.asked().is_empty(), "{:?}", open.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed() {
    let goal = Puppet::answering(&answer()).await;
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let location = format!(
            "HTTP/1.1 {status}\r\nlocation: {}/chat/completions\r\ncontent-length: 0\r\n\r\n",
            goal.base_url()
        );
        let puppet = Puppet::answering(&location).await;
        let provider = provider("a", "m").await.at(&puppet.base_url());
        let router = Setup::new(&[&provider]).start().await;
        let reply = router.client().chat(&chat("m")).await;
        assert!(reply.status() >= 500, "{status}: {}", reply.text());
        assert!(!puppet.asked().is_empty() && goal.asked().is_empty(), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_says_unasked_is_nobodys_answer() {
    let unasked = answer().replace("\"hi\"", "\"planted\"");
    let ambiguous = answer().replace("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n");
    for (said, serves) in [(answer() + &unasked, true), (ambiguous + &unasked, false)] {
        let puppet = Puppet::answering(&said).await;
        let provider = provider("a", "m").await.at(&puppet.base_url());
        let router = Setup::new(&[&provider]).start().await;
        // Each call could be answered by what the one before it left behind.
        for _ in 0..20 {
            let reply = router.client().chat(&chat("m")).await;
            assert_eq!(reply.status() == 200, serves, "{}", reply.text());
            assert!(!serves || reply.content() == "hi", "{}", reply.text());
        }
        assert!(!puppet.asked().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_inside_of_a_prompt_are_never_fetched() {
    let bait = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/picture.png", bait.local_addr().unwrap());
    let sim = provider("a", "m").await;
    let endpoint = json!({"model": "n", "capabilities": ["chat", "images"]});
    let puppet = Puppet::answering("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
    let entry = json!({"id": "b", "dialect": "anthropic", "base_url": puppet.base_url(), "endpoints": [endpoint]});
    let open = json!({"model": "m", "capabilities": ["chat", "images"]});
    let other = json!({"id": "a", "base_url": sim.sim.base_url(), "endpoints": [open]});
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("catalog.json");
    fs::write(&catalog, json!({"version": 1, "providers": [entry, other]}).to_string()).unwrap();
    let router =
        Setup::new(&[&sim]).config(json!({"bootstrap": {"catalog": catalog}})).start().await;
    let parts = json!([{"type": "image_url", "image_url": {"url": url}}]);
    let message = json!([{"role": "user", "content": parts}]);
    for model in ["m", "n"] {
        router.client().chat(&overlay(chat(model), json!({"messages": message}))).await;
    }
    let [openai, anthropic] = [&sim.saw("m")[0].body, puppet.asked()[0].as_bytes()]
        .map(|body: &[u8]| String::from_utf8_lossy(body).into_owned());
    assert!(openai.contains(&url) && anthropic.contains(&url), "the provider is to fetch it");
    let nobody = std::future::poll_fn(|cx| match bait.poll_accept(cx) {
        std::task::Poll::Pending => std::task::Poll::Ready(true),
        std::task::Poll::Ready(_) => std::task::Poll::Ready(false),
    });
    assert!(nobody.await, "somebody fetched it");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_header_of_one_side_reaches_the_other() {
    let puppet = Puppet::answering(&answer()).await;
    let provider =
        provider("a", "m").await.at(&puppet.base_url()).with_credentials(&["sk-planted"]);
    let router = Setup::new(&[&provider]).start().await;
    let sent = [
        ("cookie", "planted=up"),
        ("proxy-authorization", "planted-up"),
        ("x-api-key", "planted-up"),
        ("x-forwarded-for", "planted-up"),
        ("x-session-id", "planted-up"),
        ("x-trunkline-tags", "a=planted-up"),
        ("referer", "http://planted-up"),
        ("user-agent", "planted-up"),
        ("origin", "http://planted-up"),
        ("openai-organization", "planted-up"),
    ];
    for body in [chat("m"), overlay(chat("m"), json!({"stream": true}))] {
        let reply = router.client().post_with(CHAT, &sent, &body).await;
        let came = reply.head.headers.iter().map(|(name, _)| name.as_str());
        let ours = [
            "content-type",
            "content-length",
            "date",
            "x-request-id",
            "x-should-retry",
            "x-trunkline-generation-id",
            "x-trunkline-policy",
            "transfer-encoding",
        ];
        let others: Vec<_> = came.filter(|name| !ours.contains(name)).collect();
        assert!(others.is_empty(), "{others:?}");
        let all = format!("{:?}{}", reply.head, reply.text());
        assert!(!all.contains("planted"), "{all}");
    }
    let asked = puppet.asked();
    assert!(asked.len() >= 2);
    for request in asked {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("planted-up") && !body.contains("planted"), "{request}");
        assert!(!request.contains(KEY), "{request}");
        let names = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let names: Vec<_> = names.map(|(name, _)| name.to_lowercase()).collect();
        let allowed = [
            "content-type",
            "accept-encoding",
            "user-agent",
            "authorization",
            "host",
            "content-length",
        ];
        assert!(names.iter().all(|name| allowed.contains(&name.as_str())), "{names:?}");
        assert!(head.contains("authorization: Bearer sk-planted"), "{head}");
    }
}
