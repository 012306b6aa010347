//! The programs of another commit, built from a checkout of its own below `target`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// What is built.
const PACKAGES: [&str; 2] = ["router-node", "health-prober"];

/// Builds the programs of a commit, optimised; the folder that holds them. Built once, they are there the next time.
///
/// # Errors
/// When this is no git checkout, the commit is unknown, or it cannot be built.
pub(super) fn build(project: &Path, commit: &str) -> anyhow::Result<PathBuf> {
    let full = git(project, &["rev-parse", "--verify", &format!("{commit}^{{commit}}")])?;
    let folder = project.join("target/releases");
    let (source, target) = (folder.join("source"), folder.join("target"));
    if source.exists() {
        git(&source, &["checkout", "--quiet", "--detach", full.trim()])?;
    } else {
        let source = source.to_string_lossy();
        // Forced: it is still known to git where `target` was deleted.
        git(project, &["worktree", "add", "--force", "--quiet", "--detach", &source, full.trim()])?;
    }
    let mut cargo = Command::new("cargo");
    cargo.current_dir(&source).env("CARGO_TARGET_DIR", &target);
    cargo.args(["build", "--quiet", "--release", "--locked"]);
    cargo.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    ensure!(cargo.status()?.success(), "{commit} cannot be built");
    Ok(target.join("release"))
}

fn git(folder: &Path, words: &[&str]) -> anyhow::Result<String> {
    let told = Command::new("git").current_dir(folder).args(words).output()?;
    ensure!(
        told.status.success(),
        "git {}: {}",
        words.join(" "),
        String::from_utf8_lossy(&told.stderr)
    );
    String::from_utf8(told.stdout).context("git tells what is no text")
}
