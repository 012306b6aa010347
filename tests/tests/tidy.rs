//! The house rules that a machine can check, each with a proof that it can fail. What needs
//! judgement (is the name good, is the comment true) is left to reviewers.

#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/manifests.rs"]
mod manifests;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tree.rs"]
mod tree;

use source::{Function, Literals};
use tree::{File, Finding};

type Rule = fn(&File) -> Vec<Finding>;

/// Checks the whole project and tells every breach at once.
fn the_project_keeps(rule: Rule) -> anyhow::Result<()> {
    let files = tree::files()?;
    assert!(files.iter().any(|file| file.is_rust()), "no source found: nothing was checked");
    let told: Vec<_> = files.iter().flat_map(rule).map(|finding| finding.to_string()).collect();
    assert!(told.is_empty(), "{} breaches:\n{}", told.len(), told.join("\n"));
    Ok(())
}

/// The lines where a rule finds something in a sample.
fn lines(rule: Rule, path: &str, text: &str) -> Vec<usize> {
    rule(&File::new(path, text)).into_iter().map(|finding| finding.line).collect()
}

const SOURCE: &str = "crates/core/src/plan.rs";

#[test]
fn files_are_short() -> anyhow::Result<()> {
    the_project_keeps(rules::file_length)
}

#[test]
fn a_long_file_is_found_but_not_its_tests() {
    let full = "\n".repeat(400);
    let tests = "#[cfg(test)]\nmod tests {\n\n\n}\n";
    assert!(lines(rules::file_length, SOURCE, &full).is_empty());
    assert!(lines(rules::file_length, SOURCE, &format!("{full}{tests}")).is_empty());
    assert_eq!(lines(rules::file_length, SOURCE, &format!("{full}\n")), [401]);
    assert_eq!(lines(rules::file_length, "router-node/src/main.rs", &full), [400]);
    assert!(lines(rules::file_length, "crates/core/src/plan/tests.rs", &full.repeat(2)).is_empty());
}

#[test]
fn functions_fit_a_screen() -> anyhow::Result<()> {
    the_project_keeps(rules::function_length)
}

#[test]
fn a_long_function_is_found() {
    let sample = |body: usize| format!("\nfn long() {{\n{}}}\n", "\n".repeat(body));
    assert!(lines(rules::function_length, SOURCE, &sample(68)).is_empty());
    assert_eq!(lines(rules::function_length, SOURCE, &sample(69)), [2]);
}

#[test]
fn every_member_has_the_lints() -> anyhow::Result<()> {
    the_project_keeps(manifests::lints)
}

#[test]
fn a_member_without_lints_is_found() {
    let bare = "[package]\nname = \"x\"\n";
    let path = "crates/x/Cargo.toml";
    assert_eq!(lines(manifests::lints, path, bare), [1]);
    let other = format!("{bare}[features]\nworkspace = true\n");
    assert_eq!(lines(manifests::lints, path, &other), [1]);
    assert!(
        lines(manifests::lints, path, &format!("{bare}[lints]\nworkspace = true\n")).is_empty()
    );
    assert!(lines(manifests::lints, "Cargo.toml", "[workspace]\nmembers = []\n").is_empty());
}

#[test]
fn crates_know_only_whom_they_may() -> anyhow::Result<()> {
    the_project_keeps(manifests::edges)
}

#[test]
fn a_forbidden_edge_is_found() {
    let found = |package: &str, dependencies: &str| {
        let text = format!("[package]\nname = \"{package}\"\n{dependencies}\n");
        lines(manifests::edges, "crates/x/Cargo.toml", &text)
    };
    assert_eq!(found("trunkline-core", "[dependencies]\ntrunkline-spec.workspace = true"), [4]);
    assert_eq!(found("trunkline-core", "[dependencies]\nserde = { version = \"1\" }"), [4]);
    assert_eq!(found("trunkline-core", "[dependencies.tokio]\nversion = \"1\""), [3]);
    assert_eq!(found("trunkline-spec", "[target.'cfg(unix)'.dependencies]\ntokio = \"1\""), [4]);
    assert_eq!(found("router-node", "[dependencies]\n\netcd-client.workspace = true"), [5]);
    assert_eq!(found("health-prober", "[dev-dependencies]\nhyper-rustls.workspace = true"), [4]);
    assert_eq!(found("admin-cli", "[dependencies]\ntrunkline-upstream.workspace = true"), [4]);
    assert_eq!(found("trunkline-new", "[dependencies]\ntrunkline-core.workspace = true"), [4]);
    assert!(found("trunkline-core", "[dev-dependencies]\nserde = \"1\"").is_empty());
    assert!(found("trunkline-store", "[dependencies]\netcd-client = \"0.21\"").is_empty());
    assert!(found("trunkline-spec", "[dependencies]\ntrunkline-core.workspace = true").is_empty());
}

