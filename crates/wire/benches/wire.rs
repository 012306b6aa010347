//! What the dialect costs on the hot path: a request, an answer, a chunk, a frame.
#![expect(clippy::unwrap_used, reason = "a benchmark may fail loudly")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use trunkline_wire::answer::{rewrite_answer, scan_answer};
use trunkline_wire::chunk::scan_chunk;
use trunkline_wire::operation::Operation;
use trunkline_wire::request::{Peek, Rewrite};
use trunkline_wire::sse::{Splitter, frame};
use trunkline_wire::usage::{Usage, UsageOut};

const CHUNK: &str = r#"{"id":"chatcmpl-9xK2mPq7RvT4sWz1","object":"chat.completion.chunk","created":1763800000,"model":"meta/llama-3.3-70b","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":" hello"},"logprobs":null,"finish_reason":null}],"usage":null}"#;

/// A chat body of about `size` bytes, with a paragraph in each message.
fn chat_body(size: usize) -> Bytes {
    let text = "The quick brown fox jumps over the lazy dog, and says:\\n\\\"hello\\\" once more. ";
    let tail = r#"],"stream":true,"temperature":0.7,"max_tokens":512,"top_p":0.95,"user":"u-1"}"#;
    let mut body = r#"{"model":"meta/llama-3.3-70b","messages":["#.to_owned();
    let mut comma = "";
    while body.len() + tail.len() + 60 < size {
        let room = (size - body.len() - tail.len() - 50).div_ceil(text.len()).min(12);
        body.push_str(&format!(r#"{comma}{{"role":"user","content":"{}"}}"#, text.repeat(room)));
        comma = ",";
    }
    body.push_str(tail);
    Bytes::from(body)
}

fn requests(bench: &mut Criterion) {
    for (name, size) in [("500B", 500), ("55KiB", 55 * 1024)] {
        let body = chat_body(size);
        let to = Rewrite { model: "llama-3.3-70b-versatile", ask_usage: true, drop: &[] };
        let mut group = bench.benchmark_group(format!("request/{name}"));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("peek", |b| {
            b.iter(|| Peek::parse(Operation::Chat, black_box(body.clone())).unwrap());
        });
        group.bench_function("peek and rewrite", |b| {
            b.iter(|| Peek::parse(Operation::Chat, black_box(body.clone())).unwrap().rewrite(&to));
        });
    }
}

fn answers(bench: &mut Criterion) {
    let text = "An answer with a few words in it, some of them \\\"quoted\\\".\\n".repeat(20);
    let answer = Bytes::from(format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30,"prompt_tokens_details":{{"cached_tokens":0}}}}}}"#
    ));
    let usage = UsageOut {
        tokens: Usage::default(),
        cost_pico_usd: 1_234_000,
        cost_details: &[("prompt", 1_000_000), ("completion", 234_000)],
    };
    let mut group = bench.benchmark_group("answer");
    group.throughput(Throughput::Bytes(answer.len() as u64));
    group.bench_function("scan", |b| {
        b.iter(|| scan_answer(Operation::Chat, black_box(&answer)).unwrap());
    });
    group.bench_function("scan and rewrite", |b| {
        b.iter(|| {
            let scan = scan_answer(Operation::Chat, black_box(&answer)).unwrap();
            rewrite_answer(&answer, &scan, "meta/llama-3.3-70b", &usage)
        });
    });
}

fn streams(bench: &mut Criterion) {
    let stream = Bytes::from(frame(CHUNK.as_bytes()).repeat(100));
    let mut group = bench.benchmark_group("stream");
    group.throughput(Throughput::Bytes(CHUNK.len() as u64));
    group.bench_function("scan a chunk", |b| {
        b.iter(|| scan_chunk(black_box(CHUNK.as_bytes())).unwrap());
    });
    group.throughput(Throughput::Elements(100));
    group.bench_function("split 100 frames in one chunk", |b| {
        b.iter(|| split(std::iter::once(black_box(stream.clone()))));
    });
    group.bench_function("split 100 frames across chunks", |b| {
        let pieces: Vec<_> = stream.chunks(200).map(Bytes::copy_from_slice).collect();
        b.iter(|| split(black_box(pieces.clone()).into_iter()));
    });
}

fn split(chunks: impl Iterator<Item = Bytes>) -> usize {
    let mut splitter = Splitter::new();
    let mut bytes = 0;
    for chunk in chunks {
        splitter.push(chunk);
        while let Some(event) = splitter.next().unwrap() {
            bytes += event.data.len();
        }
    }
    bytes
}

criterion_group!(benches, requests, answers, streams);
criterion_main!(benches);
