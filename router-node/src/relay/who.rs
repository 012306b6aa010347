//! Who answers with a stream. It reads no chunk.

use super::Relay;

impl Relay {
    /// The model that answers, as the caller knows it.
    pub fn model(&self) -> &str {
        &self.terms.model
    }

    /// The provider that answers.
    pub fn provider(&self) -> &str {
        let state = self.view.snapshot.endpoints.get(self.endpoint);
        state.map_or("", |state| state.endpoint.provider.as_str())
    }
}
