//! Which of the provider's calls a request is. Not the HTTP route: that is the ingress' affair.

/// A call of the OpenAI-compatible dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `POST /chat/completions`: messages in, a message out.
    Chat,
    /// `POST /completions`: a prompt in, text out.
    Completion,
    /// `POST /embeddings`: texts in, vectors out; never streamed.
    Embedding,
}

impl Operation {
    /// The path below the provider's base URL.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Completion => "/completions",
            Self::Embedding => "/embeddings",
        }
    }

    /// A stable lower-case name for records and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completion => "completion",
            Self::Embedding => "embedding",
        }
    }

    /// The request field that holds what the model is asked.
    #[must_use]
    pub const fn prompt_field(self) -> &'static str {
        match self {
            Self::Chat => "messages",
            Self::Completion => "prompt",
            Self::Embedding => "input",
        }
    }
}
