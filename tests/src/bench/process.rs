//! The benchmark's child processes: starting them, reading the clocks and the memory that the system keeps
//! for them, and ending them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

use super::dialect;
use super::load::{Event, LoadSpec, Measured};
use super::parts::LISTENING;

/// The longest that a server may take to its first answer.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// How often a starting server is tried: the cold start is known no better than this.
const START_PAUSE: Duration = Duration::from_millis(1);
/// The longest that one call of a starting server may take.
const FIRST_CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Lines of a server's log that are shown when it fails.
const LAST_LINES: usize = 5;

/// A child that ends with this value.
#[derive(Debug)]
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server in a process of its own.
#[derive(Debug)]
pub struct Server {
    child: Owned,
    /// Where it listens.
    pub address: SocketAddr,
    clock: ClockId,
    /// Keeps the pipe open: a program that writes into a closed one ends.
    _stdout: Option<ChildStdout>,
    log: Option<PathBuf>,
}

impl Server {
    /// Starts one of the benchmark's own parts, which tells its address.
    ///
    /// # Errors
    /// A program that cannot be run, or does not tell where it listens.
    pub fn start_part(program: &Path, arguments: &[String]) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a part of the benchmark")?;
        let stdout = child.stdout.take();
        let child = Owned(child);
        let mut stdout = stdout.context("a part without a standard output")?;
        let line = first_line(&mut stdout)?;
        let address = line.strip_prefix(LISTENING).map(str::trim);
        let address = address.with_context(|| format!("a part said `{line}`"))?.parse()?;
        Self::new(child, address, Some(stdout))
    }

    /// Starts a server that listens at `address` and logs into the file `log`.
    ///
    /// # Errors
    /// A program that cannot be run.
    pub fn start(command: &mut Command, address: SocketAddr, log: &Path) -> anyhow::Result<Self> {
        let file = File::create(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = Owned(command.spawn().context("cannot start a server")?);
        let server = Self::new(child, address, None)?;
        Ok(Self { log: Some(log.to_owned()), ..server })
    }

    fn new(child: Owned, address: SocketAddr, stdout: Option<ChildStdout>) -> anyhow::Result<Self> {
        let clock = clock_getcpuclockid(pid(&child.0)?)?;
        Ok(Self { child, address, clock, _stdout: stdout, log: None })
    }

    /// The last lines of the server's log, for an error; empty when it has none.
    pub fn last_words(&self) -> String {
        let log = self.log.as_ref().and_then(|log| fs::read_to_string(log).ok());
        last_lines(&log.unwrap_or_default())
    }

    /// The processor time that the process has used in all its threads, user and system.
    ///
    /// # Errors
    /// The process is gone.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        cpu(self.clock)
    }

    /// The memory of the process that is resident, in KiB.
    ///
    /// # Errors
    /// The process is gone.
    pub fn resident_kib(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.0.id()))?;
        resident_kib(&status).context("no VmRSS in the process's status")
    }

    /// Waits for the first call over HTTP that is answered with 200.
    ///
    /// # Errors
    /// A server that ended or never answered.
    pub fn wait_for_an_answer(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            let failure = match first_call(self.address) {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if let Some(status) = self.child.0.try_wait()? {
                bail!("the server ended with {status}");
            }
            ensure!(Instant::now() < deadline, "no answer in {START_DEADLINE:?}: {failure:#}");
            std::thread::sleep(START_PAUSE);
        }
    }
}

fn pid(child: &Child) -> anyhow::Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(child.id())?))
}

fn cpu(clock: ClockId) -> anyhow::Result<Duration> {
    Ok(clock.now().context("the process is gone")?.into())
}

fn last_lines(log: &str) -> String {
    let lines: Vec<_> = log.lines().rev().take(LAST_LINES).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

fn resident_kib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Byte by byte, so that nothing after the line is taken.
fn first_line(from: &mut impl Read) -> anyhow::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0; 1];
    while from.read(&mut byte)? == 1 && byte != *b"\n" {
        line.extend_from_slice(&byte);
    }
    Ok(String::from_utf8(line)?)
}

fn first_call(address: SocketAddr) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(FIRST_CALL_TIMEOUT))?;
    let body = dialect::request(None);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        dialect::KEY,
        body.len()
    );
    socket.write_all(&[head.as_bytes(), &body].concat())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let right = answer.starts_with("HTTP/1.1 200") && answer.contains(dialect::ANSWER_MARK);
    ensure!(right, "{}", answer.chars().take(300).collect::<String>());
    Ok(())
}

/// A load in a process of its own.
#[derive(Debug)]
pub struct Load {
    child: Owned,
    clock: ClockId,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Load {
    /// Starts a load on `cpu`.
    ///
    /// # Errors
    /// A program that cannot be run.
    pub fn start(program: &Path, cpu: usize, spec: &LoadSpec) -> anyhow::Result<Self> {
        let spec = serde_json::to_string(spec)?;
        let mut child = Command::new(program)
            .args(["load", "--cpu", &cpu.to_string(), "--spec", &spec])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a load")?;
        let stdout = child.stdout.take();
        let clock = clock_getcpuclockid(pid(&child)?)?;
        let child = Owned(child);
        let stdout = stdout.context("a load without a standard output")?;
        Ok(Self { child, clock, lines: BufReader::new(stdout).lines() })
    }

    /// The processor time that the load has used.
    ///
    /// # Errors
    /// The process is gone.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        cpu(self.clock)
    }

    /// Waits until measuring starts.
    ///
    /// # Errors
    /// The load failed; it has said why on its standard error.
    pub fn started(&mut self) -> anyhow::Result<()> {
        self.event().and_then(|event| match event {
            Event::Started => Ok(()),
            Event::Stopped | Event::Measured(_) => bail!("a load told `{event:?}` at its start"),
        })
    }

    /// Waits until measuring stops.
    ///
    /// # Errors
    /// The load failed; it has said why on its standard error.
    pub fn stopped(&mut self) -> anyhow::Result<()> {
        self.event().and_then(|event| match event {
            Event::Stopped => Ok(()),
            Event::Started | Event::Measured(_) => bail!("a load told `{event:?}` at its stop"),
        })
    }

    /// What was measured. The load then ends.
    ///
    /// # Errors
    /// The load failed; it has said why on its standard error.
    pub fn measured(mut self) -> anyhow::Result<Measured> {
        let measured = match self.event()? {
            Event::Measured(measured) => measured,
            event @ (Event::Started | Event::Stopped) => {
                bail!("a load told `{event:?}` at its end")
            }
        };
        drop(self.child.0.stdin.take());
        let status = self.child.0.wait()?;
        ensure!(status.success(), "a load ended with {status}");
        Ok(measured)
    }

    fn event(&mut self) -> anyhow::Result<Event> {
        let line = self.lines.next().context("the load failed; see above")??;
        serde_json::from_str(&line).with_context(|| format!("a load told `{line}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status() {
        let status = "Name:\trouter\nVmSize:\t  90000 kB\nVmRSS:\t   12345 kB\n";
        assert_eq!(resident_kib(status), Some(12_345.0));
        assert_eq!(resident_kib("Name:\tgone\n"), None);
    }

    #[test]
    fn the_last_lines_keep_their_order() {
        assert_eq!(last_lines("1\n2\n3\n4\n5\n6\n"), "2\n3\n4\n5\n6");
        assert_eq!(last_lines(""), "");
    }

    #[test]
    fn the_first_line_is_taken_and_no_more() {
        let mut from = &b"listening on 1\nnoise"[..];
        assert_eq!(first_line(&mut from).unwrap(), "listening on 1");
        assert_eq!(from, b"noise");
    }
}
