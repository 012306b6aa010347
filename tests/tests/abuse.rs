//! Callers that break HTTP's rules, or keep them in bad faith: each is refused or bounded, and nobody else notices.
//! How much slower other calls get meanwhile is measured by `cargo run --bin abuse`.
#![expect(clippy::unwrap_used, reason = "fails its test on the spot")]

use std::net::SocketAddr;

use serde_json::json;
use sim_provider::answer_text;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use trunkline_tests::abuse::attacks::{Attack, CALL, PAGE};
use trunkline_tests::abuse::frames::{END, END_HEADERS, Frames, Kind, frame, literal, request};
use trunkline_tests::abuse::memory::resident;
use trunkline_tests::bench::machine::raise_open_files;
use trunkline_tests::client::{Client, Line};
use trunkline_tests::json::{PROMPT, chat};
use trunkline_tests::provider::{Provider, TOKENS};
use trunkline_tests::router::{KEY, Router, Setup};

/// What floods may make a router hold in all: some buffers a connection, whatever is sent.
const FLOOD_BYTES: u64 = 48 << 20;
/// What one connection may cost that does nothing.
const IDLE_BYTES: u64 = 20 << 10;
/// Connections that do nothing.
const IDLE_CONNECTIONS: usize = 10_000;
/// Streams at once on one connection, by default.
const STREAMS: u32 = 100;

/// Error codes of RFC 9113, section 7.
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

async fn router() -> (Provider, Router) {
    let provider = Provider::start("only").await.serving("m");
    let router = Setup::new(&[&provider]).start().await;
    (provider, router)
}

async fn serves(router: &Router) {
    assert_eq!(router.client().chat(&chat("m")).await.content(), answer_text(PROMPT, TOKENS));
}

