//! `context`: keeps, lists and forgets how clusters are reached.

use std::io::Write;

use serde_json::{Value, json};

use crate::Failure;
use crate::cli::{Connection, ContextSetArgs, ContextVerb, Format};
use crate::contexts::{Context, Contexts};
use crate::render::{self, List};

const COLUMNS: &[(&str, &str)] = &[
    ("NAME", "id"),
    ("CURRENT", "current"),
    ("ENDPOINT", "endpoint"),
    ("KEY", "key"),
    ("CA", "ca"),
];

/// Does what the verb says. No router is asked.
///
/// # Errors
/// A context that is not there, a file that cannot be read or written, or an `out` that does not take it.
pub fn run(
    verb: &ContextVerb,
    flags: &Connection,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut all = Contexts::read(flags)?;
    match verb {
        ContextVerb::List => return list(&all, format, out),
        ContextVerb::Use(args) => {
            place(&all, &args.name)?;
            all.current = Some(args.name.clone());
        }
        ContextVerb::Set(args) => set(&mut all, args, flags)?,
        ContextVerb::Remove(args) => {
            let at = place(&all, &args.name)?;
            all.contexts.remove(at);
            all.current = all.current.filter(|current| *current != args.name);
        }
    }
    all.write(flags)?;
    list(&all, format, out)
}

fn place(all: &Contexts, name: &str) -> Result<usize, Failure> {
    let at = all.contexts.iter().position(|context| context.name == name);
    at.ok_or_else(|| Failure::Absent(format!("context {name}")))
}

/// The first context that is kept is the current one.
fn set(all: &mut Contexts, args: &ContextSetArgs, flags: &Connection) -> Result<(), Failure> {
    let endpoint = flags.endpoint.clone();
    let endpoint =
        endpoint.ok_or_else(|| Failure::Usage("say where: --endpoint URL".to_owned()))?;
    if args.key_env.as_deref().is_some_and(|name| !is_variable(name)) {
        let what =
            "--key-env is no name of a variable; write the variable's name, never the key itself";
        return Err(Failure::Usage(what.to_owned()));
    }
    let context = Context {
        name: args.name.clone(),
        endpoint,
        key_env: args.key_env.clone(),
        key_file: args.key_file.as_deref().map(std::path::absolute).transpose()?,
        ca: flags.ca.as_deref().map(std::path::absolute).transpose()?,
        cert: flags.cert.as_deref().map(std::path::absolute).transpose()?,
        cert_key: flags.cert_key.as_deref().map(std::path::absolute).transpose()?,
    };
    all.contexts.retain(|known| known.name != args.name);
    all.contexts.push(context);
    all.contexts.sort_by(|a, b| a.name.cmp(&b.name));
    all.current.get_or_insert_with(|| args.name.clone());
    Ok(())
}

/// Letters, digits and `_`, and not what our own keys begin with: they would do, and this file is read by others.
fn is_variable(name: &str) -> bool {
    let fits = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    name.bytes().all(fits)
        && name.starts_with(|c: char| !c.is_ascii_digit())
        && !name.starts_with("tl_")
}

fn list(all: &Contexts, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let row = |context: &Context| -> Value {
        let variable = context.key_env.as_ref().map(|name| format!("env:{name}"));
        let file = context.key_file.as_ref().map(|file| format!("file:{}", file.display()));
        json!({
            "id": context.name,
            "current": all.current.as_ref() == Some(&context.name),
            "endpoint": context.endpoint,
            "key": variable.or(file),
            "ca": context.ca,
            "cert": context.cert,
        })
    };
    let items = all.contexts.iter().map(row).collect();
    Ok(render::list(&List { columns: COLUMNS, items }, format, out)?)
}
