//! The terminal as `top` needs it: another screen, keys without Return, and everything as before at the end,
//! however it ends. Control sequences go past the output's colours straight to the terminal.

use std::io::{self, IsTerminal, Read, Write};
use std::sync::Arc;

use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// The other screen, without a cursor.
const OPEN: &str = "\u{1b}[?1049h\u{1b}[?25l";
/// The usual screen, with one.
const CLOSE: &str = "\u{1b}[?25h\u{1b}[?1049l";
/// Home.
const HOME: &str = "\u{1b}[H";
/// Clears what is left of a line, and goes to the next.
const LINE_END: &str = "\u{1b}[K\r\n";
/// Clears what is below.
const CLEAR_BELOW: &str = "\u{1b}[J";
/// Where the size is not told, as on the first terminals.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// How much fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

impl Size {
    /// All of it, as into a file.
    pub const UNBOUNDED: Self = Self { columns: usize::MAX, rows: usize::MAX };
}

/// Whether somebody is there to press keys and look.
pub fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// A terminal that is taken over. Dropping it gives it back.
pub struct Screen {
    before: Termios,
    quit: Arc<Notify>,
    interrupted: Signal,
    terminated: Signal,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it is none.
    pub fn open() -> io::Result<Self> {
        // First of all: from here on no signal ends this without giving the terminal back.
        let interrupted = signal(SignalKind::interrupt())?;
        let terminated = signal(SignalKind::terminate())?;
        let before = termios::tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        // Ctrl-C still is a signal, which ends this like `q`.
        raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        let quit = Arc::new(Notify::new());
        let pressed = Arc::clone(&quit);
        // A thread of its own, which ends with the process: reading keys cannot be interrupted.
        std::thread::spawn(move || read_keys(&pressed));
        let screen = Self { before, quit, interrupted, terminated };
        io::stdout().write_all(OPEN.as_bytes())?;
        Ok(screen)
    }

    /// How much fits at this moment.
    pub fn size() -> Size {
        terminal_size().unwrap_or(USUAL)
    }

    /// Shows a frame in place of the one before. `out` takes its colours out if need be.
    ///
    /// # Errors
    /// When the terminal does not take it.
    pub fn show(&mut self, frame: &[u8], out: &mut dyn Write) -> io::Result<()> {
        io::stdout().write_all(HOME.as_bytes())?;
        for line in frame.split(|byte| *byte == b'\n') {
            out.write_all(line)?;
            out.flush()?;
            io::stdout().write_all(LINE_END.as_bytes())?;
        }
        io::stdout().write_all(CLEAR_BELOW.as_bytes())?;
        io::stdout().flush()
    }

    /// Waits for `q`, Ctrl-C or a request to end.
    pub async fn left(&mut self) {
        tokio::select! {
            () = self.quit.notified() => {}
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing can be done for a terminal that is gone.
        let _ = io::stdout().write_all(CLOSE.as_bytes());
        let _ = io::stdout().flush();
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

fn read_keys(quit: &Notify) {
    for key in io::stdin().lock().bytes() {
        match key {
            Ok(b'q' | b'Q') | Err(_) => return quit.notify_one(),
            Ok(_) => {}
        }
    }
    quit.notify_one();
}

fn terminal_size() -> Option<Size> {
    let told = termios::tcgetwinsize(io::stdout()).ok()?;
    let size = Size { columns: told.ws_col.into(), rows: told.ws_row.into() };
    (size.rows > 0 && size.columns > 0).then_some(size)
}
