//! `top`: the cluster live on a terminal, until `q` is pressed. It draws each state that the router tells and
//! keeps what it draws lines of by itself.

mod frame;
mod terminal;

use std::io::Write;

use trunkline_proto::admin::v1::GetStatusRequest;

use super::status::States;
use crate::Failure;
use crate::cli::{Format, TopArgs};
use crate::connect::Admin;
use frame::Memory;
use terminal::{Screen, Size};

/// Shows frames until `q`, Ctrl-C or a signal; one when asked for one, or when nobody is at a terminal.
///
/// # Errors
/// [`Failure::Usage`] for another output than tables; the router's answer; a terminal that does not work.
pub async fn run(
    admin: &mut Admin,
    args: TopArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if format.is_data() {
        return Err(Failure::Usage("top is for people: use status -o json".to_owned()));
    }
    let mut memory = Memory::default();
    if args.once || !terminal::is_there() {
        let status = admin.get_status(GetStatusRequest::default()).await?.into_inner();
        memory.take(&status);
        return Ok(memory.draw(&status, Size::UNBOUNDED, out)?);
    }
    let mut screen = Screen::open()?;
    let mut states = States::of(admin, String::new()).await?;
    loop {
        let status = tokio::select! {
            () = screen.left() => return Ok(()),
            status = states.next() => status?,
        };
        memory.take(&status);
        let mut drawn = Vec::new();
        memory.draw(&status, Screen::size(), &mut drawn)?;
        screen.show(&drawn, out)?;
    }
}
