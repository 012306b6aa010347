//! OpenTelemetry's own variables, as its specification has them: whoever sets them for every program of a
//! machine or cluster need not say the same again in the file. They win over the file, as variables do.

use trunkline_spec::Problems;
use trunkline_spec::catalog::SecretEntry;

use super::file::ConfigFile;
use super::tracing_entry::{OtlpEntry, ProtocolEntry};

/// The variables and what they stand for, for the reference.
pub(super) const VARIABLES: [(&str, &str); 13] = [
    ("OTEL_SDK_DISABLED", "`true` makes no spans"),
    ("OTEL_TRACES_EXPORTER", "`none` makes no spans, `otlp` makes some also without an endpoint"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "`endpoint`; for HTTP, `/v1/traces` is added"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "`endpoint`, path included"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "`protocol`; also `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "`headers`; also `OTEL_EXPORTER_OTLP_TRACES_HEADERS`"),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "`tls.ca`"),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "`tls.cert`"),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "`tls.key`"),
    ("OTEL_TRACES_SAMPLER", "`sample_ratio` and, without `parentbased_`, `follow_callers: false`"),
    ("OTEL_TRACES_SAMPLER_ARG", "`sample_ratio`"),
    ("OTEL_SERVICE_NAME", "`service_name`"),
    ("OTEL_RESOURCE_ATTRIBUTES", "`attributes`, added to those of the file"),
];

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Puts what the variables say in place of what the file says. An empty variable says nothing.
///
/// # Errors
/// Every variable whose value cannot be used.
pub(super) fn apply(
    file: &mut ConfigFile,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(), Problems> {
    let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let is = |name: &str, word: &str| set(name).is_some_and(|v| v.eq_ignore_ascii_case(word));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        file.tracing.otlp = None;
        return Ok(());
    }
    let (general, own) = (set(ENDPOINT), set(TRACES_ENDPOINT));
    if general.is_some() || own.is_some() || is("OTEL_TRACES_EXPORTER", "otlp") {
        file.tracing.otlp.get_or_insert_default();
    }
    let Some(otlp) = &mut file.tracing.otlp else { return Ok(()) };
    let mut problems = Problems::default();
    protocol(otlp, &set, &mut problems);
    if let Some(base) = general {
        let path = match otlp.protocol {
            ProtocolEntry::HttpProtobuf => "/v1/traces",
            ProtocolEntry::Grpc => "",
        };
        otlp.endpoint = format!("{}{path}", base.trim_end_matches('/'));
    }
    put(&mut otlp.endpoint, own);
    if let Some(name) = HEADERS.into_iter().find(|name| set(name).is_some()) {
        otlp.headers = Some(SecretEntry::Env(name.to_owned()));
    }
    tls(otlp, &set);
    sampler(otlp, &set, &mut problems);
    put(&mut otlp.service_name, set("OTEL_SERVICE_NAME"));
    attributes(otlp, set(ATTRIBUTES), &mut problems);
    problems.or(())
}

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn protocol(otlp: &mut OtlpEntry, set: &impl Fn(&str) -> Option<String>, to: &mut Problems) {
    let Some((name, value)) = PROTOCOLS.into_iter().find_map(|name| Some((name, set(name)?)))
    else {
        return;
    };
    match value.as_str() {
        "grpc" => otlp.protocol = ProtocolEntry::Grpc,
        "http/protobuf" => otlp.protocol = ProtocolEntry::HttpProtobuf,
        other => {
            to.add(name, format!("`{other}` is not spoken here; use `http/protobuf` or `grpc`"))
        }
    }
}

/// A path given here is relative to the working directory.
fn tls(otlp: &mut OtlpEntry, set: &impl Fn(&str) -> Option<String>) {
    let here = |name: &str| Some(super::cli::here(set(name)?.as_ref()));
    for (place, name) in [
        (&mut otlp.tls.ca, "OTEL_EXPORTER_OTLP_CERTIFICATE"),
        (&mut otlp.tls.cert, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
        (&mut otlp.tls.key, "OTEL_EXPORTER_OTLP_CLIENT_KEY"),
    ] {
        if let Some(path) = here(name) {
            *place = Some(path);
        }
    }
}

fn sampler(otlp: &mut OtlpEntry, set: &impl Fn(&str) -> Option<String>, to: &mut Problems) {
    let share = set(SAMPLER_ARG).and_then(|text| {
        let share = text.parse().ok();
        if share.is_none() {
            to.add(SAMPLER_ARG, format!("`{text}` is no share; use 0 to 1"));
        }
        share
    });
    let Some(word) = set(SAMPLER) else {
        put(&mut otlp.sample_ratio, share);
        return;
    };
    otlp.follow_callers = word.starts_with("parentbased_");
    match word.strip_prefix("parentbased_").unwrap_or(&word) {
        "always_on" => otlp.sample_ratio = 1.0,
        "always_off" => otlp.sample_ratio = 0.0,
        "traceidratio" => otlp.sample_ratio = share.unwrap_or(1.0),
        _ => to.add(SAMPLER, format!("`{word}` is not known here; use `parentbased_traceidratio`")),
    }
}

fn attributes(otlp: &mut OtlpEntry, list: Option<String>, to: &mut Problems) {
    match crate::traces::export::pairs(list.as_deref().unwrap_or_default()) {
        Ok(pairs) => otlp.attributes.extend(pairs),
        Err(message) => to.add(ATTRIBUTES, message),
    }
    // The specification lets the service's name be given here, too, with less weight.
    if let Some(name) = otlp.attributes.remove("service.name") {
        otlp.service_name = if otlp.service_name == OtlpEntry::default().service_name {
            name
        } else {
            otlp.service_name.clone()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(variables: &[(&str, &str)]) -> Result<Option<OtlpEntry>, Problems> {
        let mut file = ConfigFile::default();
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name);
        apply(&mut file, |name| find(name).map(|(_, value)| (*value).to_owned()))?;
        Ok(file.tracing.otlp)
    }

    #[test]
    fn nothing_is_made_unless_somebody_asks_for_it() {
        assert_eq!(applied(&[]).unwrap(), None);
        assert_eq!(applied(&[("OTEL_SERVICE_NAME", "x"), (ENDPOINT, " ")]).unwrap(), None);
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(applied(&[(ENDPOINT, "http://c:4318"), off]).unwrap(), None);
        }
        let default = applied(&[("OTEL_TRACES_EXPORTER", "otlp")]).unwrap();
        assert_eq!(default, Some(OtlpEntry::default()));
    }

    #[test]
    fn an_endpoint_is_a_base_unless_it_is_that_of_traces() {
        let endpoint = |variables: &[(&str, &str)]| applied(variables).unwrap().unwrap().endpoint;
        assert_eq!(endpoint(&[(ENDPOINT, "http://c:4318/")]), "http://c:4318/v1/traces");
        let grpc = (PROTOCOLS[1], "grpc");
        assert_eq!(endpoint(&[(ENDPOINT, "http://c:4317"), grpc]), "http://c:4317");
        let both = [(ENDPOINT, "http://c:4318"), (TRACES_ENDPOINT, "http://t/in")];
        assert_eq!(endpoint(&both), "http://t/in");
    }

    #[test]
    fn every_sampler_of_the_specification_is_understood() {
        let with = |sampler: &str| {
            let variables = [(ENDPOINT, "http://c"), (SAMPLER, sampler), (SAMPLER_ARG, "0.25")];
            let otlp = applied(&variables).unwrap().unwrap();
            (otlp.sample_ratio, otlp.follow_callers)
        };
        assert_eq!(with("always_on"), (1.0, false));
        assert_eq!(with("parentbased_always_off"), (0.0, true));
        assert_eq!(with("traceidratio"), (0.25, false));
        assert_eq!(with("parentbased_traceidratio"), (0.25, true));
        let arg_alone = applied(&[(ENDPOINT, "http://c"), (SAMPLER_ARG, "0.5")]).unwrap();
        assert_eq!(
            arg_alone.map(|otlp| (otlp.sample_ratio, otlp.follow_callers)),
            Some((0.5, true))
        );
    }

    #[test]
    fn attributes_and_headers_are_taken_and_secrets_only_by_name() {
        let variables = [
            (ENDPOINT, "http://c"),
            (HEADERS[1], "authorization=Bearer%20secret"),
            (ATTRIBUTES, "deployment.environment.name=prod,service.name=edge"),
        ];
        let otlp = applied(&variables).unwrap().unwrap();
        assert_eq!(otlp.headers, Some(SecretEntry::Env(HEADERS[1].to_owned())));
        assert_eq!(otlp.attributes["deployment.environment.name"], "prod");
        assert_eq!(otlp.service_name, "edge");
        assert!(!format!("{otlp:?}").contains("secret"));
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_variable() {
        for (name, value, remedy) in [
            (PROTOCOLS[0], "http/json", "use `http/protobuf` or `grpc`"),
            (SAMPLER, "jaeger_remote", "use `parentbased_traceidratio`"),
            (SAMPLER_ARG, "much", "use 0 to 1"),
            (ATTRIBUTES, "novalue", "name=value"),
        ] {
            let problems = applied(&[(ENDPOINT, "http://c"), (name, value)]).unwrap_err();
            let told = problems.to_string();
            assert!(told.starts_with(name) && told.contains(remedy), "{told}");
        }
    }
}
