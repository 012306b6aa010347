//! Showing something again and again until it is interrupted.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::cli::Format;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(2);
/// Moves a terminal's cursor home and clears what is below.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// Whether to show once or on and on, and how.
pub struct Watch {
    again: bool,
    clear: bool,
}

impl Watch {
    /// On and on if asked to. A terminal shows the newest alone; a file or a program gets all of them.
    pub fn of(asked: bool, format: Format) -> Self {
        Self { again: asked, clear: asked && !format.is_data() && io::stdout().is_terminal() }
    }

    /// Before each showing. The terminal is cleared past `out`, which may take such sequences for colours.
    ///
    /// # Errors
    /// When the terminal does not take it.
    pub fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        if !self.clear {
            return Ok(());
        }
        out.flush()?;
        io::stdout().write_all(CLEAR.as_bytes())
    }

    /// After each showing: waits, and says whether there is a next one.
    ///
    /// # Errors
    /// When `out` does not take what was shown.
    pub async fn again(&self, out: &mut dyn Write) -> io::Result<bool> {
        out.flush()?;
        if self.again {
            tokio::time::sleep(EVERY).await;
        }
        Ok(self.again)
    }
}
