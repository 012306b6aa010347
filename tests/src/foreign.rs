//! Programs in other languages: where they were provisioned, and how they are run. What they do is theirs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder of this package.
#[must_use]
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The Python that the tests' packages were installed for.
#[must_use]
pub fn python() -> PathBuf {
    interpreter("TRUNKLINE_PYTHON", "python")
}

/// The Node.js that the tests' clients run on.
#[must_use]
pub fn node() -> PathBuf {
    interpreter("TRUNKLINE_NODE", "node")
}

/// Packages of npm beside a `package.json`.
///
/// # Panics
/// When they were not installed.
#[must_use]
pub fn node_modules(of: &str) -> PathBuf {
    let modules = folder(of).join("node_modules");
    assert!(modules.exists(), "{} is missing: run tests/provision/node.sh", modules.display());
    modules
}

/// Where Go, its packages and the generators of its stubs were unpacked.
///
/// # Panics
/// When they were not.
#[must_use]
pub fn go() -> PathBuf {
    let unpacked = folder("../target/tools/go");
    assert!(unpacked.exists(), "{} is missing: run tests/provision/go.sh", unpacked.display());
    unpacked
}

/// A search path that begins with these folders.
///
/// # Panics
/// When a folder's name has a colon.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a program looks for others where its user does")]
pub fn search_path(first: &[PathBuf]) -> OsString {
    let usual = std::env::var("PATH").unwrap_or_default();
    let folders = first.iter().cloned().chain(std::env::split_paths(&usual));
    std::env::join_paths(folders).expect("folders without colons")
}

/// Runs a program to its end, off the threads on which its provider is served, and returns what it printed.
///
/// # Panics
/// When it fails, with all that it said.
pub async fn run(mut command: Command) -> String {
    // Some clients would ask a proxy even for this machine.
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    let shown = format!("{command:?}");
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    let output = ran.map_err(std::io::Error::other).and_then(|output| output);
    let output = output.unwrap_or_else(|error| panic!("{shown}\n{error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}\n{printed}{complaint}");
    printed
}

/// An interpreter: the one that a variable names, else the one that was provisioned.
#[expect(clippy::disallowed_methods, reason = "tests/run tells where it put the interpreters")]
fn interpreter(variable: &str, name: &str) -> PathBuf {
    let provisioned = || folder("../target/venv/bin").join(name);
    let program = std::env::var(variable).map_or_else(|_| provisioned(), PathBuf::from);
    assert!(program.exists(), "{} is missing: run tests/provision/python.sh", program.display());
    program
}
