//! The pages a caller may read: models, endpoints, one generation, its own key.
