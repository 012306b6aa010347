//! Stories about spans on their way, without a collector: what one gets is tested over real sockets.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::*;

fn counted() -> (Arc<[AtomicU64; 4]>, Tell) {
    let counts: Arc<[AtomicU64; 4]> = Arc::default();
    let told = Arc::clone(&counts);
    let tell = move |fate: Fate, spans: u64| {
        told[fate as usize].fetch_add(spans, Relaxed);
    };
    (counts, Arc::new(tell))
}

fn exporter(headers: Headers) -> (Arc<[AtomicU64; 4]>, Spans, Exporter) {
    let (counts, tell) = counted();
    let collector = Collector {
        // Nothing listens there.
        endpoint: Uri::from_static("http://127.0.0.1:1/v1/traces"),
        protocol: Protocol::HttpProtobuf,
        tls: CollectorTls::default(),
        headers,
    };
    let (spans, exporter) = Exporter::new(collector, Vec::new(), tell);
    (counts, spans, exporter)
}

fn of(counts: &[AtomicU64; 4], fate: Fate) -> u64 {
    counts[fate as usize].load(Relaxed)
}

fn two() -> Vec<Span> {
    vec![Span::default(), Span::default()]
}

#[tokio::test]
async fn what_finds_the_queue_full_is_counted_and_not_even_made() {
    let (counts, spans, _exporter) = exporter(Arc::new(|| Ok(HeaderMap::new())));
    let mut made = 0;
    for _ in 0..QUEUE + 3 {
        spans.add(2, || {
            made += 1;
            two()
        });
    }
    assert_eq!(made, QUEUE);
    assert_eq!(of(&counts, Fate::Dropped), 6);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_away_is_tried_for_a_while_and_what_it_missed_is_counted() {
    let (counts, spans, exporter) = exporter(Arc::new(|| Ok(HeaderMap::new())));
    spans.add(2, two);
    drop(spans);
    let began = Instant::now();
    exporter.run().await;
    assert_eq!(of(&counts, Fate::Failed), 2);
    assert!(began.elapsed() >= Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_no_further_try_would_mend_is_tried_once() {
    let (counts, spans, exporter) = exporter(Arc::new(|| Err("no such file".to_owned())));
    spans.add(2, two);
    drop(spans);
    exporter.run().await;
    assert_eq!(of(&counts, Fate::Refused), 2);
}

#[tokio::test]
async fn the_end_of_the_process_waits_for_nothing_that_does_not_come() {
    let (counts, spans, exporter) = exporter(Arc::new(|| Ok(HeaderMap::new())));
    (0..3).for_each(|_| spans.add(2, two));
    exporter.finish().await;
    assert_eq!(of(&counts, Fate::Failed), 6);
}
