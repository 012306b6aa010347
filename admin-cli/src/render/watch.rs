//! Showing something again and again until it is interrupted.

use std::io::{self, IsTerminal, Write};

use crate::cli::Format;

/// Moves a terminal's cursor home and clears what is below.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// Where one showing follows another.
pub struct Screen {
    clear: bool,
}

impl Screen {
    /// A terminal shows the newest alone; a file or a program gets all of them.
    pub fn of(format: Format) -> Self {
        Self { clear: !format.is_data() && io::stdout().is_terminal() }
    }

    /// Before each showing. The terminal is cleared past `out`, which may take such sequences for colours.
    ///
    /// # Errors
    /// When the terminal, or `out` with what was shown before, does not take it.
    pub fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        out.flush()?;
        if !self.clear {
            return Ok(());
        }
        io::stdout().write_all(CLEAR.as_bytes())
    }
}
