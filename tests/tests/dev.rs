//! What `router-node dev` tells whoever starts it.

use std::path::Path;
use std::process::Command;

use trunkline_tests::process::{Process, beside};

/// All that it printed up to a line with these words.
async fn told(data: &Path, more: &[&str], last: &str) -> String {
    // What it prints is read where logs are.
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" >&2", "sh"]).arg(beside("router-node")).arg("dev").args(more);
    command.args(["--listen", "--ops", "--admin"].map(|port| [port, "127.0.0.1:0"]).as_flattened());
    command.arg("--data-dir").arg(data).env_remove("OPENAI_API_KEY");
    let mut dev = Process::start("dev", &mut command);
    dev.told(|line| line.contains(last).then_some(())).await;
    dev.lines().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_tried_is_what_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let simulated = told(&folder.path().join("one"), &[], "-X DELETE").await;
    assert!(simulated.contains(r#""model": "sim/chat""#), "{simulated}");

    let file = folder.path().join("catalog.yaml");
    let catalog = "version: 1\nproviders:\n  - id: acme\n    base_url: https://acme.example/v1\n    endpoints:\n      - model: acme/large\n        price: {input: 1, output: 2}\n";
    std::fs::write(&file, catalog).unwrap();
    let own =
        told(&folder.path().join("two"), &["--catalog", file.to_str().unwrap()], "new OpenAI(")
            .await;
    assert!(own.contains(r#""model": "acme/large""#), "{own}");
    assert!(!own.contains("sim/") && !own.contains("_sim"), "{own}");
}
