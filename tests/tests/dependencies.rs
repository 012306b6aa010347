//! What is linked into the programs keeps the lists of `deny.toml`: its licences, its bans, and where it may come
//! from. `cargo deny` reads the same file and knows more; this needs nothing installed.
#![expect(clippy::unwrap_used, clippy::panic, reason = "fails its test on the spot")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// A package as `cargo tree` tells it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    licence: String,
}

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The texts in quotes of a list of `deny.toml`, one a line.
fn listed(document: &str, section: &str, list: &str) -> BTreeSet<String> {
    let section = document.split(&format!("\n[{section}]\n")).nth(1).unwrap();
    let section = section.split("\n[").next().unwrap();
    let list = section.split(&format!("\n{list} = [\n")).nth(1).unwrap();
    let lines = list.split("\n]").next().unwrap().lines().map(str::trim);
    let values = lines.filter(|line| !line.starts_with('#'));
    values.map(|line| line.split('"').nth(1).unwrap().to_owned()).collect()
}

/// Everything that this platform's programs and tests are made of.
fn packages() -> BTreeSet<Package> {
    let words = "tree --workspace --locked --offline --edges normal,build,dev --prefix none --format {p}|{l}";
    let mut tree = Command::new(env!("CARGO"));
    let tree = tree.args(words.split(' ')).current_dir(env!("CARGO_MANIFEST_DIR"));
    let told = tree.output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let lines = String::from_utf8(told.stdout).unwrap();
    let package = |line: &str| {
        let (name, licence) = line.split_once('|')?;
        let licence = licence.trim_end_matches(" (*)").to_owned();
        Some(Package { name: name.split(' ').next()?.to_owned(), licence })
    };
    lines.lines().filter_map(package).collect()
}

/// Whether a licence in SPDX's words can be had by taking `allowed` ones alone. `/` is an old word for `OR`.
fn permits(licence: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = licence.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let spaced = spaced.replace(" WITH ", "_WITH_");
    let mut words = spaced.split_whitespace().peekable();
    let fits = any(&mut words, allowed);
    fits && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut fits = all(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        fits |= all(words, allowed);
    }
    fits
}

fn all(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut fits = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        fits &= one(words, allowed);
    }
    fits
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    match words.next() {
        Some("(") => {
            let fits = any(words, allowed);
            words.next() == Some(")") && fits
        }
        Some(name) => allowed.contains(&name.replace("_WITH_", " WITH ")),
        None => false,
    }
}

#[test]
fn every_licence_is_one_that_the_project_may_carry() {
    let allowed = listed(&text("deny.toml"), "licenses", "allow");
    let packages = packages();
    assert!(packages.len() > 100, "only {} packages were looked at", packages.len());
    let others: Vec<_> = packages.iter().filter(|p| !permits(&p.licence, &allowed)).collect();
    assert!(others.is_empty(), "not in deny.toml: {others:#?}");
    let used = |name: &String| packages.iter().any(|p| p.licence.contains(name.as_str()));
    let unused: Vec<_> = allowed.iter().filter(|name| !used(name)).collect();
    assert!(unused.is_empty(), "no package needs {unused:?}");
}

#[test]
fn what_is_banned_is_not_linked() {
    let banned = listed(&text("deny.toml"), "bans", "deny");
    assert!(banned.contains("ring") && banned.contains("openssl"), "{banned:?}");
    let linked: Vec<_> = packages().into_iter().filter(|p| banned.contains(&p.name)).collect();
    assert!(linked.is_empty(), "banned by deny.toml: {linked:?}");
}

#[test]
fn everything_comes_from_the_one_registry_with_a_checksum() {
    let lock = text("Cargo.lock");
    let mut outside = 0;
    for package in lock.split("[[package]]").skip(1) {
        let Some(source) = package.lines().find_map(|line| line.strip_prefix("source = ")) else {
            continue;
        };
        outside += 1;
        assert!(source.contains("rust-lang/") && source.contains("registry+"), "{package}");
        assert!(package.contains("\nchecksum = "), "{package}");
    }
    assert!(outside > 100, "only {outside} packages were looked at");
}

#[test]
fn licences_are_read_as_spdx_means_them() {
    let allowed: BTreeSet<String> =
        ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    for good in [
        "MIT",
        "GPL-3.0 OR MIT",
        "GPL-3.0/MIT",
        "MIT AND ISC",
        "ISC AND (GPL-3.0 OR MIT)",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
    ] {
        assert!(permits(good, &allowed), "{good}");
    }
    for bad in
        ["", "GPL-3.0", "MIT AND GPL-3.0", "ISC AND (GPL-3.0 OR LGPL-2.1)", "Apache-2.0", "(MIT"]
    {
        assert!(!permits(bad, &allowed), "{bad}");
    }
}
