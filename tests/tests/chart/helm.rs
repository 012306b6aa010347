//! Running helm: what a release with certain values is made of.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The namespace of every release.
pub(crate) const NAMESPACE: &str = "llm";
/// The name of every release.
pub(crate) const RELEASE: &str = "live";

/// A file of the repository.
pub(crate) fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The folder of the chart.
pub(crate) fn chart() -> PathBuf {
    in_repository("deploy/helm/trunkline")
}

/// Values that the chart ships with, by the name of their file.
pub(crate) fn variant(name: &str) -> Vec<String> {
    let file = chart().join(format!("ci/{name}-values.yaml"));
    vec!["--values".to_owned(), file.display().to_string()]
}

/// All of them.
pub(crate) fn variants() -> Vec<String> {
    let names = std::fs::read_dir(chart().join("ci")).unwrap().map(|entry| entry.unwrap());
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.map(|name| name.strip_suffix("-values.yaml").unwrap().to_owned()).collect();
    names.sort();
    names
}

/// A program of the Python environment that the tests were provisioned with.
#[expect(clippy::disallowed_methods, reason = "tests/run tells where it put the interpreters")]
fn provisioned(name: &str) -> PathBuf {
    let usual = || in_repository("target/venv/bin/python");
    let python = std::env::var("TRUNKLINE_PYTHON").map_or_else(|_| usual(), PathBuf::from);
    let program = python.with_file_name(name);
    assert!(program.exists(), "{} is missing: run tests/provision/python.sh", program.display());
    program
}

/// What helm says.
pub(crate) fn helm(words: &[&str], values: &[String]) -> Output {
    Command::new(provisioned("helm")).args(words).args(values).output().unwrap()
}

/// The manifests of a release with these values on a version of Kubernetes, as text.
pub(crate) fn template(chart: &Path, kubernetes: &str, values: &[String]) -> Output {
    let chart = chart.display().to_string();
    let version = format!("{kubernetes}.0");
    let words = ["template", RELEASE, &chart, "--namespace", NAMESPACE, "--kube-version", &version];
    helm(&words, values)
}

/// The release `trunkline` in the namespace `trunkline`, as the pages install it.
pub(crate) fn as_documented(values: &[String]) -> Rendered {
    let chart = chart().display().to_string();
    let words = ["template", "trunkline", &chart, "--namespace", "trunkline"];
    let said = helm(&[&words[..], &["--kube-version", "1.31.0"]].concat(), values);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    Rendered(documents(&said.stdout, &[]))
}

/// The documents of a YAML text, as Kubernetes reads them. Each must be what these versions describe.
pub(crate) fn documents(yaml: &[u8], versions: &[&str]) -> Vec<Value> {
    let mut reader = Command::new(provisioned("python"))
        .arg(in_repository("tests/tests/chart/manifests.py"))
        .args(versions)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    reader.stdin.take().unwrap().write_all(yaml).unwrap();
    let read = reader.wait_with_output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    serde_json::from_slice(&read.stdout).unwrap()
}

/// A release: everything that Kubernetes is told to make.
pub(crate) struct Rendered(pub(crate) Vec<Value>);

impl Rendered {
    /// With these values.
    pub(crate) fn with(values: &[String]) -> Self {
        let said = template(&chart(), "1.31", values);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        Self(documents(&said.stdout, &[]))
    }

    /// All objects of a kind.
    pub(crate) fn of<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        let kind = kind.to_owned();
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    /// The object of that kind and name.
    pub(crate) fn named(&self, kind: &str, name: &str) -> Option<&Value> {
        self.of(kind).find(|object| object["metadata"]["name"] == name)
    }

    /// Every pod: its owner's name, its labels and its spec.
    pub(crate) fn pods(&self) -> Vec<(&str, &Value, &Value)> {
        let owned = ["Deployment", "StatefulSet"];
        let owned = owned.into_iter().flat_map(|kind| self.of(kind)).map(|object| {
            let template = &object["spec"]["template"];
            (object, &template["metadata"]["labels"], &template["spec"])
        });
        let alone = self.of("Pod").map(|pod| (pod, &pod["metadata"]["labels"], &pod["spec"]));
        let named = |(object, labels, spec)| {
            let object: &Value = object;
            (object["metadata"]["name"].as_str().unwrap(), labels, spec)
        };
        owned.chain(alone).map(named).collect()
    }
}

/// The elements of a list; none where there is no list.
pub(crate) fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The text of a value.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}
