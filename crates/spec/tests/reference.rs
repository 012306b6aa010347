//! The written reference says what the types say.
#![expect(
    clippy::disallowed_methods,
    reason = "UPDATE_DOCS asks to write the page instead of comparing it"
)]

use std::path::Path;

use trunkline_spec::reference::{Kind, documents_page, schema};

#[test]
fn the_page_on_documents_is_that_of_the_types() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/documents.md");
    let page = documents_page();
    if std::env::var("UPDATE_DOCS").is_ok() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "docs/documents.md is out of date: UPDATE_DOCS=1 cargo test -p trunkline-spec --test reference"
    );
}

#[test]
fn every_schema_refuses_unknown_keys() {
    for kind in Kind::ALL {
        let schema = schema(kind);
        assert_eq!(schema["additionalProperties"], false, "{kind:?}");
        assert_eq!(schema["required"][0], "version", "{kind:?}");
        for (name, part) in schema["$defs"].as_object().unwrap() {
            if part.get("properties").is_some() {
                assert_eq!(part["additionalProperties"], false, "{kind:?} {name}");
            }
        }
    }
}
