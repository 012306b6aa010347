//! What is told of a panic: where it happened, and its words only if they stand in the program. Words that were
//! put together while it ran may be a caller's: what cannot be cut or read is repeated in them, a prompt as well as
//! a key. It stops no panic and ends no process.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::time::Duration;

use tokio::task::JoinError;

use crate::log_sink::LineWriter;

/// In place of words that are not told.
const WITHHELD: &str = "its words may be a caller's and are not told";
/// How long a panic waits until its line is written: a second one in the same thread ends the process at once.
const LAST_FLUSH: Duration = Duration::from_millis(100);

/// From now on panics go to the log, instead of to standard error as they are.
pub(crate) fn to_log(lines: LineWriter) {
    panic::set_hook(Box::new(move |panic| {
        log(panic);
        lines.flush(LAST_FLUSH);
    }));
}

fn log(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    let words = words(panic.payload());
    // Names of functions, and only if `RUST_BACKTRACE` asks for them.
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        tracing::error!(at, words, thread, backtrace = %trace, "panicked");
    } else {
        tracing::error!(at, words, thread, "panicked");
    }
}

/// A panic's words if they stand in the program: only such text has no owner.
pub(crate) fn words(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or(WITHHELD)
}

/// What may be said of a task that did not come to its end. The error's own words repeat those of the panic.
#[must_use]
pub fn of_task(error: &JoinError) -> &'static str {
    if error.is_panic() { "panicked, the log says where" } else { "was cancelled" }
}
