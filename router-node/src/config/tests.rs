//! What a router's configuration accepts, what it refuses, which source wins, and in which words.

use std::path::PathBuf;

use clap::Parser;

use super::*;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn args(folder: &tempfile::TempDir) -> ServeArgs {
    ServeArgs { config: Some(folder.path().join("t.yaml")), ..ServeArgs::default() }
}

/// Everything wrong with a file of this text, without its folder.
fn complaints(text: &str) -> String {
    let folder = folder(&[("t.yaml", text)]);
    let problems = Config::load(&args(&folder)).unwrap_err().to_string();
    problems.replace(&format!("{}/", folder.path().display()), "")
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples")
}

#[test]
fn without_a_file_the_defaults_hold() {
    let config = Config::load(&ServeArgs::default()).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.admin.to_string(), "127.0.0.1:9091");
    assert_eq!(config.store, StoreConfig::Embedded { dir: "./data".into() });
    assert_eq!((config.limits.body_bytes, config.drain.wait_ms), (20 * 1024 * 1024, 5_000));
    assert_eq!((config.log_format, config.log_level), (LogFormat::Auto, LogLevel::Info));
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let folder =
        folder(&[("t.yaml", "listen: 127.0.0.1:1\nops: 127.0.0.1:2\nlog: {level: warn}\n")]);
    let file = folder.path().join("t.yaml");
    let cli = Cli::try_parse_from([
        "router-node",
        "serve",
        "--config",
        file.to_str().unwrap(),
        "--listen",
        "127.0.0.1:3",
        "--etcd-endpoints",
        "http://a:2379,http://b:2379",
        "--concurrency",
        "7",
    ]);
    let Cli::Serve(args) = cli.unwrap() else { panic!("another command") };
    let config = Config::load(&args).unwrap();
    assert_eq!(config.listen.port(), 3, "flag");
    assert_eq!(config.ops.port(), 2, "file");
    assert_eq!(config.admin.port(), 9091, "default");
    assert_eq!((config.limits.concurrency, config.log_level), (7, LogLevel::Warn));
    let endpoints = vec!["http://a:2379".to_owned(), "http://b:2379".to_owned()];
    let snapshot_dir = Some(folder.path().join("./data"));
    assert_eq!(config.store, StoreConfig::Etcd { endpoints, tls: None, snapshot_dir });
}

#[test]
fn every_flag_of_serve_has_its_variable() {
    use clap::CommandFactory;
    let command = Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    for argument in serve.get_arguments().filter(|a| a.get_long() != Some("help")) {
        let flag = argument.get_long().unwrap();
        let expected = format!("TRUNKLINE_{}", flag.replace('-', "_").to_uppercase());
        assert_eq!(
            argument.get_env().and_then(|e| e.to_str()),
            Some(expected.as_str()),
            "--{flag}"
        );
    }
    Cli::command().debug_assert();
}

#[test]
fn paths_of_the_file_are_relative_to_it() {
    let text = "store: {embedded: {dir: state}}\nbootstrap: {catalog: c.yaml}\nkey_pepper: {file: pepper}\n";
    let folder = folder(&[("t.yaml", text)]);
    let config = Config::load(&args(&folder)).unwrap();
    assert_eq!(config.store, StoreConfig::Embedded { dir: folder.path().join("state") });
    assert_eq!(config.bootstrap.catalog, Some(folder.path().join("c.yaml")));
    let pepper = folder.path().join("pepper").display().to_string();
    assert_eq!(config.key_pepper, Some(SecretRef::File(pepper)));
}

