//! The text of `docs/config.md`, from the types: the file's keys and the flags with their variables.

use clap::CommandFactory;
use trunkline_spec::reference::tables;

use super::otel::VARIABLES;
use super::{Cli, ConfigFile, reload};

const INTRODUCTION: &str = "\
# Configuration of a router

`router-node serve --config trunkline.yaml`. A flag wins over its environment variable, both win over the
file, and the file over the defaults. `router-node check` with the same flags reads all of it, and every
document and certificate it names, and reports every mistake with its file and line. A commented example is
`deploy/examples/trunkline.yaml`; the documents themselves are explained in [documents.md](documents.md).

Paths in the file are relative to its folder, paths in flags and variables to the working directory.

On SIGHUP the router reads the file again, with the same flags and variables on top. Keys with *At once on SIGHUP*
take effect then; of others that changed a warning in the log names each, and they take effect at the next start. A
file with a mistake changes nothing. More is in [operating.md](operating.md#changing-the-configuration).

This page is made from the types; `UPDATE_DOCS=1 cargo test -p router-node config` writes it again.

## The file
";

/// What is said of a key that takes effect at once.
const AT_ONCE: &str = " *At once on SIGHUP.*";

const OPENTELEMETRY: &str = "
## OpenTelemetry's variables

What `tracing.otlp` says can be said by these, too, and they win over the file. More is in
[tracing.md](tracing.md).

| variable | stands for |
|---|---|
";

/// The page.
pub fn config_page() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut schema = schemars::schema_for!(ConfigFile).to_value();
    reload::mark(&mut schema, AT_ONCE);
    page.push_str(&tables(&schema));
    for command in Cli::command().get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        page.push_str(&format!("\n## `router-node {}`\n\n{about}\n", command.get_name()));
        if command.get_name() == "check" {
            page.push_str("\nThe flags are those of `serve`.\n");
            continue;
        }
        page.push_str("\n| flag | variable | default | meaning |\n|---|---|---|---|\n");
        for argument in command.get_arguments() {
            page.push_str(&row(argument));
        }
    }
    page.push_str(OPENTELEMETRY);
    for (variable, about) in VARIABLES {
        page.push_str(&format!("| `{variable}` | {about} |\n"));
    }
    page
}

fn row(argument: &clap::Arg) -> String {
    let flag = argument.get_long().unwrap_or_default();
    let takes_value = argument.get_action().takes_values();
    let value = argument.get_value_names().and_then(<[_]>::first).filter(|_| takes_value);
    let value = value.map(|name| format!(" {name}")).unwrap_or_default();
    let variable = argument.get_env().and_then(|name| name.to_str());
    let default = argument.get_default_values().first().and_then(|text| text.to_str());
    let about = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let quoted = |text: Option<&str>| text.map_or_else(|| "–".to_owned(), |t| format!("`{t}`"));
    let default = quoted(default.filter(|_| takes_value));
    format!("| `--{flag}{value}` | {} | {default} | {about} |\n", quoted(variable))
}
