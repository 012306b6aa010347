//! How much processor time a process has used, as the kernel counts.

use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// The processor time of a process since it started, user and system, in all its threads.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn used(process: u32) -> Duration {
    let pid = Pid::from_raw(i32::try_from(process).expect("a process id"));
    let clock = clock_getcpuclockid(pid).expect("the process runs");
    clock.now().expect("the process runs").into()
}
