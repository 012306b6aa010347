//! Why a call went where it went, drawn again from its record; and where a call would go now. Both draw with
//! the function that calls are drawn with.

use bytes::Bytes;
use futures_util::StreamExt;
use http::HeaderValue;
use serde_json::{Map, Value, json};
use tonic::Status;
use trunkline_core::id::KeyId;
use trunkline_proto::admin::v1::{
    ExplainRequest, ExplainResponse, ExplainRouteRequest, ExplainRouteResponse,
};
use trunkline_proto::inference::v1::{Decision, Generation};
use trunkline_wire::operation::Operation;
use trunkline_wire::request::Peek;

use super::peers::{self, Question, Said};
use super::{Admin, Admitted, refusal};
use crate::canary::{self, Caller};
use crate::facts::facts_of;
use crate::generations::{Explained, Replayed};
use crate::ingress::grpc::{
    USUAL_PROMPT, decide, decision_message, digest_hex, facts_message, generation_message, refused,
    strategy_name,
};

/// The record of a call, and its decision taken again. `credential` is the operator's, for other routers.
///
/// # Errors
/// When no router that could be asked has the record.
pub async fn call(
    admin: &Admin,
    by: &Admitted,
    asked: &ExplainRequest,
    credential: Option<HeaderValue>,
) -> Result<ExplainResponse, Status> {
    let id = &asked.generation_id;
    admin.router.ledger.written().await;
    if let Some(explained) = admin.router.generations.explain(id) {
        return Ok(answer(admin, by, &explained));
    }
    if asked.only_here {
        return Err(refusal::unknown_generation(id, 1, &[]));
    }
    elsewhere(admin, by, id, credential).await
}

/// The record of a call from whichever other router has it.
async fn elsewhere(
    admin: &Admin,
    by: &Admitted,
    id: &str,
    credential: Option<HeaderValue>,
) -> Result<ExplainResponse, Status> {
    let message = ExplainRequest { generation_id: id.to_owned(), only_here: true };
    let question = Question { message, credential, patience: peers::DEADLINE };
    let said =
        peers::ask(admin, by, question, |mut peer, asked| async move { peer.explain(asked).await });
    let (mut asked, mut silent) = (1, Vec::new());
    let mut said = std::pin::pin!(said.await);
    while let Some((router, said)) = said.next().await {
        asked += 1;
        match said {
            Said::Answer(found) => return Ok(*found),
            Said::NotThere => {}
            Said::Silent => silent.push(router),
        }
    }
    silent.sort();
    Err(refusal::unknown_generation(id, asked, &silent))
}

fn answer(admin: &Admin, by: &Admitted, explained: &Explained) -> ExplainResponse {
    let replayed = explained.replayed.as_ref();
    let decision = explained.generation.decision.as_ref().zip(replayed);
    let generation = Generation {
        decision: decision.map(|(taken, again)| complete(decision_message(taken), again)),
        router_id: admin.identity.node.to_string(),
        ..generation_message(&explained.generation)
    };
    ExplainResponse {
        revision: by.revision(),
        generation: Some(generation),
        replayed: replayed.map(|again| complete(decision_message(&again.decision), again)),
        identical: replayed.is_some_and(|again| again.identical),
    }
}

/// Adds what a record keeps for a replay and what its caller is not told.
fn complete(decision: Decision, replayed: &Replayed) -> Decision {
    Decision {
        strategy: strategy_name(&replayed.snapshot, &replayed.facts).to_owned(),
        facts: Some(facts_message(&replayed.facts)),
        table_digest: digest_hex(&replayed.digest),
        ..decision
    }
}

/// Where a call would go now.
///
/// # Errors
/// When the call makes no sense, or its key or model is not there.
pub fn route(
    admin: &Admin,
    by: &Admitted,
    asked: &ExplainRouteRequest,
) -> Result<ExplainRouteResponse, Status> {
    let holder = match asked.key_id.as_str() {
        "" => &by.holder,
        id => by.view.keyring.holder(&KeyId::new(id)).ok_or_else(|| refusal::unknown_key(id))?,
    };
    let (operation, body) = body(asked)?;
    let peek = Peek::parse(operation, body).map_err(|bad| refused(&Box::new(bad.into())))?;
    let caller = Caller {
        key: holder.tenant.key.as_str(),
        session: peek.session_id.as_deref(),
        user: peek.user.as_deref(),
    };
    let view = canary::dry_side_of(&by.view, &caller);
    let facts = facts_of(&peek, &view.snapshot, &holder.tenant, None);
    let mut facts = facts.map_err(|rejection| refused(&rejection))?;
    if asked.body.is_empty() {
        facts.input_tokens = USUAL_PROMPT;
    }
    let seed = asked.seed.unwrap_or_else(|| admin.router.ledger.seed());
    let decision = decide(&admin.router, &view, holder, facts, seed);
    Ok(ExplainRouteResponse { revision: by.revision(), decision: Some(decision) })
}

/// The call as its caller would send it.
fn body(asked: &ExplainRouteRequest) -> Result<(Operation, Bytes), Status> {
    let mut call: Map<String, Value> = match &*asked.body {
        [] => Map::from_iter([("messages".to_owned(), json!([{"role": "user", "content": ""}]))]),
        body => serde_json::from_slice(body)
            .map_err(|e| refusal::bad_field("body", &format!("is not a JSON object: {e}")))?,
    };
    if !asked.model.is_empty() {
        call.insert("model".to_owned(), json!(asked.model));
    }
    if !call.contains_key("model") {
        return Err(refusal::bad_field("model", "is required, here or in the body"));
    }
    let operation = if call.contains_key("prompt") {
        Operation::Completion
    } else if call.contains_key("input") {
        Operation::Embedding
    } else {
        Operation::Chat
    };
    Ok((operation, Bytes::from(Value::Object(call).to_string())))
}
