//! The collector of spans: its entry in the file → what the exporter needs.

use trunkline_runtime::otlp::{CollectorTls, Protocol};

use super::Reading;
use crate::config::Tracing;
use crate::config::tracing_entry::{OtlpEntry, ProtocolEntry};
use crate::traces::{Callers, Sampler};

/// Where OTLP/HTTP takes spans, by convention.
const TRACES_PATH: &str = "/v1/traces";

impl Reading<'_> {
    pub(super) fn tracing(&mut self, entry: &OtlpEntry) -> Tracing {
        let path = "tracing.otlp";
        if !(0.0..=1.0).contains(&entry.sample_ratio) {
            let message = format!("{} is no share; use 0 to 1", entry.sample_ratio);
            self.problems.add(format!("{path}.sample_ratio"), message);
        }
        let tls = &entry.tls;
        let tls_path = format!("{path}.tls");
        Tracing {
            endpoint: self.collector(entry),
            protocol: match entry.protocol {
                ProtocolEntry::HttpProtobuf => Protocol::HttpProtobuf,
                ProtocolEntry::Grpc => Protocol::Grpc,
            },
            sampler: Sampler {
                ratio: entry.sample_ratio,
                callers: if entry.follow_callers { Callers::Followed } else { Callers::Overruled },
            },
            headers: entry.headers.as_ref().map(|e| self.secret(&format!("{path}.headers"), e)),
            tls: CollectorTls {
                ca: self.optional(&format!("{tls_path}.ca"), tls.ca.as_ref()),
                identity: self.identity(&tls_path, tls.cert.as_ref(), tls.key.as_ref()),
            },
            service_name: entry.service_name.clone(),
            attributes: entry.attributes.clone(),
        }
    }

    fn collector(&mut self, entry: &OtlpEntry) -> http::Uri {
        let text = entry.endpoint.trim_end_matches('/');
        let bare = text.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
        let path =
            if bare && entry.protocol == ProtocolEntry::HttpProtobuf { TRACES_PATH } else { "" };
        let url: Option<http::Uri> = format!("{text}{path}").parse().ok();
        let known = |url: &http::Uri| matches!(url.scheme_str(), Some("http" | "https"));
        let url = url.filter(|url| known(url) && url.host().is_some_and(|host| !host.is_empty()));
        url.unwrap_or_else(|| {
            let message =
                format!("`{}` is not a URL; write `http://HOST:4318`", text.escape_debug());
            self.problems.add("tracing.otlp.endpoint", message);
            http::Uri::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use trunkline_spec::load;

    use super::*;
    use crate::config::ConfigFile;

    fn told(otlp: &str) -> Result<Tracing, String> {
        let file = load::<ConfigFile>(&format!("tracing: {{otlp: {otlp}}}")).unwrap().document;
        let config = super::super::resolve(&file, Path::new("conf"));
        config.map(|config| config.tracing.unwrap()).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_collector_by_http_has_a_path_and_one_by_grpc_none() {
        let at = |otlp: &str| told(otlp).unwrap().endpoint.to_string();
        assert_eq!(at("{}"), "http://localhost:4318/v1/traces");
        assert_eq!(at("{endpoint: 'https://c:4318/'}"), "https://c:4318/v1/traces");
        assert_eq!(at("{endpoint: 'http://c/otel/in'}"), "http://c/otel/in");
        assert_eq!(at("{endpoint: 'http://c:4317', protocol: grpc}"), "http://c:4317/");
    }

    #[test]
    fn files_are_relative_to_that_of_the_configuration() {
        let tracing = told("{tls: {ca: ca.pem}, headers: {file: token}}").unwrap();
        assert_eq!(tracing.tls.ca.as_deref(), Some(Path::new("conf/ca.pem")));
        assert_eq!(
            tracing.headers,
            Some(trunkline_core::catalog::SecretRef::File("conf/token".into()))
        );
        let mut problems = trunkline_spec::Problems::default();
        tracing.check(&mut problems);
        let all = problems.to_string();
        assert!(all.contains("tracing.otlp.tls.ca: `conf/ca.pem` cannot be read"), "{all}");
        assert!(all.contains("tracing.otlp.headers: the secret file `conf/token`"), "{all}");
    }

    #[test]
    fn mistakes_are_told_with_their_remedy() {
        for (otlp, part) in [
            ("{endpoint: 'collector:4318'}", "write `http://HOST:4318`"),
            ("{endpoint: 'ftp://c'}", "tracing.otlp.endpoint: `ftp://c` is not a URL"),
            ("{sample_ratio: 1.5}", "tracing.otlp.sample_ratio: 1.5 is no share; use 0 to 1"),
            ("{tls: {cert: a}}", "tracing.otlp.tls: `cert` and `key` belong together"),
        ] {
            let found = told(otlp).unwrap_err();
            assert!(found.contains(part), "{otlp}\n{found}");
        }
    }
}