#[test]
fn every_file_says_what_it_is() -> anyhow::Result<()> {
    the_project_keeps(rules::header)
}

#[test]
fn a_file_without_a_header_is_found() {
    assert_eq!(lines(rules::header, SOURCE, "// A plan.\nfn x() {}\n"), [1]);
    assert!(lines(rules::header, SOURCE, "//! A plan.\nfn x() {}\n").is_empty());
    assert!(lines(rules::header, "README.md", "# Trunkline\n").is_empty());
}

#[test]
fn nothing_is_allowed_silently() -> anyhow::Result<()> {
    the_project_keeps(rules::no_allow)
}

#[test]
fn an_allow_is_found_but_not_in_a_comment() {
    let sample =
        "// #[allow(x)]\nconst A: &str = \"#[allow(x)]\";\n#[allow(dead_code)]\nfn a() {}\n";
    assert_eq!(lines(rules::no_allow, SOURCE, sample), [3]);
    assert_eq!(lines(rules::no_allow, SOURCE, "#![allow(dead_code)]\n"), [1]);
    assert!(lines(rules::no_allow, SOURCE, "#[expect(dead_code, reason = \"r\")]\n").is_empty());
}

#[test]
fn no_test_is_ignored() -> anyhow::Result<()> {
    the_project_keeps(rules::no_ignore)
}

#[test]
fn an_ignored_test_is_found() {
    assert_eq!(lines(rules::no_ignore, SOURCE, "#[test]\n#[ignore = \"slow\"]\nfn a() {}"), [2]);
    assert!(lines(rules::no_ignore, SOURCE, "// not #[ignore]d\n").is_empty());
}

#[test]
fn names_say_something() -> anyhow::Result<()> {
    the_project_keeps(rules::names_say_something)
}

#[test]
fn a_name_that_says_nothing_is_found() {
    for path in ["crates/core/src/utils.rs", "router-node/src/common/mod.rs"] {
        assert_eq!(lines(rules::names_say_something, path, ""), [1], "{path}");
    }
    assert!(lines(rules::names_say_something, "crates/core/src/commons.rs", "").is_empty());
}

#[test]
fn only_the_wiring_spawns() -> anyhow::Result<()> {
    the_project_keeps(rules::spawning)
}

#[test]
fn a_stray_spawn_is_found() {
    let sample = "fn a() {\n    tokio::spawn(async {});\n}\n";
    assert_eq!(lines(rules::spawning, SOURCE, sample), [2]);
    assert_eq!(lines(rules::spawning, SOURCE, "tokio::task::spawn(x);"), [1]);
    for path in ["router-node/src/app.rs", "crates/runtime/src/tasks.rs", "tests/src/lib.rs"] {
        assert!(lines(rules::spawning, path, sample).is_empty(), "{path}");
    }
    let in_tests = format!("#[cfg(test)]\nmod tests {{\n{sample}}}\n");
    assert!(lines(rules::spawning, SOURCE, &in_tests).is_empty());
}

#[test]
fn admin_cli_goes_through_the_admin_api() -> anyhow::Result<()> {
    the_project_keeps(rules::admin_cli_and_the_store)
}

#[test]
fn a_way_around_the_admin_api_is_found() {
    let rule = rules::admin_cli_and_the_store;
    let sample = "use trunkline_store::Etcd;";
    assert_eq!(lines(rule, "admin-cli/src/commands/drain.rs", sample), [1]);
    assert!(lines(rule, "admin-cli/src/etcd.rs", sample).is_empty());
    assert!(lines(rule, "router-node/src/app.rs", sample).is_empty());
}