#[test]
fn likely_mistakes_are_told_with_their_remedy() {
    let cases = [
        (
            "lissten: 0.0.0.0:1",
            "t.yaml:1:1: lissten: unknown key `lissten`; did you mean `listen`?",
        ),
        ("listen: 8080", "expected text, found the number 8080; put it in quotes"),
        ("listen: '8080'", "t.yaml:1:9: listen: `8080` is not an address; write `0.0.0.0:8080`"),
        ("listen: localhost:8080", "use an IP address and a port"),
        ("listen: 127.0.0.1:99999", "the port is a number from 0 to 65535"),
        ("ops: 0.0.0.0:8080", "ops: port 8080 is that of `listen`, too; choose another"),
        ("admin: 0.0.0.0:9091", "use 127.0.0.1, or set `admin_tls` with `client_ca`"),
        ("store: {etcd: {}}", "`endpoints` is missing; add `endpoints: …`"),
        (
            "store: {etdc: {endpoints: []}}",
            "expected one of the keys `embedded`, `etcd`; did you mean `etcd`?",
        ),
        ("store: {etcd: {endpoints: []}}", "name 1 to 16 URLs such as `http://127.0.0.1:2379`"),
        ("store: {etcd: {endpoints: ['a:2379']}}", "has no scheme; write `https://a:2379`"),
        ("store: {etcd: {endpoints: ['https://a:2379']}}", "https:// needs `store.etcd.tls`"),
        ("store: {embedded: {dir: x}, etcd: {endpoints: []}}", "unknown key `etcd`"),
        ("tls: {cert: a.pem}", "tls: `key` is missing; add `key: …`"),
        ("limits: {concurrency: 0}", "limits.concurrency: 0 is out of range; use 1 to 1000000"),
        (
            "log: {level: loud}",
            "`loud` is not known here; use `error`, `warn`, `info`, `debug`, `trace`",
        ),
        ("key_pepper: {env: my-pepper}", "not the name of an environment variable"),
        ("zone: a b", "`a b` is not a name"),
        (
            "drain:\n\twait_ms: 5",
            "t.yaml:2:1: a tab stands in the indentation; YAML is indented with spaces",
        ),
        (
            "allow_open_admin: yes",
            "expected true or false, found the text `yes`; write true without quotes",
        ),
        (
            "admin_tls: {cert: a, key: b, peer_name: 'admin:9091'}",
            "admin_tls.peer_name: `admin:9091` is no name that a certificate can hold",
        ),
        ("[]", "expected a mapping (`key: value`), found a list"),
    ];
    for (text, part) in cases {
        let found = complaints(text);
        assert!(found.contains(part), "{text}\n{found}");
    }
}

#[test]
fn an_admin_port_for_others_needs_known_callers() {
    let with_ca = "admin: 0.0.0.0:9091\nadmin_tls: {cert: a, key: b, client_ca: c}\n";
    let without_ca = "admin: 0.0.0.0:9091\nadmin_tls: {cert: a, key: b}\n";
    assert!(Config::load(&args(&folder(&[("t.yaml", with_ca)]))).is_ok());
    assert!(complaints(without_ca).contains("client_ca"));
    let open = "admin: 0.0.0.0:9091\nallow_open_admin: true\n";
    assert!(Config::load(&args(&folder(&[("t.yaml", open)]))).is_ok());
}

#[test]
fn check_reads_every_document_and_reports_every_mistake() {
    let folder = folder(&[
        (
            "t.yaml",
            "bootstrap: {catalog: c.yaml, policy: p.yaml, keys: none.yaml}\ntls: {cert: x, key: y}\n",
        ),
        (
            "c.yaml",
            "version: 1\nproviders: [{id: a, base_url: 'https://a.example', endpoints: [{model: m/one}]}]",
        ),
        ("p.yaml", "version: 1\naliases: {fast: m/onne}\n"),
    ]);
    let problems = check(&args(&folder)).unwrap_err().to_string();
    let problems = problems.replace(&format!("{}/", folder.path().display()), "");
    for part in [
        "p.yaml:2:17: aliases.fast: there is no model `m/onne` in the catalog; did you mean `m/one`?",
        "bootstrap.keys: `none.yaml` cannot be read",
        "tls.cert: `x` cannot be read",
        "tls.key: `y` cannot be read",
    ] {
        assert!(problems.contains(part), "{part}\n{problems}");
    }
}

