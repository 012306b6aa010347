//! The exporter of a configuration: where spans go, with which headers, and who this router is.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use trunkline_core::catalog::SecretRef;
use trunkline_runtime::otlp::message::KeyValue;
use trunkline_runtime::otlp::{Collector, Exporter, Spans};

use super::telemetry;
use crate::config::{self, Tracing};
use crate::register::Identity;

/// The exporter, and the way to it.
pub fn exporter(tracing: &Tracing, identity: &Identity) -> (Spans, Exporter) {
    let reference = tracing.headers.clone();
    let collector = Collector {
        endpoint: tracing.endpoint.clone(),
        protocol: tracing.protocol,
        tls: tracing.tls.clone(),
        headers: Arc::new(move || headers(reference.as_ref())),
    };
    let mut resource = vec![
        KeyValue::new("service.name", tracing.service_name.as_str()),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", &*identity.node),
        KeyValue::new("trunkline.zone", identity.zone.as_str()),
    ];
    let named = |key: &str| resource.iter().any(|attribute| attribute.key == key);
    let further = tracing.attributes.iter().filter(|(key, _)| !named(key));
    let further: Vec<_> = further.map(|(key, value)| KeyValue::new(key, value.as_str())).collect();
    resource.extend(further);
    Exporter::new(collector, resource, telemetry::tell())
}

/// The headers that a secret holds. The reason why there are none never repeats it.
///
/// # Errors
/// The reason.
pub fn headers(reference: Option<&SecretRef>) -> Result<HeaderMap, String> {
    let Some(reference) = reference else { return Ok(HeaderMap::new()) };
    let text = config::secret(reference).map_err(|error| error.to_string())?;
    let mut headers = HeaderMap::new();
    for (name, value) in pairs(&text)? {
        let name = HeaderName::try_from(name.to_ascii_lowercase());
        let value = HeaderValue::try_from(value);
        let (Ok(name), Ok(mut value)) = (name, value) else {
            return Err("it holds what no header may be; write name=value".to_owned());
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// `name=value` pairs with commas between, values percent-encoded, as OpenTelemetry writes them.
///
/// # Errors
/// What would be right; never what was found, which may be a secret.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mistake = || "expected name=value pairs with commas between, values percent-encoded";
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let pairs = parts.map(|part| {
        let (name, value) = part.split_once('=').ok_or_else(mistake)?;
        let name = name.trim();
        let value = decoded(value.trim()).filter(|_| !name.is_empty()).ok_or_else(mistake)?;
        Ok((name.to_owned(), value))
    });
    pairs.collect::<Result<_, &str>>().map_err(str::to_owned)
}

/// Percent-encoded text; `None` when it is none.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_as_opentelemetry_writes_them() {
        let read = pairs(" authorization=Bearer%20a%3Db , x-tenant=1=2,,").unwrap();
        let expected = [("authorization", "Bearer a=b"), ("x-tenant", "1=2")];
        assert_eq!(read, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        for wrong in ["secret", "=secret", "a=%zz", "a=%e", "a=%ff"] {
            let told = pairs(wrong).unwrap_err();
            assert!(!told.contains("secret"), "{told}");
        }
    }
}