#[test]
fn only_the_configuration_reads_the_environment() -> anyhow::Result<()> {
    the_project_keeps(rules::environment)
}

#[test]
fn a_stray_read_of_the_environment_is_found() {
    assert_eq!(lines(rules::environment, SOURCE, "\nlet a = std::env::var(\"A\");"), [2]);
    assert_eq!(lines(rules::environment, SOURCE, "let a = env::var_os(\"A\");"), [1]);
    assert!(lines(rules::environment, "router-node/src/config.rs", "env::var(\"A\")").is_empty());
}

#[test]
fn metrics_are_named_in_one_place() -> anyhow::Result<()> {
    the_project_keeps(rules::metrics)
}

#[test]
fn a_stray_metric_is_found() {
    assert_eq!(lines(rules::metrics, SOURCE, "\nmetrics::counter!(name);"), [2]);
    assert_eq!(lines(rules::metrics, SOURCE, "let n = \"trunkline_calls_total\";"), [1]);
    assert_eq!(lines(rules::metrics, SOURCE, "let n = \"trunkline_store_age_seconds\";"), [1]);
    assert!(lines(rules::metrics, SOURCE, "// \"trunkline_calls_total\"").is_empty());
    assert!(lines(rules::metrics, SOURCE, "let f = \"trunkline_store=debug\";").is_empty());
    let telemetry = "router-node/src/telemetry.rs";
    assert!(lines(rules::metrics, telemetry, "counter!(\"trunkline_calls_total\")").is_empty());
}

#[test]
fn links_lead_somewhere() -> anyhow::Result<()> {
    the_project_keeps(|file| links::resolve(file, |path| tree::root().join(path).exists()))
}

#[test]
fn a_dead_link_is_found() {
    let text =
        "[a](b.md#part) `[x](y)` [w](https://w.test) [h](#here)\n```\n[c](d)\n```\n[e]: f.md\n";
    let file = File::new("docs/page.md", text);
    let dead: Vec<_> = links::resolve(&file, |_| false).iter().map(|f| f.line).collect();
    assert_eq!(dead, [1, 5]);
    let known = |path: &std::path::Path| path.starts_with("docs");
    assert!(links::resolve(&file, known).is_empty());
}

#[test]
fn the_project_speaks_of_itself_alone() -> anyhow::Result<()> {
    the_project_keeps(rules::foreign_paths)
}

#[test]
fn a_path_of_one_machine_is_found() {
    // Put together here, so that this file does not break the rule itself.
    let path = |folder: &str| format!("see ok\ncd /{folder}/thing\n");
    for folder in ["work", "root", "home"] {
        assert_eq!(lines(rules::foreign_paths, "docs/a.md", &path(folder)), [2], "{folder}");
    }
    let elsewhere = "https://example.test/root/x, target/root/x, ../home/x, ${dir}/home/x\n";
    assert!(lines(rules::foreign_paths, "docs/a.md", elsewhere).is_empty());
}

#[test]
fn source_is_read_as_the_compiler_reads_it() {
    let sample = concat!(
        "let a = \"fn \\\" {\"; // fn b() {}\n",
        "/* fn /* nested */ c() { */ let d = r#\"fn \" {\"#;\n",
        "let e: &'static str = b\"x\"; let f = '{'; let g = '\\'';\n",
    );
    let code = source::masked(sample, Literals::Masked);
    assert_eq!(code.matches(['{', '}']).count(), 0, "{code}");
    assert!(code.contains("let e: &'static str =") && code.contains("; let g ="), "{code}");
    assert_eq!(code.lines().count(), 3);
    let kept = source::masked("call(\"// not a comment\"); // but this\n", Literals::Kept);
    assert_eq!(kept.trim_end(), "call(\"// not a comment\");");
}

#[test]
fn functions_are_measured_from_signature_to_brace() {
    let sample = concat!(
        "trait T {\n    fn only_declared(&self) -> [u8; 4];\n}\n",
        "fn short(f: fn(u8) -> u8) {}\n",
        "fn outer() {\n    fn inner() {\n    }\n}\n",
    );
    let function = |name: &str, line, lines| Function { name: name.to_owned(), line, lines };
    let expected = [function("short", 4, 1), function("outer", 5, 4), function("inner", 6, 2)];
    assert_eq!(source::functions(sample), expected);
}
