//! `import`: another router's configuration as a catalog and a policy, on this machine alone. No router is asked,
//! and nothing is put in force.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use trunkline_spec::{catalog, load, policy};

use crate::Failure;
use crate::cli::{Format, ImportArgs, ImportVerb};
use crate::import::{Imported, litellm};
use crate::render::{self, List};

const NOTES: &[(&str, &str)] = &[("WHERE", "id"), ("WHAT_BECAME_OF_IT", "note")];

/// Writes both documents, and says what is not in them.
///
/// # Errors
/// A file that cannot be read or written, or is there already; a configuration that gives no valid documents.
pub fn run(verb: &ImportVerb, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let ImportVerb::Litellm(args) = verb;
    let named =
        |what: &dyn std::fmt::Display| Failure::Usage(format!("{}: {what}", args.file.display()));
    let text = fs::read_to_string(&args.file).map_err(|e| named(&e))?;
    let imported = litellm::import(&load::any(&text).map_err(|p| named(&p))?);
    let (catalog, policy) = documents(&imported).map_err(|p| named(&p))?;
    let mut files = Vec::new();
    if !args.dry_run {
        for (name, document) in [("catalog.json", catalog), ("policy.json", policy)] {
            let path = args.into.join(name);
            write(&path, &document, args)?;
            files.push(path.display().to_string());
        }
    }
    let note = |note: &crate::import::Note| json!({"id": note.path, "note": note.what});
    let items: Vec<Value> = imported.notes.iter().map(note).collect();
    if format.is_data() {
        return Ok(render::data(&json!({"files": files, "items": items}), format, out)?);
    }
    for file in files {
        writeln!(out, "wrote {file}")?;
    }
    if items.is_empty() {
        return Ok(writeln!(out, "everything was carried over")?);
    }
    writeln!(out, "not carried over, or not as it was:")?;
    Ok(render::table(&List { columns: NOTES, items }, out)?)
}

/// Both documents as text, which routers would take as it is.
fn documents(imported: &Imported) -> Result<(String, String), trunkline_spec::Problems> {
    let (catalog, policy) =
        (format!("{:#}\n", imported.catalog), format!("{:#}\n", imported.policy));
    let known = catalog::parse(&catalog)?;
    policy::parse_against(&policy, &known)?;
    Ok((catalog, policy))
}

fn write(path: &Path, document: &str, args: &ImportArgs) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).truncate(true);
    if args.force {
        options.create(true)
    } else {
        options.create_new(true)
    };
    let named = |e: std::io::Error| {
        let hint = match e.kind() {
            std::io::ErrorKind::AlreadyExists => "; --force writes over it",
            _ => "",
        };
        Failure::Usage(format!("{}: {e}{hint}", path.display()))
    };
    options.open(path).and_then(|mut file| file.write_all(document.as_bytes())).map_err(named)
}
