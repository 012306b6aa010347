//! Who runs first on the machine that a measurement shares with its attackers, who in earnest have machines of their
//! own. It asks the system, through `chrt` of util-linux, and says what it was granted; it measures nothing.

use std::process::{Command, Stdio};

use anyhow::Context;
use serde::Serialize;

/// The lowest of the real-time priorities: above everything ordinary.
const LOWEST: &str = "1";

/// How attackers are kept from the processor time of everybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheduling {
    /// Router, callers, provider and sink take turns in real time; attackers are ordinary programs.
    RealTime,
    /// Everything is ordinary but the attackers, who are of the lowest priority. The kernel lets such a thread run on
    /// to its next tick, up to 4 ms, while an ordinary one waits: the times of calls say more of the kernel.
    IdleAttackers,
}

impl Scheduling {
    /// Asks for real time for this process and all that it starts from now on; that takes root or `CAP_SYS_NICE`.
    ///
    /// # Errors
    /// There is no `chrt`.
    pub fn ask() -> anyhow::Result<Self> {
        let mut chrt = Command::new("chrt");
        chrt.args(["--all-tasks", "--rr", "--pid", LOWEST, &std::process::id().to_string()]);
        let asked = chrt.stderr(Stdio::null()).status().context("chrt of util-linux is missing")?;
        Ok(if asked.success() { Self::RealTime } else { Self::IdleAttackers })
    }

    /// The command that becomes an attacker's program.
    #[must_use]
    pub fn attacker(self) -> Command {
        let mut command = Command::new("chrt");
        command.args(match self {
            Self::RealTime => ["--other", "0"],
            Self::IdleAttackers => ["--idle", "0"],
        });
        command
    }
}
