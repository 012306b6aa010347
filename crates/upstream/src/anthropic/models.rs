//! The provider's model list as plain ids; prices and limits come from the catalog, not from here.

use serde::Deserialize;

use super::Undecodable;

#[derive(Deserialize)]
struct List {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

/// The ids in an answer of [`MODELS_PATH`](super::MODELS_PATH), in the provider's order (newest first).
///
/// # Errors
/// [`Undecodable`] when the body is not a model list.
pub fn ids(body: &[u8]) -> Result<Vec<String>, Undecodable> {
    let list: List =
        serde_json::from_slice(body).map_err(|_| Undecodable { what: "model list" })?;
    Ok(list.data.into_iter().map(|model| model.id).collect())
}
