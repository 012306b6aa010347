//! Callers' connections: HTTP/1.1 kept alive as an SDK keeps it, but without its second tries.

use std::net::SocketAddr;

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::router::KEY;

/// A client with a pool of connections.
#[derive(Clone)]
pub(super) struct Http(Client<HttpConnector, Full<Bytes>>);

/// A whole answer.
pub(super) struct Answer {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its body.
    pub(super) body: Bytes,
}

impl Default for Http {
    fn default() -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        Self(builder.retry_canceled_requests(false).build_http())
    }
}

impl Http {
    /// Gets a page.
    ///
    /// # Errors
    /// When the connection failed or ended before the page did.
    pub(super) async fn get(&self, address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, format!("http://{address}{path}"), Bytes::new()).await
    }

    /// Asks for a chat.
    ///
    /// # Errors
    /// As [`Http::get`].
    pub(super) async fn chat(&self, address: SocketAddr, ask: &Value) -> anyhow::Result<Answer> {
        let url = format!("http://{address}/v1/chat/completions");
        self.send(Method::POST, url, ask.to_string().into()).await
    }

    async fn send(&self, method: Method, url: String, body: Bytes) -> anyhow::Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json");
        let answer = self.0.request(request.body(Full::from(body))?).await.context("no answer")?;
        let status = answer.status();
        let body = answer.into_body().collect().await.context("half an answer")?.to_bytes();
        Ok(Answer { status, body })
    }
}