/// The reason for which the server leaves a connection that such an attack came over.
async fn reason(router: &Router, attack: Attack) -> Option<u32> {
    let ended = attack.run(router.public, 1_000).await.end().await;
    serves(router).await;
    ended.goaway
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_that_only_an_attacker_sends_end_their_connection() {
    let (_provider, router) = router().await;
    for attack in [Attack::Continuation, Attack::EmptyData] {
        assert_eq!(reason(&router, attack).await, Some(ENHANCE_YOUR_CALM), "{attack:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_carry_nothing_are_taken_only_so_many() {
    let (_provider, router) = router().await;
    let attacks = [Attack::Settings, Attack::Pings, Attack::AnsweredPings, Attack::Priorities];
    for attack in [&attacks[..], &[Attack::RapidReset]].concat() {
        let ended = attack.run(router.public, 10_000).await.end().await;
        assert!(ended.closed, "{attack:?}: {ended:?}");
        serves(&router).await;
    }
}

/// Calls that are opened, and reset where they are to be, in one piece; the stream of each.
fn calls(streams: impl Iterator<Item = u32>, reset: bool) -> Vec<u8> {
    let bearer = format!("Bearer {KEY}");
    let head = request("POST", CALL, &[("authorization", &bearer)]);
    let call = |stream| {
        let opened = frame(Kind::Headers, END_HEADERS, stream, &head);
        let body = frame(Kind::Data, END, stream, chat("m").to_string().as_bytes());
        let reset = if reset { frame(Kind::Reset, 0, stream, &[0, 0, 0, 8]) } else { Vec::new() };
        [opened, body, reset].concat()
    };
    streams.flat_map(call).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_reset_before_their_turn_are_never_begun() {
    let (provider, router) = router().await;
    let mut frames = Frames::connect(router.public, &[]).await;
    frames.so_far().await;
    // All of it is there before the router looks.
    router.process.freeze();
    assert!(frames.send(&calls((1..180).step_by(2), true)).await);
    assert!(frames.send(&calls(std::iter::once(181), false)).await);
    router.process.thaw();
    let mut answered = Vec::new();
    while !answered.contains(&181) {
        let came = frames.so_far().await;
        assert!(!came.closed, "{came:?}");
        answered.extend(came.answered);
    }
    let reached = provider.saw("m").len();
    assert!(reached < 45, "{reached} of 90 reached the provider");
    let records = router.stop().await.calls().len();
    assert!((1..45).contains(&records), "{records} of 90 were begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_end_for_floods_are_counted_and_the_log_tells_of_the_wait() {
    let (_provider, router) = router().await;
    assert_eq!(router.metric("trunkline_offences_total", "").await, 0.0);
    let told =
        || router.process.lines().iter().any(|line| line.contains("new ones from there wait"));
    // Offences are forgotten within seconds: on a slow machine it takes more of them.
    for _ in 0..20 {
        let (mut floods, public) = (JoinSet::new(), router.public);
        for _ in 0..16 {
            floods.spawn(async move { Attack::Pings.run(public, 1_000).await.end().await });
        }
        assert!(floods.join_all().await.iter().all(|ended| ended.closed));
        if told() {
            break;
        }
    }
    assert!(told(), "{:#?}", router.process.lines());
    serves(&router).await;
    assert!(router.metric("trunkline_offences_total", "").await >= 16.0);
    assert!(router.metric("trunkline_delayed_connections_total", "").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_harm_nobody_and_fill_no_memory() {
    let (_provider, router) = router().await;
    serves(&router).await;
    let before = resident(router.process.id());
    for attack in Attack::ALL {
        let public = router.public;
        let mut floods = JoinSet::new();
        for _ in 0..8 {
            floods.spawn(attack.run(public, 300));
        }
        for _ in 0..20 {
            serves(&router).await;
        }
        // Their connections stay.
        let held = floods.join_all().await;
        serves(&router).await;
        let grown = resident(router.process.id()).saturating_sub(before);
        assert!(grown < FLOOD_BYTES, "{attack:?}: {grown} bytes");
        drop(held);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_head_that_unpacks_to_a_large_one_is_refused() {
    let (_provider, router) = router().await;
    let mut bomb = Attack::HeaderBomb.run(router.public, 1).await;
    let came = bomb.so_far().await;
    // 431 by a response, or the stream or the connection ended: never a request that is served.
    assert!(came.answered == [1] || !came.resets.is_empty() || came.closed, "{came:?}");
    serves(&router).await;
    let log = router.stop().await;
    assert!(!log.mentions("yyyyyyyy"), "headers are never logged");
}

/// What comes of frames that no client may send.
async fn breach(router: &Router, settings: &[(u16, u32)], bytes: &[u8]) -> Option<u32> {
    let mut frames = Frames::connect(router.public, settings).await;
    frames.send(bytes).await;
    let goaway = frames.end().await.goaway;
    serves(router).await;
    goaway
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_protocol_end_their_connection() {
    let (_provider, router) = router().await;
    let page = request("GET", PAGE, &[]);
    let open = |stream| frame(Kind::Headers, END_HEADERS, stream, &page);
    let window = |stream, bytes: u32| frame(Kind::Window, 0, stream, &bytes.to_be_bytes());
    let huge = vec![0; 20_000];
    let cases = [
        ("a window beyond all bounds", window(0, 0x7fff_ffff), FLOW_CONTROL_ERROR),
        ("a window that opens by nothing", window(0, 0), PROTOCOL_ERROR),
        ("a request on the connection's own stream", open(0), PROTOCOL_ERROR),
        ("a stream with a server's number", open(2), PROTOCOL_ERROR),
        ("data on no stream", frame(Kind::Data, 0, 0, b"x"), PROTOCOL_ERROR),
        ("a promise from a client", frame(Kind::Push, END_HEADERS, 1, &page), PROTOCOL_ERROR),
        ("a frame beyond the size agreed on", frame(Kind::Data, 0, 1, &huge), FRAME_SIZE_ERROR),
        ("a ping of the wrong size", frame(Kind::Ping, 0, 0, b"x"), PROTOCOL_ERROR),
        ("settings of half an entry", frame(Kind::Settings, 0, 0, b"xxx"), PROTOCOL_ERROR),
    ];
    for (why, bytes, code) in cases {
        assert_eq!(breach(&router, &[], &bytes).await, Some(code), "{why}");
    }
    let wide = (4, 0x8000_0000);
    assert_eq!(breach(&router, &[wide], b"").await, Some(PROTOCOL_ERROR), "a wide window");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_whose_requests_are_malformed_again_and_again_is_hung_up_on() {
    let (_provider, router) = router().await;
    let bad = [request("GET", PAGE, &[]), literal("connection", "close")].concat();
    let streams = (1..2_000).step_by(2);
    let all: Vec<u8> =
        streams.flat_map(|at| frame(Kind::Headers, END | END_HEADERS, at, &bad)).collect();
    assert_eq!(breach(&router, &[], &all).await, Some(ENHANCE_YOUR_CALM));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_beyond_the_limit_are_refused_and_those_that_nobody_reads_harm_nobody() {
    let (_provider, router) = router().await;
    let before = resident(router.process.id());
    let bearer = format!("Bearer {KEY}");
    let page = request("GET", PAGE, &[("authorization", &bearer)]);
    let mut held = Vec::new();
    for _ in 0..20 {
        // Without a window nothing of an answer can be sent but its head.
        let mut frames = Frames::connect(router.public, &[(4, 0)]).await;
        let streams = (1..2 * (STREAMS + 10)).step_by(2);
        let all: Vec<u8> =
            streams.flat_map(|at| frame(Kind::Headers, END | END_HEADERS, at, &page)).collect();
        assert!(frames.send(&all).await);
        let came = frames.so_far().await;
        assert_eq!((came.goaway, came.closed), (None, false), "{came:?}");
        let refused: Vec<u32> = came.resets.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(refused, [REFUSED_STREAM; 10]);
        assert_eq!(came.answered.len(), STREAMS as usize);
        held.push(frames);
    }
    serves(&router).await;
    let grown = resident(router.process.id()).saturating_sub(before);
    assert!(grown < FLOOD_BYTES, "{grown} bytes");
}

/// The statuses of all answers that come on one connection for these bytes.
async fn answers(address: SocketAddr, bytes: &[u8]) -> Vec<u16> {
    let mut line = Line::connect(address).await;
    line.send(bytes).await;
    let all = line.so_far().await;
    let text = String::from_utf8_lossy(&all).into_owned();
    let statuses = text.split("HTTP/1.1 ").skip(1);
    statuses.map(|rest| rest[..3].parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_can_hide_in_another() {
    let (provider, router) = router().await;
    let hidden = "GET /v1/models HTTP/1.1\r\nhost: router\r\n\r\n";
    let head = format!("POST {CALL} HTTP/1.1\r\nhost: router\r\nauthorization: Bearer {KEY}\r\n");
    let chunked = format!("transfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}");
    let length = hidden.len();
    let cases = [
        ("a length and chunks", format!("content-length: 4\r\n{chunked}")),
        (
            "chunks and a length",
            format!("transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        ("chunks alone, and more", chunked.clone()),
        ("two lengths", format!("content-length: 0\r\ncontent-length: {length}\r\n\r\n{hidden}")),
        ("a list of lengths", format!("content-length: 0, {length}\r\n\r\n{hidden}")),
        ("a length with a sign", format!("content-length: +{length}\r\n\r\n{hidden}")),
        ("a length in hexadecimal", format!("content-length: 0x0\r\n\r\n{hidden}")),
        (
            "a length beyond all numbers",
            format!("content-length: 18446744073709551616\r\n\r\n{hidden}"),
        ),
        ("another coding last", format!("transfer-encoding: chunked, gzip\r\n\r\n{hidden}")),
        ("an unknown coding", format!("transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}")),
        ("a space before the colon", format!("content-length : {length}\r\n\r\n{hidden}")),
        (
            "a folded line",
            format!("content-length: 0\r\nx: y\r\n transfer-encoding: chunked\r\n\r\n{hidden}"),
        ),
        ("a line that begins with a colon", format!(": x\r\n\r\n{hidden}")),
        ("a NUL in a name", format!("x\0y: z\r\n\r\n{hidden}")),
        ("a carriage return alone", format!("x: y\rcontent-length: {length}\r\n\r\n{hidden}")),
        (
            "a size beyond all numbers",
            "transfer-encoding: chunked\r\n\r\n10000000000000000\r\n\r\n".to_owned() + hidden,
        ),
        ("a size with a sign", format!("transfer-encoding: chunked\r\n\r\n+0\r\n\r\n{hidden}")),
        ("a size with a prefix", format!("transfer-encoding: chunked\r\n\r\n0x0\r\n\r\n{hidden}")),
        (
            "a line feed in an extension",
            format!("transfer-encoding: chunked\r\n\r\n0;a\nb\r\n\r\n{hidden}"),
        ),
        (
            "an endless extension",
            format!("transfer-encoding: chunked\r\n\r\n0;{}\r\n\r\n{hidden}", "a".repeat(40_000)),
        ),
        (
            "a chunk longer than its size",
            format!("transfer-encoding: chunked\r\n\r\n1\r\nXX\r\n0\r\n\r\n{hidden}"),
        ),
    ];
    for (why, rest) in cases {
        let statuses = answers(router.public, format!("{head}{rest}").as_bytes()).await;
        let one_refusal = matches!(statuses[..], [] | [400..=499]);
        assert!(one_refusal, "{why}: {statuses:?}");
        serves(&router).await;
    }
    assert!(provider.saw("m").iter().all(|call| call.status == Some(200)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_of_a_request_is_its_path_alone() {
    let (provider, router) = router().await;
    let line = |target: &str| {
        format!("GET {target} HTTP/1.1\r\nhost: router\r\nauthorization: Bearer {KEY}\r\n\r\n")
    };
    let elsewhere = format!("http://{}/v1/models", provider.sim.addr());
    let ours = answers(router.public, line(&elsewhere).as_bytes()).await;
    assert_eq!(ours, [200], "answered here, sent nowhere");
    for target in ["http://router/../etc/passwd", "//v1/models", "/v1/../v1/models", "*"] {
        assert_eq!(answers(router.public, line(target).as_bytes()).await, [404], "{target}");
    }
    let connect = "CONNECT example.test:443 HTTP/1.1\r\nhost: example.test:443\r\n\r\n";
    assert_eq!(answers(router.public, connect.as_bytes()).await, [404]);
    assert!(provider.sim.log().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_cannot_make_the_router_hold_their_bodies() {
    let (_provider, router) = router().await;
    let before = resident(router.process.id());
    let mut lines = Vec::new();
    for _ in 0..100 {
        let stranger = Client { address: router.public, key: "tl_nobody00_not-a-key".to_owned() };
        let body = vec![b' '; 8 << 20];
        let request = stranger.request("POST", CALL, &[], &body);
        let mut line = Line::connect(router.public).await;
        // All but the last byte: whoever waits for the body holds eight megabytes.
        line.send(&request[..request.len() - 1]).await;
        if let Some(exchange) = line.try_exchange().await {
            assert_eq!(exchange.head.status, 401);
        }
        lines.push(stranger);
    }
    serves(&router).await;
    let grown = resident(router.process.id()).saturating_sub(before);
    assert!(grown < FLOOD_BYTES, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_grpc_is_bounded_as_well() {
    let (_provider, router) = router().await;
    let path = "/trunkline.inference.v1.InferenceService/Chat";
    let head = request("POST", path, &[("content-type", "application/grpc"), ("te", "trailers")]);
    let mut frames = Frames::connect(router.public, &[]).await;
    // The server's larger windows hold from the moment that it is told that they are known.
    frames.so_far().await;
    frames.send(&frame(Kind::Settings, END, 0, b"")).await;
    frames.send(&frame(Kind::Headers, END_HEADERS, 1, &head)).await;
    // A message of eight megabytes is announced; what comes of it is more than a stranger may send.
    let announced = [0, 0, 0x80, 0, 0];
    frames.send(&frame(Kind::Data, 0, 1, &announced)).await;
    for _ in 0..5 {
        frames.send(&frame(Kind::Data, 0, 1, &[0; 16_000])).await;
    }
    let came = frames.so_far().await;
    assert_eq!(came.answered, [1], "{came:?}");
    serves(&router).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_callers_and_ten_thousand_idle_ones_harm_nobody() {
    raise_open_files().unwrap();
    let provider = Provider::start("only").await.serving("m");
    let limits = json!({"limits": {"concurrency": 1_000}});
    let router = Setup::new(&[&provider]).config(limits).start().await;
    serves(&router).await;
    let before = resident(router.process.id());
    let head = format!("POST {CALL} HTTP/1.1\r\nhost: router\r\ncontent-length: 1000\r\n\r\n{{");
    let openings = [
        // Nothing, a byte that could begin either protocol, half a head, a whole head and a byte of its body.
        "".to_owned(),
        "P".to_owned(),
        "GET / HTTP/1.1\r\nhost: rou".to_owned(),
        head,
    ];
    let mut held = Vec::new();
    for at in 0..IDLE_CONNECTIONS {
        let mut socket = TcpStream::connect(router.public).await.unwrap();
        socket.write_all(openings[at % openings.len()].as_bytes()).await.unwrap();
        held.push(socket);
    }
    for _ in 0..20 {
        serves(&router).await;
    }
    let grown = resident(router.process.id()).saturating_sub(before);
    assert!(grown < IDLE_CONNECTIONS as u64 * IDLE_BYTES, "{grown} bytes");
    drop(held);
    serves(&router).await;
}
