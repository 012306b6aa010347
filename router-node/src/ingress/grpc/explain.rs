//! A dry run: where a call with these facts would go now. The same draw as for a call; nothing is sent, and
//! no record is opened.

use std::sync::Arc;

use bytes::Bytes;
use tonic::Status;
use trunkline_core::facts::Facts;
use trunkline_core::id::ModelId;
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
use crate::canary::{self, Caller};
use crate::facts::facts_of;
use crate::generations;
use crate::ledger;
use crate::pipeline::{self, Router};
use crate::view::View;

/// The prompt of a call that nobody described, in tokens: no call is without one, and with none every price
/// would be the same.
pub const USUAL_PROMPT: u64 = 1_000;

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
    let session = asked.session_id.as_deref();
    let caller = Caller { key: holder.tenant.key.as_str(), session, user: None };
    let view = &canary::dry_side_of(view, &caller);
    let facts = facts(view, holder, asked)?;
    Ok(Decision { facts: Some(given), ..decide(router, view, holder, facts, seed) })
}

/// Draws as a call of `holder` with these facts would be drawn for now.
pub fn decide(
    router: &Router,
    view: &Arc<View>,
    holder: &KeyHolder,
    facts: Facts,
    seed: u64,
) -> Decision {
    let plan = Arc::new(pipeline::draw(view, holder, &facts, seed, router.clock.now_ms()));
    let strategy = strategy_name(&view.snapshot, &facts).to_owned();
    let said = facts_message(&facts);
    let drawn = ledger::Decision { view: Arc::clone(view), plan, seed, facts };
    Decision {
        strategy,
        facts: Some(said),
        table_digest: decision::hex(&view.table.digest),
        ..decision::message(&generations::decision_of(drawn))
    }
}

/// What decisions know of a call. The name that was asked for is not among it, only what it stands for.
pub fn facts_message(facts: &Facts) -> RouteFacts {
    let mut models = facts.models.iter().map(ModelId::to_string);
    RouteFacts {
        model: models.next().unwrap_or_default(),
        models: models.collect(),
        prompt_tokens: facts.input_tokens,
        max_completion_tokens: facts.max_output_tokens,
        tools: facts.needs.tools,
        json_schema: facts.needs.json_schema,
        images: facts.needs.images,
        parameters: facts.parameters.clone(),
        ..RouteFacts::default()
    }
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
    peek.images = usize::from(given.images);
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
pub fn strategy_name(snapshot: &Snapshot, facts: &Facts) -> &'static str {
    let policy = &snapshot.policy;
    let model = facts.models.first();
    model.map_or(policy.strategy, |model| Snapshot::strategy(policy, model)).as_str()
}
