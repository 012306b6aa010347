//! Carries a fault out on an answer: pure rewriting of an [`Answer`] or a [`Script`].
//! Faults that are nothing but an error answer are in `refusal.rs`; outages are in `line.rs`.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::answer::{Answer, Finish};
use crate::ask::Dialect;
use crate::fault::Fault;
use crate::refusal::Refusal;
use crate::script::{Opening, Script, Step};

/// The largest event that [`Fault::HugeChunk`] makes.
const HUGE_BYTES_MAX: u32 = 64 << 20;

/// What a fault needs to know of the answer that it ruins.
pub struct Scene<'a> {
    /// The dialect, for errors and comments.
    pub dialect: Dialect,
    /// The number of the request.
    pub id: u64,
    /// How the answer is delivered.
    pub delivery: Delivery,
    /// Makes an event whose content has so many bytes.
    pub huge_event: &'a dyn Fn(usize) -> Bytes,
}

/// How an answer is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In one piece.
    Whole,
    /// As events.
    Streamed,
}

/// Changes what is answered.
pub fn ruin_answer(answer: &mut Answer, fault: &Fault) {
    if *fault == Fault::EmptyCompletion {
        answer.stop_after(0, Finish::Stop);
    } else if let Fault::ContentFilter { after } = fault {
        answer.stop_after(*after, Finish::ContentFilter);
    }
}

/// Changes how it is sent.
#[must_use]
pub fn ruin_script(mut script: Script, fault: &Fault, scene: &Scene<'_>) -> Script {
    match fault {
        Fault::Reset | Fault::Refuse { .. } | Fault::Flap { .. } => script.opening = Opening::Reset,
        Fault::BlackHole => script.opening = Opening::Never,
        Fault::SlowHeaders { delay_ms } => script.opening = Opening::After(millis(*delay_ms)),
        Fault::SlowFirstToken { delay_ms } => {
            script.opening = Opening::AtOnce;
            script.steps.insert(0, Step::Wait(millis(*delay_ms)));
        }
        Fault::WrongContentType => return html_page(),
        Fault::GzipBomb { inflated_bytes } => {
            script.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            script.steps = vec![Step::Bomb(*inflated_bytes)];
        }
        other => script.steps = ruin_steps(script.steps, other, scene),
    }
    script
}

fn ruin_steps(steps: Vec<Step>, fault: &Fault, scene: &Scene<'_>) -> Vec<Step> {
    match fault {
        Fault::Stall { after } => ended_by(steps, *after, Some(Step::Silence), scene),
        Fault::Cut { after } => ended_by(steps, *after, Some(Step::Abort), scene),
        Fault::CutReset { after } => ended_by(steps, *after, Some(Step::Reset), scene),
        Fault::EarlyEof { after } => ended_by(steps, *after, None, scene),
        Fault::NoDone => {
            steps.into_iter().filter(|step| !matches!(step, Step::Terminal(_))).collect()
        }
        Fault::MalformedChunk { after } => match scene.delivery {
            Delivery::Whole => ended_by(steps, *after, None, scene),
            Delivery::Streamed => inserted(steps, *after, broken_event()),
        },
        Fault::HugeChunk { after, bytes } => with_huge_chunk(steps, *after, *bytes, scene),
        Fault::BadJson => match scene.delivery {
            Delivery::Whole => ended_by(steps, 0, None, scene),
            Delivery::Streamed => steps.into_iter().map(broken).collect(),
        },
        Fault::ErrorInOk { after } => with_error(steps, *after, scene),
        Fault::CommentsOnly { every_ms } => {
            vec![Step::Repeat(comment(scene), millis((*every_ms).max(1)))]
        }
        // The others change the answer, the head or the connection, or replace the whole script.
        Fault::Refuse { .. }
        | Fault::Flap { .. }
        | Fault::Reset
        | Fault::BlackHole
        | Fault::SlowHeaders { .. }
        | Fault::SlowFirstToken { .. }
        | Fault::GzipBomb { .. }
        | Fault::WrongContentType
        | Fault::Status { .. }
        | Fault::EmptyCompletion
        | Fault::ContentFilter { .. }
        | Fault::ContentPolicy
        | Fault::ContextLength
        | Fault::ModelNotFound
        | Fault::RateLimit { .. }
        | Fault::EchoRequest { .. } => steps,
    }
}

