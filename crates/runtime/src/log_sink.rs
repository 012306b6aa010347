//! Lines on their way out: appended to a bounded buffer by anyone, written by one thread.
//! It formats nothing, and whoever writes a line never waits for the disk or the terminal.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How long the thread lets lines gather before it writes them. A thread that naps need not be
/// woken for each line: waking it costs more than the line.
const GATHER: Duration = Duration::from_millis(10);

/// How long [`LineGuard`] waits for the last lines when the process ends: a blocked terminal must
/// not keep it alive.
const LAST_FLUSH: Duration = Duration::from_secs(1);

/// A buffer that a burst has grown beyond this many bytes is given back after it was written.
const KEPT_CAPACITY: usize = 256 * 1024;

/// Takes whole lines and hands them to its thread. Clones share the buffer.
#[derive(Clone, Debug)]
pub struct LineWriter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    written: Condvar,
    lost: AtomicU64,
    capacity_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<u8>,
    /// The thread has nothing to do and must be woken for the next line.
    parked: bool,
    /// Somebody wants the lines out now.
    hurry: bool,
    /// Lines were taken by the thread and are not written yet.
    writing: bool,
    closed: bool,
}

impl LineWriter {
    /// Starts the thread that writes to `sink`. At most `capacity_bytes` wait in memory; lines
    /// beyond that are lost, counted, and their number is written once there is room.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        name: &str,
        sink: impl Write + Send + 'static,
        capacity_bytes: usize,
    ) -> io::Result<(Self, LineGuard)> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            written: Condvar::new(),
            lost: AtomicU64::new(0),
            capacity_bytes,
        });
        let for_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || write_until_closed(&for_thread, sink))?;
        let writer = Self(shared);
        Ok((writer.clone(), LineGuard(writer)))
    }

    /// Queues one line; a missing line end is added. It copies the bytes, never blocks on the
    /// sink, and counts the line as lost when the buffer is full or the writer closed.
    pub fn write_line(&self, line: &[u8]) {
        let mut state = self.0.lock();
        let room = self.0.capacity_bytes.saturating_sub(state.pending.len());
        if state.closed || line.len() >= room {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.pending.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            state.pending.push(b'\n');
        }
        if state.parked {
            state.parked = false;
            drop(state);
            self.0.work.notify_one();
        }
    }

    /// How many lines were lost since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Blocks until every line queued before was written, or `limit` has passed.
    pub fn flush(&self, limit: Duration) {
        let mut state = self.0.lock();
        state.hurry = true;
        self.0.work.notify_one();
        let busy = |state: &mut State| state.writing || !state.pending.is_empty();
        drop(self.0.written.wait_timeout_while(state, limit, busy));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Bytes and flags are whole between any two statements, poisoned or not.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_until_closed(shared: &Shared, mut sink: impl Write) {
    let mut lines = Vec::new();
    let mut told_lost = 0;
    while take_lines(shared, &mut lines) {
        append_lost(shared, &mut told_lost, &mut lines);
        if sink.write_all(&lines).and_then(|()| sink.flush()).is_err() {
            // The sink is gone or full; there is nobody left to tell but the counter.
            let count = lines.iter().filter(|byte| **byte == b'\n').count();
            shared.lost.fetch_add(count as u64, Ordering::Relaxed);
        }
        lines.clear();
        if lines.capacity() > KEPT_CAPACITY {
            lines = Vec::new();
        }
        shared.lock().writing = false;
        shared.written.notify_all();
    }
}

/// Waits for lines, lets them gather, and swaps them into `lines`. False when closed and empty.
fn take_lines(shared: &Shared, lines: &mut Vec<u8>) -> bool {
    let mut state = shared.lock();
    while state.pending.is_empty() {
        if state.closed {
            return false;
        }
        state.parked = true;
        state.hurry = false;
        shared.written.notify_all();
        state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    state.parked = false;
    let calm = |state: &mut State| !state.hurry && !state.closed;
    let (mut state, _) =
        shared.work.wait_timeout_while(state, GATHER, calm).unwrap_or_else(PoisonError::into_inner);
    state.hurry = false;
    state.writing = true;
    std::mem::swap(&mut state.pending, lines);
    true
}

fn append_lost(shared: &Shared, told: &mut u64, lines: &mut Vec<u8>) {
    let lost = shared.lost.load(Ordering::Relaxed);
    if lost > *told {
        let count = lost - *told;
        *told = lost;
        let line = format!("{{\"level\":\"WARN\",\"message\":\"lines lost\",\"count\":{count}}}\n");
        lines.extend_from_slice(line.as_bytes());
    }
}

/// Keeps the thread running. Dropping it writes what is queued, waiting one second at most, and
/// ends the thread: hold it until the end of `main`.
#[derive(Debug)]
pub struct LineGuard(LineWriter);

impl Drop for LineGuard {
    fn drop(&mut self) {
        self.0.flush(LAST_FLUSH);
        self.0.0.lock().closed = true;
        self.0.0.work.notify_one();
    }
}

/// Lets tracing's formatter write here: it hands over one whole line a call.
impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = LineHandle<'a>;

    fn make_writer(&'a self) -> LineHandle<'a> {
        LineHandle(self)
    }
}

/// A [`LineWriter`] seen as [`Write`]: each call is one line.
#[derive(Debug)]
pub struct LineHandle<'a>(&'a LineWriter);

impl Write for LineHandle<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A sink that tells each write and waits for leave to finish it.
    struct Gate {
        wrote: mpsc::Sender<Vec<u8>>,
        leave: mpsc::Receiver<()>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
            self.wrote.send(bytes.to_vec()).map_err(|_| gone(()))?;
            self.leave.recv().map_err(|_| gone(()))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let page = Page::default();
        let (writer, guard) = LineWriter::start("lines", page.clone(), 1024).unwrap();
        writer.write_line(b"one");
        writer.write_line(b"two\n");
        drop(guard);
        assert_eq!(page.0.lock().unwrap().as_slice(), b"one\ntwo\n");
        writer.write_line(b"after the end");
        assert_eq!(writer.lost(), 1);
    }

    #[test]
    fn a_stuck_sink_loses_lines_and_says_so_but_never_blocks() {
        let (wrote, writes) = mpsc::channel();
        let (give_leave, leave) = mpsc::channel();
        let (writer, guard) = LineWriter::start("lines", Gate { wrote, leave }, 8).unwrap();
        writer.write_line(b"first");
        assert_eq!(writes.recv().unwrap(), b"first\n");
        // The sink is stuck now: one line fits into the buffer, the next does not.
        writer.write_line(b"second");
        writer.write_line(b"third");
        assert_eq!(writer.lost(), 1);
        give_leave.send(()).unwrap();
        let told = String::from_utf8(writes.recv().unwrap()).unwrap();
        assert_eq!(told, "second\n{\"level\":\"WARN\",\"message\":\"lines lost\",\"count\":1}\n");
        give_leave.send(()).unwrap();
        drop(guard);
    }

    #[test]
    fn a_broken_sink_is_counted() {
        let (wrote, writes) = mpsc::channel();
        let (give_leave, leave) = mpsc::channel();
        drop((writes, give_leave));
        let (writer, guard) = LineWriter::start("lines", Gate { wrote, leave }, 64).unwrap();
        writer.write_line(b"nobody reads this");
        drop(guard);
        assert_eq!(writer.lost(), 1);
    }
}
