//! A dry run: where a call with these facts would go now. The same draw as for a call; nothing is sent, and
//! no record is opened.

use std::sync::Arc;

use bytes::Bytes;
use tonic::Status;
use trunkline_core::facts::Facts;
use trunkline_core::policy::Strategy;
use trunkline_core::snapshot::Snapshot;
use trunkline_proto::inference::v1::{
    ChatRequest, Decision, ExplainRouteRequest, Message, Role, RouteFacts, message,
};
use trunkline_wire::operation::Operation;
use trunkline_wire::request::{JsonMode, Peek};

use super::call::refused;
use super::decision;
use super::transcode::request::{Reply, chat_body};
use super::transcode::{BadField, status};
use crate::auth::KeyHolder;
use crate::facts::facts_of;
use crate::generations;
use crate::ledger;
use crate::pipeline::{self, Router};
use crate::view::View;

/// The prompt of a call that nobody described, in tokens: no call is without one, and with none every price
/// would be the same.
const USUAL_PROMPT: u64 = 1_000;

/// Decides where a call of `holder` would go.
///
/// # Errors
/// The status for facts that make no sense, or a model that is not there for the key.
pub fn explain(
    router: &Router,
    view: &Arc<View>,
    holder: &KeyHolder,
    asked: ExplainRouteRequest,
) -> Result<Decision, Status> {
    let given = asked.facts.clone().unwrap_or_default();
    let seed = asked.seed.unwrap_or_else(|| router.ledger.seed());
    let facts = facts(view, holder, asked)?;
    let plan = Arc::new(pipeline::draw(router, view, holder, &facts, seed));
    let drawn = ledger::Decision { view: Arc::clone(view), plan, seed };
    let mut said = decision::message(&generations::decision_of(drawn));
    said.facts = Some(given);
    said.strategy = strategy(&view.snapshot, &facts).to_owned();
    said.table_digest = decision::hex(&view.table.digest);
    Ok(said)
}

/// The facts as a call's body would give them, so that names, suffixes and preferences mean the same.
fn facts(view: &View, holder: &KeyHolder, asked: ExplainRouteRequest) -> Result<Facts, Status> {
    let given = asked.facts.unwrap_or_default();
    check(&given).map_err(|bad| status::from_bad_field(&bad))?;
    let chat = ChatRequest {
        model: given.model,
        models: given.models,
        messages: vec![Message {
            role: Role::User.into(),
            body: Some(message::Body::Content(String::new())),
            ..Message::default()
        }],
        provider: asked.provider,
        session_id: asked.session_id,
        ..ChatRequest::default()
    };
    let body = chat_body(&chat, Reply::Whole).map_err(|bad| status::from_bad_field(&bad))?;
    let mut peek = Peek::parse(Operation::Chat, Bytes::from(body))
        .map_err(|bad| refused(&Box::new(bad.into())))?;
    peek.max_tokens = given.max_completion_tokens;
    peek.tools = given.tools;
    peek.images = given.images;
    peek.json = if given.json_schema { JsonMode::Schema } else { JsonMode::None };
    let facts = facts_of(&peek, &view.snapshot, &holder.tenant, None);
    let mut facts = facts.map_err(|rejection| refused(&rejection))?;
    facts.input_tokens = if given.prompt_tokens == 0 { USUAL_PROMPT } else { given.prompt_tokens };
    if facts.preferences.as_ref().is_some_and(|p| p.require_parameters) {
        facts.parameters = given.parameters;
    }
    Ok(facts)
}

fn check(given: &RouteFacts) -> Result<(), BadField> {
    if given.model.is_empty() {
        return Err(BadField::new("facts.model", "is required"));
    }
    if !given.jurisdictions.is_empty() {
        return Err(BadField::new("facts.jurisdictions", "is what the policy and the key say"));
    }
    Ok(())
}

/// How the weights of the model asked for are formed, in the words of the policy document.
fn strategy(snapshot: &Snapshot, facts: &Facts) -> &'static str {
    let policy = &snapshot.policy;
    let model = facts.models.first();
    match model.map_or(policy.strategy, |model| Snapshot::strategy(policy, model)) {
        Strategy::Balanced => "balanced",
        Strategy::Price => "price",
        Strategy::Latency => "latency",
        Strategy::Throughput => "throughput",
        Strategy::Order => "order",
        Strategy::InverseSquarePrice => "inverse_square_price",
    }
}