fn with_huge_chunk(steps: Vec<Step>, after: u32, bytes: u32, scene: &Scene<'_>) -> Vec<Step> {
    let bytes = usize::try_from(bytes.min(HUGE_BYTES_MAX)).unwrap_or(usize::MAX);
    match scene.delivery {
        Delivery::Whole => {
            let blanks = Step::Frame(Bytes::from(vec![b' '; bytes]));
            std::iter::once(blanks).chain(steps).collect()
        }
        Delivery::Streamed => inserted(steps, after, (scene.huge_event)(bytes)),
    }
}

fn with_error(steps: Vec<Step>, after: u32, scene: &Scene<'_>) -> Vec<Step> {
    let error = Refusal::of_status(500).body(scene.dialect, scene.id);
    let event = match (scene.delivery, scene.dialect) {
        (Delivery::Whole, _) => return vec![Step::Frame(error.to_string().into())],
        (Delivery::Streamed, Dialect::Anthropic) => crate::anthropic::event(&error),
        (Delivery::Streamed, Dialect::Chat | Dialect::Completion | Dialect::Plain) => {
            format!("data: {error}\n\n").into()
        }
    };
    error_after(steps, after, event)
}

/// The first tokens (when whole: half of the body), then this last step.
fn ended_by(steps: Vec<Step>, after: u32, last: Option<Step>, scene: &Scene<'_>) -> Vec<Step> {
    let kept = match scene.delivery {
        Delivery::Streamed => Script::first_tokens(steps, after),
        Delivery::Whole => steps.into_iter().map(half).collect(),
    };
    kept.into_iter().chain(last).collect()
}

fn half(step: Step) -> Step {
    match step {
        Step::Data(bytes, tokens) => Step::Data(bytes.slice(..bytes.len() / 2), tokens / 2),
        other => other,
    }
}

fn inserted(mut steps: Vec<Step>, after: u32, event: Bytes) -> Vec<Step> {
    let at = Script::position_after(&steps, after);
    steps.insert(at, Step::Frame(event));
    steps
}

/// The first tokens and then the error; with none, nothing at all comes before the error.
fn error_after(steps: Vec<Step>, after: u32, event: Bytes) -> Vec<Step> {
    let kept = match after {
        0 => steps.into_iter().take_while(|step| matches!(step, Step::Wait(_))).collect(),
        _ => Script::first_tokens(steps, after),
    };
    kept.into_iter().chain([Step::Frame(event)]).collect()
}

fn broken(step: Step) -> Step {
    match step {
        Step::Data(_, _) | Step::Frame(_) => Step::Frame(broken_event()),
        other => other,
    }
}

fn broken_event() -> Bytes {
    Bytes::from_static(b"data: {\"id\":\"broken\",\"choices\":[{\"index\":0,\"del\n\n")
}

/// What a provider sends to keep an idle connection open.
fn comment(scene: &Scene<'_>) -> Bytes {
    Bytes::from_static(match (scene.delivery, scene.dialect) {
        (Delivery::Whole, _) => b"\n",
        (Delivery::Streamed, Dialect::Anthropic) => b"event: ping\ndata: {\"type\":\"ping\"}\n\n",
        (Delivery::Streamed, Dialect::Chat | Dialect::Completion | Dialect::Plain) => {
            b": keep-alive\n\n"
        }
    })
}

fn html_page() -> Script {
    let page = b"<!doctype html><title>Welcome</title><p>Please log in to the network.</p>\n";
    let steps = vec![Step::Frame(Bytes::from_static(page))];
    Script::new(StatusCode::OK, "text/html; charset=utf-8", steps)
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
