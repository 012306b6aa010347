//! Which keys of the file can change while the router runs, and what a file that was read again changes. The only
//! place that knows which keys those are; the changes are carried out by `crate::reload`.

use serde_json::Value;
use trunkline_spec::Problems;

use super::{Config, ConfigFile, ServeArgs};

/// Keys that take effect at once: what is looked at for each call, each line of the log, and at the end.
const AT_ONCE: [&str; 8] = [
    "admin_roles",
    "drain.grace_ms",
    "drain.wait_ms",
    "limits.body_bytes",
    "limits.concurrency",
    "log.level",
    "tracing.otlp.follow_callers",
    "tracing.otlp.sample_ratio",
];

/// Keys that take effect at the next start: who the router is, what it is bound and connected to, and what
/// connections are made with. The contents of files that they name may be looked at again all the same.
const AT_START: [&str; 35] = [
    "admin",
    "admin_tls.cert",
    "admin_tls.client_ca",
    "admin_tls.key",
    "admin_tls.peer_name",
    "advertise_admin",
    "allow_open_admin",
    "bootstrap.catalog",
    "bootstrap.keys",
    "bootstrap.policy",
    "evidence_tls.ca",
    "evidence_tls.cert",
    "evidence_tls.key",
    "key_pepper",
    "limits.connection_age_ms",
    "limits.connections",
    "limits.streams_per_connection",
    "listen",
    "log.format",
    "node_id",
    "ops",
    "store",
    "tls.cert",
    "tls.client_ca",
    "tls.key",
    "tracing.otlp.attributes",
    "tracing.otlp.endpoint",
    "tracing.otlp.headers",
    "tracing.otlp.protocol",
    "tracing.otlp.service_name",
    "tracing.otlp.tls.ca",
    "tracing.otlp.tls.cert",
    "tracing.otlp.tls.key",
    "worker_threads",
    "zone",
];

/// What a file that was read again changes. Keys are paths such as `limits.concurrency`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that take effect at once.
    pub taken: Vec<String>,
    /// Keys that wait for the next start, or sections that came or went.
    pub waiting: Vec<String>,
}

/// Where a configuration was read, and what of it is in force.
#[derive(Debug)]
pub struct Source {
    args: ServeArgs,
    /// The file with flags and environment put in.
    in_force: Value,
}

impl Source {
    /// Reads a configuration for the first time: all of it is in force.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub fn read(args: ServeArgs) -> Result<(Config, Self), Problems> {
        let (config, file) = Config::read(&args)?;
        let in_force = tree(&file)?;
        Ok((config, Self { args, in_force }))
    }

    /// Reads it again, flags and environment on top as before. What can take effect at once counts as being in
    /// force from now on.
    ///
    /// # Errors
    /// As for [`Config::load`]; then nothing has changed.
    pub fn read_again(&mut self) -> Result<(Config, Changes), Problems> {
        let (config, file) = Config::read(&self.args)?;
        let mut changes = Changes::default();
        take("", &mut self.in_force, &tree(&file)?, &mut changes);
        Ok((config, changes))
    }
}

fn tree(file: &ConfigFile) -> Result<Value, Problems> {
    serde_json::to_value(file).map_err(|error| Problems::one("", error.to_string()))
}

/// Takes from `new` what can take effect at once, and notes what else differs.
fn take(path: &str, old: &mut Value, new: &Value, changes: &mut Changes) {
    if old == new {
        return;
    }
    if AT_ONCE.contains(&path) {
        new.clone_into(old);
        changes.taken.push(path.to_owned());
    } else if let (Value::Object(old), Value::Object(new)) = (&mut *old, new)
        && !AT_START.contains(&path)
    {
        for (key, new) in new {
            take(&below(path, key), old.entry(key.as_str()).or_insert(Value::Null), new, changes);
        }
    } else {
        changes.waiting.push(path.to_owned());
    }
}

/// The path of a key in a section.
fn below(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// Marks in the file's JSON Schema what takes effect at once, for the reference.
pub(super) fn mark(schema: &mut Value, note: &str) {
    for (path, pointer) in keys(schema) {
        let about = schema.pointer_mut(&format!("{pointer}/description"));
        if let Some(Value::String(about)) = about.filter(|_| AT_ONCE.contains(&path.as_str())) {
            about.push_str(note);
        }
    }
}

/// Every key of the file, and where its schema says what it means.
fn keys(schema: &Value) -> Vec<(String, String)> {
    let mut keys = Vec::new();
    let mut sections = vec![(String::new(), String::new())];
    while let Some((path, pointer)) = sections.pop() {
        let properties = schema.pointer(&format!("{pointer}/properties"));
        for (key, property) in properties.and_then(Value::as_object).into_iter().flatten() {
            let path = below(&path, key);
            match section(schema, property) {
                Some(target) => sections.push((path, target)),
                None => keys.push((path, format!("{pointer}/properties/{key}"))),
            }
        }
    }
    keys
}

/// Where the keys of a property that is a section are described.
fn section(schema: &Value, property: &Value) -> Option<String> {
    let choices = property.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let mut targets = choices.chain([property]).filter_map(|choice| choice.get("$ref")?.as_str());
    let target = targets.next()?.trim_start_matches('#');
    schema.pointer(target)?.get("properties")?;
    Some(target.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_file_takes_effect_either_at_once_or_at_the_next_start() {
        let schema = schemars::schema_for!(ConfigFile).to_value();
        let mut there: Vec<String> = keys(&schema).into_iter().map(|(path, _)| path).collect();
        let mut listed: Vec<&str> = AT_ONCE.into_iter().chain(AT_START).collect();
        there.sort_unstable();
        listed.sort_unstable();
        assert_eq!(there, listed, "list a new key in AT_ONCE or AT_START");
    }

    fn changes(old: &str, new: &str) -> (Changes, Value) {
        let read = |text: &str| tree(&trunkline_spec::load(text).unwrap().document).unwrap();
        let (mut old, mut found) = (read(old), Changes::default());
        take("", &mut old, &read(new), &mut found);
        (found, old)
    }

    #[test]
    fn what_waits_stays_as_it_was_and_is_told_again() {
        let old = "{zone: a, limits: {concurrency: 5}, admin_roles: {key/a: admin}}";
        let new =
            "{zone: b, limits: {concurrency: 6, connections: 7}, admin_roles: {key/b: admin}}";
        let (found, in_force) = changes(old, new);
        assert_eq!(found.taken, ["admin_roles", "limits.concurrency"]);
        assert_eq!(found.waiting, ["limits.connections", "zone"]);
        assert_eq!(
            (&in_force["zone"], &in_force["limits"]["concurrency"]),
            (&"a".into(), &6.into())
        );
        assert_eq!(in_force["admin_roles"], serde_json::json!({"key/b": "admin"}));
        assert_eq!(changes(old, old).0, Changes::default());
    }

    #[test]
    fn a_section_that_comes_or_goes_waits_as_a_whole() {
        let (none, some) = ("{}", "{tracing: {otlp: {sample_ratio: 0.5}}, tls: {cert: c, key: k}}");
        for (old, new) in [(none, some), (some, none)] {
            let (found, _) = changes(old, new);
            assert_eq!(
                found,
                Changes { taken: vec![], waiting: vec!["tls".into(), "tracing.otlp".into()] }
            );
        }
        let other = "{store: {etcd: {endpoints: ['http://a:1']}}}";
        assert_eq!(changes(none, other).0.waiting, ["store"]);
    }
}
