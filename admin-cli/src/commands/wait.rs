//! `wait`: until every router that is alive has applied a revision.

use std::io::{self, IsTerminal, Write};

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use trunkline_proto::admin::v1::{GetStatusResponse, RouterStatus};

use super::status::States;
use crate::Failure;
use crate::cli::{Format, WaitArgs};
use crate::connect::Admin;

/// Waits.
///
/// # Errors
/// [`Failure::NotConverged`] with the routers that have not applied it in time; the answering router's
/// failures; an `out` that does not take the answer.
pub async fn run(
    admin: &mut Admin,
    args: WaitArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let deadline = Instant::now() + args.timeout;
    let (mut states, mut progress) = (States::of_no_endpoint(admin).await?, Progress::default());
    let mut last = GetStatusResponse::default();
    loop {
        let Ok(status) = timeout_at(deadline, states.next()).await else {
            progress.end();
            return Err(late(&args, &last));
        };
        last = status?;
        let behind = behind(&last, args.revision);
        // Routers that cannot be listed may be alive, and behind.
        if behind.is_empty() && last.unlisted.is_empty() {
            progress.end();
            return applied(&last, args.revision, format, out);
        }
        progress.show(&last, &behind);
    }
}

/// The routers that have not applied it. A router registers nothing when the store went on without a difference
/// to it: one that lacks nothing of what the answering router has is as far as that one.
fn behind(status: &GetStatusResponse, revision: i64) -> Vec<&RouterStatus> {
    let answerer_has_it = status.revision >= revision;
    let lacks = |router: &&RouterStatus| {
        router.applied_revision < revision && !(answerer_has_it && router.lag_revisions == 0)
    };
    status.routers.iter().filter(lacks).collect()
}

fn applied(
    status: &GetStatusResponse,
    revision: i64,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if format.is_data() {
        let routers: Vec<Value> =
            status.routers.iter().map(|router| json!({"id": router.router_id})).collect();
        let answer = json!({"revision": revision, "items": routers});
        return Ok(crate::render::data(&answer, format, out)?);
    }
    Ok(writeln!(out, "revision {revision} is applied on {}", routers(status.routers.len()))?)
}

fn routers(count: usize) -> String {
    if count == 1 { "the one router".to_owned() } else { format!("all {count} routers") }
}

fn late(args: &WaitArgs, last: &GetStatusResponse) -> Failure {
    let (revision, timeout) = (args.revision, args.timeout.as_secs());
    let behind = behind(last, revision);
    Failure::NotConverged(match last.unlisted.as_str() {
        _ if last.routers.is_empty() => {
            format!("no router told within {timeout} s whether revision {revision} is applied")
        }
        "" => format!("revision {revision} is not applied after {timeout} s on {}", named(&behind)),
        why => format!(
            "after {timeout} s nobody can tell which routers are alive and have applied revision {revision}: {why}"
        ),
    })
}

/// Which they are, and how far.
fn named(routers: &[&RouterStatus]) -> String {
    let named = routers.iter().map(|r| format!("{} (at {})", r.router_id, r.applied_revision));
    named.collect::<Vec<_>>().join(", ")
}

/// One line on a terminal's second stream that says what is waited for; nothing elsewhere.
#[derive(Default)]
struct Progress {
    shown: bool,
}

impl Progress {
    fn show(&mut self, status: &GetStatusResponse, behind: &[&RouterStatus]) {
        let mut terminal = io::stderr();
        if !terminal.is_terminal() {
            return;
        }
        let (all, done) = (status.routers.len(), status.routers.len() - behind.len());
        self.shown = true;
        let told = match status.unlisted.is_empty() {
            true => format!("{done} of {all}, waiting for {}", named(behind)),
            false => "waiting for the store, which knows who is alive".to_owned(),
        };
        // Whoever waits misses nothing but the progress when it cannot be written.
        let _ = write!(terminal, "\r\u{1b}[K{told}");
        let _ = terminal.flush();
    }

    fn end(&self) {
        if self.shown {
            // As above.
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn router(id: &str, applied_revision: i64, lag_revisions: i64) -> RouterStatus {
        RouterStatus {
            router_id: id.to_owned(),
            applied_revision,
            lag_revisions,
            ..RouterStatus::default()
        }
    }

    #[test]
    fn nothing_is_waited_for_in_vain_without_saying_why() {
        let args = WaitArgs { revision: 20, timeout: Duration::from_secs(5) };
        let told = |status: &GetStatusResponse| late(&args, status).to_string();
        let routers = vec![router("r1", 20, 0)];
        let away = GetStatusResponse { routers, unlisted: "gone".to_owned(), ..Default::default() };
        assert!(told(&away).ends_with("have applied revision 20: gone"), "{}", told(&away));
        let silent = GetStatusResponse::default();
        assert!(told(&silent).starts_with("no router told within 5 s"), "{}", told(&silent));
    }

    #[test]
    fn a_router_that_lacks_nothing_is_as_far_as_the_one_that_answers() {
        let routers = vec![router("r1", 20, 0), router("r2", 15, 0), router("r3", 15, 4)];
        let status = GetStatusResponse { revision: 20, routers, ..GetStatusResponse::default() };
        assert_eq!(named(&behind(&status, 19)), "r3 (at 15)");
        assert_eq!(behind(&status, 15).len(), 0);
        assert_eq!(behind(&status, 21).len(), 3, "the answering router itself is not there yet");
    }
}
