//! `docs/errors.md` says what the table says. `UPDATE_DOCS=1` rewrites it.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::fmt::Write;
use std::path::Path;

use trunkline_wire::error::ErrorType;

const HEAD: &str = "\
# Errors

Every error has one body: `{\"error\": {\"code\", \"message\", \"type\", \"param\", \"metadata\": {\"error_type\", …}}}`.
`code` is the HTTP status, `type` the class that OpenAI's clients know, and `metadata.error_type` the
exact kind below. Where they apply, `metadata` also holds `provider`, `provider_code`, `attempts`,
`tokens_emitted`, `previous_errors` (one for each attempt that failed before the last) and
`availability` (whether and when to retry, in seconds, and what excluded endpoints).

Over gRPC the same kind arrives as the status code in the table, with `error_type` as the reason in
`ErrorInfo`. A stream that breaks after its first content ends with a chunk that carries the same
`error` object and `finish_reason: \"error\"`, and without `[DONE]`.

This page is generated from the router's own table (`crates/wire/src/error/table.rs`).

| `error_type` | HTTP | gRPC | `type` | Retry unchanged? | What to do |
|---|---|---|---|---|---|
";

fn grpc_name(code: i32) -> &'static str {
    match code {
        1 => "CANCELLED",
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        5 => "NOT_FOUND",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        16 => "UNAUTHENTICATED",
        _ => "UNKNOWN",
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for row in ErrorType::all().map(ErrorType::row) {
        let grpc = format!("{} {}", row.grpc, grpc_name(row.grpc));
        let retry = if row.retryable { "yes" } else { "no" };
        let name = row.name;
        writeln!(
            page,
            "| `{name}` | {} | {grpc} | `{}` | {retry} | {} |",
            row.status, row.class, row.remedy
        )
        .unwrap();
    }
    page
}

#[test]
fn the_page_of_errors_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/errors.md is out of date: run with UPDATE_DOCS=1");
}