#[test]
fn the_examples_check_clean() {
    let config = Some(examples().join("trunkline.yaml"));
    let (_, documents) = check(&ServeArgs { config, ..ServeArgs::default() }).unwrap();
    assert_eq!(documents.catalog.unwrap().value.endpoints.len(), 4);
    assert_eq!(documents.policy.unwrap().value.routes.len(), 4);
    assert_eq!(documents.keys.unwrap().value.len(), 2);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let missing = ServeArgs { config: Some("no-such-file.yaml".into()), ..ServeArgs::default() };
    let problems = Config::load(&missing).unwrap_err().to_string();
    assert!(problems.starts_with("--config: `no-such-file.yaml` cannot be read"), "{problems}");
}

#[test]
fn a_secret_is_fetched_and_its_absence_named() {
    let folder = folder(&[("key", "  sk-1\n"), ("empty", "\n"), ("two", "a\nb\n")]);
    let file = |name: &str| SecretRef::File(folder.path().join(name).display().to_string());
    assert_eq!(secret(&file("key")).unwrap(), "sk-1");
    for name in ["empty", "two"] {
        assert!(matches!(secret(&file(name)), Err(SecretError::Content(_))), "{name}");
    }
    assert!(matches!(secret(&file("none")), Err(SecretError::File { .. })));
    let unset = SecretRef::Env("TRUNKLINE_TEST_SURELY_UNSET".into());
    assert!(secret(&unset).unwrap_err().to_string().contains("TRUNKLINE_TEST_SURELY_UNSET"));
}

#[test]
fn dev_serves_this_machine_alone() {
    let Cli::Dev(dev) = Cli::try_parse_from(["router-node", "dev"]).unwrap() else {
        panic!("another")
    };
    assert_eq!(dev.checked().unwrap().ports.listen.to_string(), "127.0.0.1:8080");
    let open = ["router-node", "dev", "--listen", "0.0.0.0:8080", "--admin", "[::]:1"];
    let Cli::Dev(dev) = Cli::try_parse_from(open).unwrap() else { panic!("another") };
    let problems = dev.checked().unwrap_err();
    assert_eq!(problems.0.len(), 2);
    assert_eq!(
        problems.0[0].to_string(),
        "--listen: `0.0.0.0:8080` can be reached from other machines, and this command asks nobody for a key; \
         use 127.0.0.1:8080, or `router-node serve` for others"
    );
}

#[test]
fn dev_finds_the_providers_whose_keys_are_set() {
    let found = known_providers(|name| name == "GROQ_API_KEY" || name == "ANTHROPIC_API_KEY");
    let ids: Vec<&str> = found.iter().map(|p| p.id).collect();
    assert_eq!(ids, ["anthropic", "groq"]);
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "UPDATE_DOCS asks to write the page instead of comparing it"
)]
fn the_page_on_configuration_is_that_of_the_types() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.md");
    let page = config_page();
    if std::env::var("UPDATE_DOCS").is_ok() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "docs/config.md is out of date: UPDATE_DOCS=1 cargo test -p router-node config"
    );
}

#[test]
fn roles_are_for_keys_and_for_certificates_that_somebody_asks_for() {
    let tls = "admin_tls: {cert: c, key: k, client_ca: ca}\n";
    let roles = "admin_roles: {cert/alice: admin, key/abcdefgh: viewer}\n";
    let folder = folder(&[("t.yaml", &format!("{tls}{roles}"))]);
    let config = Config::load(&args(&folder)).unwrap();
    assert_eq!(config.admin_roles["cert/alice"], Role::Admin);
    assert_eq!(config.admin_roles["key/abcdefgh"], Role::Viewer);
    assert!(complaints(roles).contains("no client shows a certificate"));
    for wrong in ["alice", "cert/", "user/alice"] {
        let text = format!("{tls}admin_roles: {{{wrong}: admin}}\n");
        assert!(complaints(&text).contains("write `cert/NAME` or `key/ID`"), "{wrong}");
    }
}
