//! The machine: which processors the benchmark may use, how busy all of them were, and what a process may
//! open. It knows nothing of gateways.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

/// Ticks a second in `/proc/stat`. The kernel fixes it for programs, whatever its own clock is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Who runs where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus {
    /// The gateway's own.
    pub gateway: usize,
    /// The upstream's and the load's.
    pub others: usize,
}

impl Cpus {
    /// The first two processors that this process may use; one for all on a machine that has no second.
    ///
    /// # Errors
    /// The system did not tell.
    pub fn choose() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).context("no processors known")?;
        let allowed = |cpu: &usize| allowed.is_set(*cpu).unwrap_or(false);
        let mut cpus = (0..CpuSet::count()).filter(allowed);
        let others = cpus.next().context("no processor is allowed")?;
        Ok(Self { gateway: cpus.next().unwrap_or(others), others })
    }

    /// Whether the gateway has a processor of its own.
    pub fn are_apart(self) -> bool {
        self.gateway != self.others
    }
}

/// Lets this process and its children open as many files as the system allows: a held stream takes two.
///
/// # Errors
/// The system refused.
pub fn raise_open_files() -> anyhow::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

/// The processor time that everything on the machine has used since it started, with what the hypervisor
/// took away.
///
/// # Errors
/// `/proc/stat` is not as the kernel writes it.
pub fn busy() -> anyhow::Result<Duration> {
    busy_of(&fs::read_to_string("/proc/stat")?).context("/proc/stat is not readable")
}

/// All columns of the first line, but `idle` and `iowait`, the fourth and the fifth, and the guests' time,
/// which the first two already hold.
fn busy_of(stat: &str) -> Option<Duration> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let columns = line.split_whitespace().take(8).enumerate();
    let busy = columns.filter(|(at, _)| !matches!(at, 3 | 4));
    let ticks: Option<Vec<u32>> = busy.map(|(_, ticks)| ticks.parse().ok()).collect();
    let ticks: f64 = ticks?.into_iter().map(f64::from).sum();
    Some(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_waiting_time_is_not_busy() {
        let stat = "cpu  100 20 30 99999 88888 4 5 6 77 7\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(busy_of(stat), Some(Duration::from_millis(1_650)));
        assert_eq!(busy_of("intr 5\n"), None);
    }

    #[test]
    fn this_machine_tells_what_is_asked() {
        let cpus = Cpus::choose().unwrap();
        assert!(cpus.others <= cpus.gateway);
        assert!(busy().unwrap() > Duration::ZERO);
    }
}
