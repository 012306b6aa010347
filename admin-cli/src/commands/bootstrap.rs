//! `bootstrap`: what a cluster needs before its first router can start.

use std::io::Write;

use serde_json::{Value, json};

use crate::Failure;
use crate::cli::{BootstrapEtcdArgs, BootstrapVerb, Format};
use crate::etcd;
use crate::render;

/// Does what the verb says. No router is asked.
///
/// # Errors
/// Flags that make no sense, what etcd refuses or does not answer, an `out` that does not take it.
pub async fn run(verb: &BootstrapVerb, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    match verb {
        BootstrapVerb::Etcd(args) => rights(args, format, out).await,
    }
}

/// Makes etcd's users and roles what the parts need, a step at a time; each is told when it is done, so that
/// whoever sees it fail knows how far it came. Running it again goes on from there.
async fn rights(
    args: &BootstrapEtcdArgs,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let administrator = etcd::administrator(&args.etcd)?;
    let steps = etcd::steps(&administrator, args).await?;
    let mut items: Vec<Value> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if !args.dry_run {
            administrator.take(step).await.map_err(etcd::said)?;
        }
        items.push(json!({"id": at + 1, "step": step.to_string()}));
        if !format.is_data() {
            writeln!(out, "{step}")?;
        }
    }
    if format.is_data() {
        return Ok(render::data(&json!({"dry_run": args.dry_run, "items": items}), format, out)?);
    }
    match (steps.len(), args.dry_run) {
        (0, _) => writeln!(out, "nothing to do")?,
        (count, true) => writeln!(out, "{count} steps would be done")?,
        (count, false) => writeln!(out, "{count} steps done")?,
    }
    Ok(())
}
