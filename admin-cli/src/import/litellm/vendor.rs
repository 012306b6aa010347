//! Who is behind the prefix of a LiteLLM model, for those that speak a dialect that is spoken here.

/// A vendor.
#[derive(Debug, PartialEq, Eq)]
pub struct Vendor {
    /// The prefix, before the first slash.
    pub prefix: &'static str,
    /// The provider's id in our catalog.
    pub id: &'static str,
    /// How it speaks.
    pub dialect: &'static str,
    /// Where it is when no `api_base` says otherwise; `None` where one must.
    pub base_url: Option<&'static str>,
    /// The variable that LiteLLM takes its key from when none is named; `None` for those without keys.
    pub variable: Option<&'static str>,
}

const fn openai(
    names: (&'static str, &'static str),
    base_url: Option<&'static str>,
    variable: Option<&'static str>,
) -> Vendor {
    Vendor { prefix: names.0, id: names.1, dialect: "openai", base_url, variable }
}

/// Those that are known. A model without a prefix is OpenAI's, as in LiteLLM.
const VENDORS: &[Vendor] = &[
    openai(("openai", "openai"), Some("https://api.openai.com/v1"), Some("OPENAI_API_KEY")),
    Vendor {
        prefix: "anthropic",
        id: "anthropic",
        dialect: "anthropic",
        base_url: Some("https://api.anthropic.com"),
        variable: Some("ANTHROPIC_API_KEY"),
    },
    openai(("azure", "azure"), None, Some("AZURE_API_KEY")),
    openai(("groq", "groq"), Some("https://api.groq.com/openai/v1"), Some("GROQ_API_KEY")),
    openai(("mistral", "mistral"), Some("https://api.mistral.ai/v1"), Some("MISTRAL_API_KEY")),
    openai(("deepseek", "deepseek"), Some("https://api.deepseek.com/v1"), Some("DEEPSEEK_API_KEY")),
    openai(
        ("together_ai", "together"),
        Some("https://api.together.xyz/v1"),
        Some("TOGETHERAI_API_KEY"),
    ),
    openai(
        ("fireworks_ai", "fireworks"),
        Some("https://api.fireworks.ai/inference/v1"),
        Some("FIREWORKS_API_KEY"),
    ),
    openai(
        ("openrouter", "openrouter"),
        Some("https://openrouter.ai/api/v1"),
        Some("OPENROUTER_API_KEY"),
    ),
    openai(("xai", "xai"), Some("https://api.x.ai/v1"), Some("XAI_API_KEY")),
    openai(
        ("perplexity", "perplexity"),
        Some("https://api.perplexity.ai"),
        Some("PERPLEXITYAI_API_KEY"),
    ),
    openai(
        ("gemini", "gemini"),
        Some("https://generativelanguage.googleapis.com/v1beta/openai"),
        Some("GEMINI_API_KEY"),
    ),
    openai(("hosted_vllm", "vllm"), None, None),
    openai(("vllm", "vllm"), None, None),
    openai(("ollama", "ollama"), Some("http://127.0.0.1:11434/v1"), None),
    openai(("ollama_chat", "ollama"), Some("http://127.0.0.1:11434/v1"), None),
    openai(("custom_openai", "custom"), None, None),
];

/// The vendor and the name that it knows a model by; nothing for one that is not known.
pub fn of(model: &str) -> Option<(&'static Vendor, &str)> {
    let (prefix, name) = model.split_once('/').unwrap_or(("openai", model));
    VENDORS.iter().find(|vendor| vendor.prefix == prefix).map(|vendor| (vendor, name))
}
