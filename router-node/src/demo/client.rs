//! The tour's caller: small requests over real sockets, as any program would send them.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use trunkline_runtime::BoxError;

/// A caller with an API key.
pub struct Client {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    base: String,
    key: String,
}

impl Client {
    /// A caller of the router at `address`.
    pub fn new(address: SocketAddr, key: &str) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { http, base: format!("http://{address}"), key: format!("Bearer {key}") }
    }

    /// Posts JSON: status, body, generation id.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<(u16, Bytes, String), BoxError> {
        self.send(Method::POST, path, body.to_string()).await
    }

    /// Gets a page of JSON.
    ///
    /// # Errors
    /// When there is no whole answer, or it is not JSON.
    pub async fn get(&self, path: &str) -> Result<Value, BoxError> {
        let (_, body, _) = self.send(Method::GET, path, String::new()).await?;
        Ok(serde_json::from_slice(&body)?)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<(u16, Bytes, String), BoxError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", &self.key)
            .body(Full::from(body))?;
        let response = self.http.request(request).await?;
        let status = response.status().as_u16();
        let generation = response.headers().get("x-trunkline-generation-id");
        let generation = generation.and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        Ok((status, response.into_body().collect().await?.to_bytes(), generation))
    }
}
