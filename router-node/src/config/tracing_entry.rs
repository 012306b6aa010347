//! Where spans of calls go: the file's keys with their defaults, and what they become. OpenTelemetry's own
//! variables are in `otel`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trunkline_core::catalog::SecretRef;
use trunkline_runtime::otlp::{CollectorTls, Protocol};
use trunkline_spec::Problems;
use trunkline_spec::catalog::SecretEntry;

use crate::traces::Sampler;
use crate::traces::export::headers;

/// `service.name` of a router that is not told another.
const SERVICE_NAME: &str = "trunkline-router";
/// Where a collector on the same machine listens.
const ENDPOINT: &str = "http://localhost:4318";

/// Spans of calls, for OpenTelemetry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TracingEntry {
    /// The collector that gets them, by OTLP.
    pub otlp: Option<OtlpEntry>,
}

/// A collector that takes OTLP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpEntry {
    /// Where it listens: a URL such as `http://otel-collector:4318`, or `:4317` for gRPC. For HTTP, `/v1/traces` is added when it has no path.
    pub endpoint: String,
    /// How it speaks.
    pub protocol: ProtocolEntry,
    /// The share of calls that spans are made of, when their callers did not decide: 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample_ratio: f64,
    /// Whether the sampled flag of a caller's `traceparent` decides. With `false` its trace is joined all the same, and `sample_ratio` decides.
    pub follow_callers: bool,
    /// Where headers for it are found, such as a token: one line of `name=value` pairs with commas between, values percent-encoded. Read again for each batch.
    pub headers: Option<SecretEntry>,
    /// How an `https://` collector is checked, and who we are to it.
    pub tls: CollectorTlsEntry,
    /// `service.name` of the spans.
    pub service_name: String,
    /// Further attributes of this router, such as `deployment.environment.name`.
    pub attributes: BTreeMap<String, String>,
}

impl Default for OtlpEntry {
    fn default() -> Self {
        Self {
            endpoint: ENDPOINT.to_owned(),
            protocol: ProtocolEntry::default(),
            sample_ratio: 1.0,
            follow_callers: true,
            headers: None,
            tls: CollectorTlsEntry::default(),
            service_name: SERVICE_NAME.to_owned(),
            attributes: BTreeMap::new(),
        }
    }
}

/// How a collector speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProtocolEntry {
    /// OTLP/HTTP with protobuf bodies; most often port 4318.
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    /// OTLP/gRPC; most often port 4317.
    #[serde(rename = "grpc")]
    Grpc,
}

/// TLS to a collector. All files are PEM, and are read again for every connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CollectorTlsEntry {
    /// Who signed its certificate; those whom the system trusts when left out.
    pub ca: Option<String>,
    /// Our certificate, when it asks for one.
    pub cert: Option<String>,
    /// The key of our certificate.
    pub key: Option<String>,
}

/// Where spans of calls go.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    /// Scheme, host and port of the collector; for HTTP with the path.
    pub endpoint: http::Uri,
    /// How it speaks.
    pub protocol: Protocol,
    /// Which calls are told of.
    pub sampler: Sampler,
    /// Where headers for it are found.
    pub headers: Option<SecretRef>,
    /// TLS to it.
    pub tls: CollectorTls,
    /// `service.name`.
    pub service_name: String,
    /// Further attributes of this router.
    pub attributes: BTreeMap<String, String>,
}

impl Tracing {
    /// Tells what of it cannot be read.
    pub(super) fn check(&self, problems: &mut Problems) {
        let mut readable = |path: &str, file: &std::path::Path| {
            super::bootstrap::readable(&format!("tracing.otlp.tls.{path}"), file, problems);
        };
        if let Some(ca) = &self.tls.ca {
            readable("ca", ca);
        }
        if let Some((cert, key)) = &self.tls.identity {
            readable("cert", cert);
            readable("key", key);
        }
        if let Err(message) = headers(self.headers.as_ref()) {
            problems.add("tracing.otlp.headers", message);
        }
    }
}
