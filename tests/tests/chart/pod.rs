//! A pod of a release without Kubernetes: its files in a folder, its first container's arguments and variables,
//! with what only a cluster knows (names, addresses, ports) replaced.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use trunkline_tests::authority::Authority;
use trunkline_tests::process::beside;

use super::helm::{Rendered, each, text};

/// Secrets that are no part of a release, by name and entry. Where a Secret or an entry is not told, there is an
/// identity of an authority's.
pub(crate) type Secrets<'a> = &'a [(&'a str, &'a str, &'a str)];

/// What the first container of a pod is run with.
pub(crate) struct Pod {
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    _folder: TempDir,
    _authority: Authority,
}

impl Pod {
    /// The pod of that name with this spec; `replaced` is replaced in files, arguments and variables.
    pub(crate) fn of(
        release: &Rendered,
        (name, spec): (&str, &Value),
        secrets: Secrets<'_>,
        replaced: &[(String, String)],
    ) -> Self {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        let root = folder.path().display().to_string();
        let local = |text: &str| {
            let mut text = text.to_owned();
            for folder in ["/etc/trunkline", "/var/lib/trunkline", "/var/lib/etcd"] {
                text = text.replace(folder, &format!("{root}{folder}"));
            }
            replaced.iter().fold(text, |text, (from, to)| text.replace(from, to))
        };
        let container = &spec["containers"][0];
        for mount in each(&container["volumeMounts"]) {
            let path = folder.path().join(text(&mount["mountPath"]).trim_start_matches('/'));
            let named = |volume: &&Value| volume["name"] == mount["name"];
            let volume = each(&spec["volumes"]).find(named);
            let files = volume.map(|volume| contents(release, volume, secrets, &authority));
            for (file, content) in files.unwrap_or_default() {
                if mount["subPath"].is_null() {
                    write(&path.join(file), &local(&content));
                } else if mount["subPath"] == file.as_str() {
                    write(&path, &local(&content));
                }
            }
            // Where there is nothing to read, there is room to write.
            if mount["subPath"].is_null() {
                fs::create_dir_all(&path).unwrap();
            }
        }
        // A host in brackets is an address of IPv6.
        let bracketed = container["env"].to_string().contains("[$(POD_IP)]");
        let address = if bracketed { "fd00::7" } else { "10.0.0.7" };
        let mut variables = Vec::new();
        for entry in each(&container["env"]) {
            let value = match text_at(entry, "/valueFrom/fieldRef/fieldPath") {
                Some("metadata.name") => name.to_owned(),
                Some("status.podIP") => address.to_owned(),
                Some(other) => panic!("{other} is known to no pod"),
                None if entry["value"].is_string() => {
                    local(&expanded(text(&entry["value"]), &variables))
                }
                None => secret(secrets, &entry["valueFrom"]["secretKeyRef"]),
            };
            variables.push((text(&entry["name"]).to_owned(), value));
        }
        for source in each(&container["envFrom"]) {
            let secret = text(&source["secretRef"]["name"]);
            let entries = secrets.iter().filter(|(name, ..)| *name == secret);
            variables.extend(entries.map(|(_, entry, value)| ((*entry).into(), (*value).into())));
        }
        let arguments = each(&container["args"]);
        let arguments = arguments.map(|word| local(&expanded(text(word), &variables))).collect();
        Self { arguments, variables, _folder: folder, _authority: authority }
    }

    /// Its command, with this program.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.variables.iter().cloned()).args(&self.arguments);
        command
    }

    /// What a router says to its configuration.
    pub(crate) fn check_router(&self) -> Result<(), String> {
        let (verb, rest) = self.arguments.split_first().unwrap();
        assert_eq!(verb, "serve");
        let mut command = Command::new(beside("router-node"));
        command.env_clear().envs(self.variables.iter().cloned()).arg("check").args(rest);
        well(&mut command)
    }

    /// What a prober says to its flags.
    pub(crate) fn check_prober(&self) -> Result<(), String> {
        well(self.command(&beside("health-prober")).arg("--check"))
    }

    /// Its arguments.
    pub(crate) fn arguments(&self) -> &[String] {
        &self.arguments
    }
}

fn well(command: &mut Command) -> Result<(), String> {
    let said = command.output().unwrap();
    let errors = String::from_utf8_lossy(&said.stderr);
    if said.status.success() { Ok(()) } else { Err(format!("{command:?}: {errors}")) }
}

/// What a volume holds.
fn contents(
    release: &Rendered,
    volume: &Value,
    secrets: Secrets<'_>,
    authority: &Authority,
) -> Vec<(String, String)> {
    if let Some(name) = text_at(volume, "/configMap/name") {
        let map = release.named("ConfigMap", name).unwrap_or_else(|| panic!("no ConfigMap {name}"));
        return entries(&map["data"]);
    }
    if let Some(name) = text_at(volume, "/secret/secretName") {
        if let Some(secret) = release.named("Secret", name) {
            return entries(&secret["stringData"]);
        }
        let told = secrets.iter().filter(|(secret, ..)| *secret == name);
        let told: Vec<_> =
            told.map(|(_, entry, value)| ((*entry).into(), (*value).into())).collect();
        return if told.is_empty() { identity(authority) } else { told };
    }
    if volume["csi"].is_object() { identity(authority) } else { Vec::new() }
}

/// An identity by all names that the variants use.
fn identity(authority: &Authority) -> Vec<(String, String)> {
    let [certificate, key] = authority.issue("anybody");
    let files = [
        (authority.ca(), ["ca.crt", "root.pem"]),
        (certificate, ["tls.crt", "router.pem"]),
        (key, ["tls.key", "router.key"]),
    ];
    let named = files.into_iter().flat_map(|(path, names)| {
        let content = fs::read_to_string(path).unwrap();
        names.map(|name| (name.to_owned(), content.clone()))
    });
    named.collect()
}

/// The entry of a Secret that a variable refers to.
fn secret(secrets: Secrets<'_>, reference: &Value) -> String {
    let is = |(name, entry, _): &&(&str, &str, &str)| {
        reference["name"] == *name && reference["key"] == *entry
    };
    let found = secrets.iter().find(is);
    let (_, _, value) = found.unwrap_or_else(|| panic!("{reference} is nowhere"));
    (*value).to_owned()
}

fn entries(data: &Value) -> Vec<(String, String)> {
    let entries = data.as_object().unwrap().iter();
    entries.map(|(name, content)| (name.clone(), text(content).to_owned())).collect()
}

/// `$(NAME)` as Kubernetes expands it.
fn expanded(text: &str, variables: &[(String, String)]) -> String {
    let expand =
        |text: String, (name, value): &(String, String)| text.replace(&format!("$({name})"), value);
    let text = variables.iter().fold(text.to_owned(), expand);
    assert!(!text.contains("$("), "{text} names a variable that is not there, or comes later");
    text
}

fn text_at<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path).and_then(Value::as_str)
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}
