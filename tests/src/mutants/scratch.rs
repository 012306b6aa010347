//! A copy of the project in which bugs can be seeded: the original is never touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::list::{Mutant, Tests};

/// The copy.
pub(super) struct Scratch {
    root: PathBuf,
    target: PathBuf,
}

/// What a run of tests came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All that were asked for passed.
    Passed,
    /// One failed.
    Failed,
    /// They could not be built.
    NotBuilt,
    /// There are none.
    None,
}

impl Scratch {
    /// Copies what git knows of the project below its `target`. What is built there stays for the next time.
    pub(super) fn new(project: &Path) -> anyhow::Result<Self> {
        let folder = project.join("target/mutants");
        let scratch = Self { root: folder.join("source"), target: folder.join("target") };
        for path in tracked(project)? {
            let from = project.join(&path);
            if from.is_file() {
                copy_if_other(&from, &scratch.root.join(&path))?;
            }
        }
        Ok(scratch)
    }

    /// Seeds a bug, runs its tests, and takes it out again.
    pub(super) fn try_out(&self, mutant: &Mutant) -> anyhow::Result<Outcome> {
        let path = self.root.join(mutant.file);
        let right = fs::read_to_string(&path).with_context(|| mutant.file.to_owned())?;
        ensure!(right.matches(mutant.right).count() == 1, "the passage is not in {}", mutant.file);
        fs::write(&path, right.replace(mutant.right, mutant.wrong))?;
        let outcome = self.run(&mutant.tests);
        fs::write(&path, right)?;
        outcome
    }

    /// Runs tests.
    pub(super) fn run(&self, tests: &Tests) -> anyhow::Result<Outcome> {
        let built = self.cargo(tests).arg("--no-run").output()?;
        if !built.status.success() {
            return Ok(Outcome::NotBuilt);
        }
        let ran = self.cargo(tests).args(["--", tests.filter]).output()?;
        let told = String::from_utf8_lossy(&ran.stdout);
        if told.contains("running 0 tests") {
            return Ok(Outcome::None);
        }
        Ok(if ran.status.success() { Outcome::Passed } else { Outcome::Failed })
    }

    fn cargo(&self, tests: &Tests) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        // Warnings of a seeded bug are no news.
        cargo.args(["test", "--quiet", "--locked", "--package", tests.package]);
        match tests.target {
            Some(target) => cargo.args(["--test", target]),
            None => cargo.arg("--lib"),
        };
        cargo
    }
}

fn tracked(project: &Path) -> anyhow::Result<Vec<String>> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(project)
        .output()?;
    ensure!(listed.status.success(), "seeding bugs needs a git checkout");
    let paths = String::from_utf8(listed.stdout)?;
    Ok(paths.split_terminator('\0').map(str::to_owned).collect())
}

/// A file that did not change keeps its time, so that nothing is built anew for it.
fn copy_if_other(from: &Path, to: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(from)?;
    if fs::read(to).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    // With its permissions: some are programs.
    fs::copy(from, to)?;
    Ok(())
}
