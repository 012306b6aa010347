//! A program in a process of its own: its start, its log, its signals and its end. A log is kept in
//! `target/test-logs` when its test fails.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep, timeout};

/// The longest that a start or an orderly end may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a log that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// All processes that this program started and that have not ended, by number.
static RUNNING: Mutex<BTreeMap<u32, String>> = Mutex::new(BTreeMap::new());

/// A process. Dropping it ends it at once.
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts a program whose log is its standard error stream.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn start(name: &str, command: &mut Command) -> Self {
        let streams = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = streams.spawn().unwrap_or_else(|e| panic!("{name} cannot be run: {e}"));
        running().insert(child.id(), name.to_owned());
        let log = child.stderr.take().expect("the log is piped");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let reader = std::thread::spawn(move || read_log(log, &kept));
        Self { name: name.to_owned(), child, lines, reader: Some(reader) }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it logged so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the first line that `read` understands.
    ///
    /// # Panics
    /// When there is none for a minute, or the process ended without it.
    pub async fn told<T>(&mut self, read: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().expect("a child can be waited for");
            if let Some(found) = self.lines().iter().find_map(|line| read(line)) {
                return found;
            }
            let (name, late) = (&self.name, Instant::now() > deadline);
            assert!(!late && ended.is_none(), "{name} ({ended:?}): {:#?}", self.lines());
            sleep(LOOK_AGAIN).await;
        }
    }

    /// SIGSTOP: its connections stay, its answers stop.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// SIGHUP: it reads its certificates and its configuration again.
    pub fn hang_up(&self) {
        self.signal(Signal::SIGHUP);
    }

    /// SIGTERM: it is asked to end.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// SIGKILL; it is gone when this returns.
    pub fn kill(&mut self) {
        // It may have ended by itself; either way nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, waits until it has, and returns its log.
    ///
    /// # Panics
    /// When it does not end, or not well.
    pub async fn end(self) -> Vec<String> {
        self.end_within(PATIENCE).await
    }

    /// As [`Process::end`], for one that may take so long.
    ///
    /// # Panics
    /// When it does not end, or not well.
    pub async fn end_within(mut self, patience: Duration) -> Vec<String> {
        self.terminate();
        // Its log ends when it does.
        let reader = self.reader.take().expect("a log that is read");
        let read = tokio::task::spawn_blocking(move || reader.join());
        let read = timeout(patience, read).await;
        let read = read.unwrap_or_else(|_| panic!("{} does not end when asked to", self.name));
        read.expect("the log was read").expect("the log was read");
        let status = self.child.wait().expect("a child can be waited for");
        assert!(status.success(), "{} ended with {status}: {:#?}", self.name, self.lines());
        self.lines()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        kill(pid, signal).unwrap_or_else(|e| panic!("{} does not run: {e}", self.name));
    }

    /// Keeps the log for whoever looks into a failure.
    fn keep_log(&self) {
        let file = log_folder().join(format!("{}-{}.log", self.name, self.child.id()));
        let kept = fs::create_dir_all(log_folder())
            .and_then(|()| fs::write(&file, self.lines().join("\n")));
        if kept.is_ok() {
            let _ = writeln!(std::io::stderr(), "log of {}: {}", self.name, file.display());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        running().remove(&self.child.id());
        if std::thread::panicking() {
            self.keep_log();
        }
    }
}

fn read_log(log: ChildStderr, kept: &Mutex<Vec<String>>) {
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

fn log_folder() -> PathBuf {
    target().join("test-logs")
}

/// The folder that everything is built into.
fn target() -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    let target = this.ancestors().find(|folder| folder.ends_with("target"));
    target.map_or_else(std::env::temp_dir, PathBuf::from)
}

/// The processes that this program started and that have not ended: number and name.
pub fn all() -> Vec<(u32, String)> {
    running().iter().map(|(number, name)| (*number, name.clone())).collect()
}

fn running() -> MutexGuard<'static, BTreeMap<u32, String>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program of this project, beside the tests'.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn beside(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    // Tests are in target/debug/deps, programs in target/debug.
    let folders = this.ancestors().skip(1).take(2);
    let mut programs = folders.map(|folder| folder.join(name));
    let found = programs.find(|program| program.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: cargo build -p {name}"))
}

/// A program that a script of `tests/provision` put into `target/tools`, or the one that a variable names.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn tool(name: &str, variable: &str, script: &str) -> PathBuf {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let program = named.unwrap_or_else(|| target().join("tools").join(name));
    assert!(program.exists(), "{} is missing: run tests/provision/{script}", program.display());
    program
}

/// The etcd that `tests/provision/etcd.sh` put into `target/tools`, or the one that `TRUNKLINE_ETCD` names.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn etcd_program() -> PathBuf {
    tool("etcd", "TRUNKLINE_ETCD", "etcd.sh")
}
