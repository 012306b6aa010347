//! A copy of the project in which bugs can be seeded: the original is never touched.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::list::{Mutant, Tests};

/// How long the tests of one bug may take: many times what any takes without it.
const RUN_MAX: Duration = Duration::from_secs(120);
/// How often it is looked whether they have ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

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
    /// They did not end within the deadline: with the bug, something goes on for ever.
    Endless,
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
        let mut run = self.cargo(tests);
        // Into a file, which takes whatever failing tests tell; a pipe would fill.
        let told = self.target.join("told.txt");
        run.args(["--", tests.filter]).stdout(File::create(&told)?).stderr(Stdio::null());
        // In a group of its own, so that the tests end with the cargo that started them.
        let mut child = run.process_group(0).spawn()?;
        let Some(status) = ended(&mut child)? else { return Ok(Outcome::Endless) };
        if fs::read_to_string(told)?.contains("running 0 tests") {
            return Ok(Outcome::None);
        }
        Ok(if status.success() { Outcome::Passed } else { Outcome::Failed })
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

/// How a group of processes ended; nothing when it took too long and was killed.
fn ended(child: &mut Child) -> anyhow::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + RUN_MAX;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(LOOK_EVERY);
    }
    killpg(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGKILL)?;
    child.wait()?;
    Ok(None)
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
