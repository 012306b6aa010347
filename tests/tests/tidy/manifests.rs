//! The rules for `Cargo.toml`: who may know whom, and that every member has the project's lints.
//! It reads the few lines of TOML that it needs, by hand.

use super::tree::{File, Finding};

/// Package → the packages of this project that it may depend on. `docs/` and ARCHITECTURE.md tell
/// the same; a package that is not listed may use none.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("trunkline-core", &[]),
    ("trunkline-spec", &["trunkline-core"]),
    ("trunkline-store", &["trunkline-core", "trunkline-spec", "trunkline-tls"]),
    ("trunkline-wire", &[]),
    ("trunkline-upstream", &["trunkline-core", "trunkline-wire"]),
    ("trunkline-tls", &[]),
    ("trunkline-runtime", &["trunkline-tls"]),
    ("trunkline-proto", &[]),
    ("sim-provider", &[]),
    (
        "router-node",
        &[
            "trunkline-core",
            "trunkline-spec",
            "trunkline-store",
            "trunkline-wire",
            "trunkline-upstream",
            "trunkline-runtime",
            "trunkline-proto",
            // For `router-node dev`, which is a whole cluster in one process.
            "health-prober",
            "sim-provider",
        ],
    ),
    (
        "health-prober",
        &[
            "trunkline-core",
            "trunkline-spec",
            "trunkline-store",
            "trunkline-wire",
            "trunkline-upstream",
            "trunkline-runtime",
            "trunkline-proto",
        ],
    ),
    (
        "admin-cli",
        // The store only for what no router can do; see `rules::admin_cli_and_the_store`.
        &[
            "trunkline-core",
            "trunkline-spec",
            "trunkline-store",
            "trunkline-tls",
            "trunkline-proto",
        ],
    ),
];

/// The harness drives every part, as a user would.
const MAY_USE_ALL: &str = "trunkline-tests";

/// Library → the only package that names it.
const OWNED: [(&str, &str); 2] =
    [("etcd-client", "trunkline-store"), ("hyper-rustls", "trunkline-upstream")];

/// What would make `core` impure.
const NOT_IN_CORE: [&str; 12] = [
    "tokio",
    "futures-util",
    "tracing",
    "log",
    "metrics",
    "serde",
    "serde_json",
    "rand",
    "fastrand",
    "getrandom",
    "jiff",
    "chrono",
];

/// What would give `spec` effects.
const NOT_IN_SPEC: [&str; 4] = ["tokio", "hyper", "tracing", "metrics"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Package,
    Lints,
    Dependencies,
    DevDependencies,
    Other,
}

struct Dependency<'a> {
    name: &'a str,
    line: usize,
    section: Section,
}

/// Who may know whom. Tests of a package may know more than the package: dev-dependencies are free,
/// but for the owned libraries.
pub(crate) fn edges(file: &File) -> Vec<Finding> {
    let Some(package) = package_name(file) else { return Vec::new() };
    let mut findings = Vec::new();
    for dependency in dependencies(&file.text) {
        if let Some(what) = refusal(package, &dependency) {
            findings.push(file.finding(dependency.line, what));
        }
    }
    findings
}

fn refusal(package: &str, dependency: &Dependency<'_>) -> Option<String> {
    let name = dependency.name;
    let owner = OWNED.iter().find(|(library, _)| *library == name).map(|(_, owner)| *owner);
    if let Some(owner) = owner.filter(|owner| *owner != package) {
        return Some(format!("only {owner} names {name}: add what you need to its interface"));
    }
    if dependency.section == Section::DevDependencies || package == MAY_USE_ALL {
        return None;
    }
    let banned: &[&str] = match package {
        "trunkline-core" => &NOT_IN_CORE,
        "trunkline-spec" => &NOT_IN_SPEC,
        _ => &[],
    };
    if banned.contains(&name) {
        return Some(format!("{package} has no effects: {name} belongs to whoever calls it"));
    }
    let ours = name == MAY_USE_ALL || MAY_USE.iter().any(|(member, _)| *member == name);
    let may = MAY_USE.iter().find(|(member, _)| *member == package);
    let allowed = may.is_some_and(|(_, uses)| uses.contains(&name));
    (ours && !allowed).then(|| {
        format!("{package} may not know {name}: see \"who may know whom\" in ARCHITECTURE.md")
    })
}

pub(crate) fn lints(file: &File) -> Vec<Finding> {
    if package_name(file).is_none() {
        return Vec::new();
    }
    let mut in_lints = false;
    for line in file.text.lines().map(str::trim) {
        if line.starts_with('[') {
            in_lints = section(line) == Section::Lints;
        } else if in_lints && line.replace(' ', "") == "workspace=true" {
            return Vec::new();
        }
    }
    vec![file.finding(1, "the workspace's lints are off here: add `[lints] workspace = true`")]
}

fn package_name(file: &File) -> Option<&str> {
    if file.name() != "Cargo.toml" {
        return None;
    }
    let mut here = Section::Other;
    for line in file.text.lines().map(str::trim) {
        if line.starts_with('[') {
            here = section(line);
        } else if here == Section::Package
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == "name"
        {
            return Some(value.trim().trim_matches('"'));
        }
    }
    None
}

fn dependencies(text: &str) -> Vec<Dependency<'_>> {
    let mut here = Section::Other;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let mut name = None;
        if line.starts_with('[') {
            here = section(line);
            // `[dependencies.name]` names it in the heading.
            let heading = line.trim_matches(['[', ']']);
            name = heading.rsplit_once("dependencies.").map(|(_, name)| name);
        } else if !line.starts_with('#') {
            let end = line.find(['.', '=', ' ']).unwrap_or(0);
            name = line.get(..end).filter(|name| !name.is_empty());
        }
        if let Some(name) = name
            && matches!(here, Section::Dependencies | Section::DevDependencies)
        {
            found.push(Dependency { name, line: number + 1, section: here });
        }
    }
    found
}

fn section(heading: &str) -> Section {
    let heading = heading.trim_matches(['[', ']']);
    // `target.'cfg(…)'.dependencies` and `dependencies.name` count as what they are.
    if heading.starts_with("workspace") {
        Section::Other
    } else if heading.contains("dev-dependencies") {
        Section::DevDependencies
    } else if heading.contains("dependencies") {
        Section::Dependencies
    } else if heading == "package" {
        Section::Package
    } else if heading == "lints" {
        Section::Lints
    } else {
        Section::Other
    }
}
