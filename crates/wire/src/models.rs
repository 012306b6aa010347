//! The shapes of the catalog and account answers: models, endpoints, a generation, a key. OpenAI's fields
//! come first, so that its clients read them; what fills them is decided elsewhere.
