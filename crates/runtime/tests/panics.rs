//! A program that panics with a prompt in hand: what it writes says where, and nothing of the prompt. The program is
//! this test itself, started again: no program of ours panics when asked to.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "that is what it is about"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use trunkline_runtime::telemetry::{LogFormat, init_logs};
use trunkline_runtime::{Shutdown, Spawner, Tasks};

const NAME: &str = "a_panic_tells_where_and_nothing_that_was_said";
/// In the environment of the program that panics.
const PANICS: &str = "PANICS_WITH_A_PROMPT_IN_HAND";
/// What callers say; no other text of this test has it.
const CANARY: &str = "KANARIE";

/// Panics as mistakes do. The standard library repeats in most of them what it was about.
fn mistakes() -> Vec<fn(&str)> {
    vec![
        |prompt| _ = black_box(&prompt[..prompt.len() - 1]),
        |prompt| _ = black_box(prompt.parse::<u8>().map_err(|_| prompt.to_owned()).unwrap()),
        |prompt| {
            _ = black_box(prompt.parse::<u8>().map_err(|_| prompt.to_owned()).expect("a number"))
        },
        |prompt| panic!("not a number: {prompt}"),
        |prompt| assert_eq!(prompt, "", "they differ"),
        |prompt| std::panic::panic_any(prompt.to_owned()),
        |prompt| _ = black_box(HashMap::<&str, u8>::new()[prompt]),
        |_| panic!("words of the program"),
    ]
}

/// The program: calls that panic one after the other, then a task that does, and that ends it.
async fn program(prompt: &'static str) {
    let _logs = init_logs(LogFormat::Json, "trace").unwrap();
    let calls = Spawner::new();
    for mistake in mistakes() {
        calls.spawn_connection(async move { mistake(prompt) });
        calls.idle().await;
    }
    let mut tasks = Tasks::new(Shutdown::new());
    tasks.spawn("reader", async move { panic!("unreadable: {prompt}") });
    let failure = tasks.join(|| Duration::from_secs(5)).await.unwrap_err();
    eprintln!("program: {failure}");
}

#[tokio::test]
async fn a_panic_tells_where_and_nothing_that_was_said() {
    if let Some(prompt) = std::env::var_os(PANICS) {
        return program(prompt.into_string().unwrap().leak()).await;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([NAME, "--exact", "--nocapture"]).env(PANICS, format!("{CANARY} ö"));
    for backtrace in ["0", "full"] {
        let output = command.env("RUST_BACKTRACE", backtrace).output().unwrap();
        let told = [output.stdout, output.stderr].map(|told| String::from_utf8(told).unwrap());
        let told = told.concat();
        assert!(output.status.success(), "{told}");
        assert!(!told.contains(CANARY), "{told}");
        let lines = told.lines().filter(|line| line.contains("\"message\":\"panicked\""));
        let lines: Vec<&str> = lines.collect();
        assert_eq!(lines.len(), mistakes().len() + 1, "{told}");
        assert!(lines.iter().all(|line| line.contains("\"level\":\"ERROR\"")), "{told}");
        let whole = |line: &&&str| line.contains("\"backtrace\":") == (backtrace == "full");
        assert_eq!(lines.iter().filter(whole).count(), lines.len(), "{told}");
        let here = |line: &&&str| line.contains("tests/panics.rs:");
        assert!(lines.iter().filter(here).count() >= lines.len() - 1, "{told}");
        let known = |line: &&&str| line.contains("words of the program");
        assert_eq!(lines.iter().filter(known).count(), 1, "{told}");
        assert!(told.contains("program: task reader panicked"), "{told}");
    }
}
