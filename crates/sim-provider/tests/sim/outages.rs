//! The provider as a whole going down and coming back, as connections see it.

use std::io::ErrorKind;

use crate::raw::{Closed, Raw, ask, ask_stream, exchange, faulty};
use serde_json::json;
use sim_provider::{Ending, Fault, SimConfig, SimProvider};

async fn refused(sim: &SimProvider) -> bool {
    Raw::connect(sim.addr()).await.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

async fn answers(sim: &SimProvider) -> bool {
    exchange(sim, &ask()).await.0.starts_with("http/1.1 200")
}

#[tokio::test]
async fn killed_it_refuses_and_resets_and_revived_it_serves_on_the_same_port() {
    let sim = faulty(Fault::Stall { after: 1 }).await;
    let mut busy = Raw::connect(sim.addr()).await.unwrap();
    busy.chat(&ask_stream()).await;
    busy.head().await;
    let mut idle = Raw::connect(sim.addr()).await.unwrap();
    sim.wait_for(|log| log.iter().any(|entry| entry.tokens == 1)).await.unwrap();
    let addr = sim.addr();

    sim.kill();
    assert!(refused(&sim).await);
    assert_eq!(idle.closed().await, Closed::Reset);
    let log = sim.wait_for(|log| log.iter().all(|entry| entry.end.is_some())).await.unwrap();
    assert!(log[0].ended(Ending::Killed));
    sim.clear_faults().unwrap();
    assert!(refused(&sim).await, "clearing faults does not revive");

    sim.revive().unwrap();
    assert_eq!(sim.addr(), addr);
    assert!(answers(&sim).await);
    for _ in 0..20 {
        sim.kill();
        assert!(refused(&sim).await);
        sim.revive().unwrap();
        assert!(answers(&sim).await);
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_by_a_kill_is_reset() {
    let sim = faulty(Fault::Stall { after: 1 }).await;
    let mut raw = Raw::connect(sim.addr()).await.unwrap();
    raw.chat(&ask_stream()).await;
    let head = raw.head().await;
    sim.wait_for(|log| log.iter().any(|entry| entry.tokens == 1)).await.unwrap();
    sim.kill();
    let (body, closed) = raw.body(&head).await;
    assert!(!body.whole);
    assert_eq!(closed, Some(Closed::Reset));
}

#[tokio::test]
async fn the_port_of_a_dead_provider_is_not_given_to_others() {
    let sim = SimProvider::start(SimConfig::default()).await.unwrap();
    sim.kill();
    let others: Vec<_> =
        (0..200).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    assert!(others.iter().all(|other| other.local_addr().unwrap() != sim.addr()));
}

#[tokio::test]
async fn an_outage_refuses_for_its_time_and_spares_the_control_connection() {
    let sim = SimProvider::start(SimConfig::default()).await.unwrap();
    let mut control = Raw::connect(sim.addr()).await.unwrap();
    let mut idle = Raw::connect(sim.addr()).await.unwrap();
    idle.chat(&ask()).await;
    let head = idle.head().await;
    idle.body(&head).await;
    let rule = json!({"fault": {"kind": "refuse", "for_ms": 3_600_000}});
    control.send("POST /_sim/fault HTTP/1.1", &rule.to_string()).await;
    let head = control.head().await;
    assert!(head.starts_with("http/1.1 200"));
    control.body(&head).await;
    assert!(refused(&sim).await);
    assert_eq!(idle.closed().await, Closed::Reset);
    control.send("DELETE /_sim/fault HTTP/1.1", "").await;
    assert!(control.head().await.starts_with("http/1.1 200"));
    assert!(answers(&sim).await);
}

#[tokio::test]
async fn an_outage_ends_by_itself() {
    let sim = faulty(Fault::Refuse { for_ms: 20 }).await;
    assert!(refused(&sim).await);
    while refused(&sim).await {}
    assert!(answers(&sim).await);
}

#[tokio::test]
async fn flapping_goes_up_and_down_until_it_is_cleared() {
    let sim = faulty(Fault::Flap { up_ms: 20, down_ms: 20 }).await;
    for _ in 0..3 {
        while !refused(&sim).await {}
        while refused(&sim).await {}
    }
    sim.clear_faults().unwrap();
    assert!(answers(&sim).await);
}

#[tokio::test]
async fn shut_down_it_leaves_no_open_connection_and_frees_the_port() {
    let sim = faulty(Fault::BlackHole).await;
    let mut raw = Raw::connect(sim.addr()).await.unwrap();
    raw.chat(&ask()).await;
    sim.wait_for(|log| log.len() == 1).await.unwrap();
    let addr = sim.addr();
    sim.shutdown().await;
    assert_eq!(raw.closed().await, Closed::Reset);
    let config = SimConfig { listen: addr, ..SimConfig::default() };
    let again = SimProvider::start(config).await.unwrap();
    assert_eq!(again.addr(), addr);
}

#[tokio::test]
async fn an_address_in_use_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let error =
        SimProvider::start(SimConfig { listen, ..SimConfig::default() }).await.err().unwrap();
    assert!(error.to_string().contains(&listen.to_string()), "{error}");
}
