//! `schema`: the JSON Schema of a document, for editors and reviews.

use std::io::Write;

use trunkline_spec::reference::{Kind, schema};

use crate::Failure;
use crate::cli::{Format, SchemaArgs, SchemaKind};
use crate::render;

/// Writes the schema.
///
/// # Errors
/// When `out` does not take it.
pub fn run(args: &SchemaArgs, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let kind = match args.of {
        SchemaKind::Policy => Kind::Policy,
        SchemaKind::Catalog => Kind::Catalog,
        SchemaKind::Keys => Kind::Keys,
        SchemaKind::Overrides => Kind::Overrides,
        SchemaKind::Cases => Kind::Cases,
    };
    Ok(render::data(&schema(kind), format, out)?)
}
