//! Callers over gRPC, many on each connection.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use http::HeaderValue;
use tokio::time::Instant;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use trunkline_proto::inference::v1::inference_service_client::InferenceServiceClient;
use trunkline_proto::inference::v1::{ChatRequest, ChatResponse, Message, Role, message};

use super::super::dialect::{
    ANSWER_MARK, ANSWER_TOKENS, KEY, MODEL, PROMPT_TOKENS, SYSTEM, prompt,
};
use super::Marks;

/// One connection.
pub(super) async fn connect(target: SocketAddr) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{target}"))?.tcp_nodelay(true);
    endpoint.connect().await.context("cannot connect")
}

/// Asks for whole answers until measuring is over.
pub(super) async fn call(channel: Channel, marks: &mut Marks) -> anyhow::Result<()> {
    let mut client = InferenceServiceClient::new(channel);
    let key = HeaderValue::try_from(format!("Bearer {KEY}"))?;
    let key = AsciiMetadataValue::try_from(key.as_bytes())?;
    let asked = question();
    while !marks.is_over() {
        let begun = Instant::now();
        let mut request = tonic::Request::new(asked.clone());
        request.metadata_mut().insert("authorization", key.clone());
        let response = client.chat(request).await.context("a call over gRPC failed")?;
        check(response.get_ref())?;
        marks.call(begun);
    }
    Ok(())
}

fn question() -> ChatRequest {
    let said = |role: Role, text: String| Message {
        role: role.into(),
        body: Some(message::Body::Content(text)),
        ..Message::default()
    };
    ChatRequest {
        model: MODEL.to_owned(),
        messages: vec![said(Role::System, SYSTEM.to_owned()), said(Role::User, prompt(None))],
        temperature: Some(0.7),
        max_tokens: Some(256),
        ..ChatRequest::default()
    }
}

fn check(response: &ChatResponse) -> anyhow::Result<()> {
    let message = response.choices.first().and_then(|choice| choice.message.as_ref());
    let text = match message.and_then(|message| message.body.as_ref()) {
        Some(message::Body::Content(text)) => text.as_str(),
        Some(message::Body::Parts(_)) | None => "",
    };
    let total = response.usage.as_ref().map(|usage| usage.total_tokens);
    let right = text.contains(ANSWER_MARK)
        && response.model == MODEL
        && total == Some(PROMPT_TOKENS + ANSWER_TOKENS);
    if !right {
        bail!("not the upstream's answer: {response:?}");
    }
    Ok(())
}
