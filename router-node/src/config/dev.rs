//! What `router-node dev` and `demo` may do: serve this machine alone. And which providers a developer's
//! environment has keys for.

use std::net::SocketAddr;
use std::path::PathBuf;

use trunkline_core::catalog::Dialect;
use trunkline_spec::Problems;

use super::{DevArgs, LocalPorts, LogLevel, variable};

/// A checked `dev` configuration: every address is a loopback one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dev {
    /// The ports.
    pub ports: LocalPorts,
    /// Where the state is kept between runs.
    pub data_dir: PathBuf,
    /// Whether to forget the state of earlier runs.
    pub fresh: bool,
    /// A catalog to use instead of the providers found in the environment.
    pub catalog: Option<PathBuf>,
    /// A policy to use.
    pub policy: Option<PathBuf>,
    /// From which level on lines are logged.
    pub log_level: LogLevel,
    /// Providers that the environment holds a key for.
    pub providers: Vec<&'static KnownProvider>,
}

/// A public provider and the variable that its users keep its key in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownProvider {
    /// Its id in the catalog that `dev` makes.
    pub id: &'static str,
    /// How it speaks.
    pub dialect: Dialect,
    /// Where it is called.
    pub base_url: &'static str,
    /// The variable that holds its key.
    pub env: &'static str,
}

/// Providers that `dev` knows by their variables.
const KNOWN: [KnownProvider; 8] = [
    openai_like("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    KnownProvider {
        id: "anthropic",
        dialect: Dialect::Anthropic,
        base_url: "https://api.anthropic.com",
        env: "ANTHROPIC_API_KEY",
    },
    openai_like("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    openai_like("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    openai_like("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    openai_like("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    openai_like("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    openai_like("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
];

const fn openai_like(id: &'static str, base_url: &'static str, env: &'static str) -> KnownProvider {
    KnownProvider { id, dialect: Dialect::OpenAi, base_url, env }
}

/// The known providers whose variable is set, as `is_set` tells.
pub fn known_providers(is_set: impl Fn(&str) -> bool) -> Vec<&'static KnownProvider> {
    KNOWN.iter().filter(|provider| is_set(provider.env)).collect()
}

impl DevArgs {
    /// The configuration of `dev`, with the providers found in the environment.
    ///
    /// # Errors
    /// Addresses that other machines could reach.
    pub fn checked(&self) -> Result<Dev, Problems> {
        self.ports.checked()?;
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.trim().is_empty());
        Ok(Dev {
            ports: self.ports,
            data_dir: self.data_dir.clone(),
            fresh: self.fresh,
            catalog: self.catalog.clone(),
            policy: self.policy.clone(),
            log_level: self.log_level,
            providers: known_providers(is_set),
        })
    }
}

impl LocalPorts {
    /// Free ports, whichever they are.
    pub fn any() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { listen: any, ops: any, admin: any }
    }

    /// The same ports, if all are on loopback addresses.
    ///
    /// # Errors
    /// Addresses that other machines could reach.
    pub fn checked(&self) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        for (flag, address) in
            [("--listen", self.listen), ("--ops", self.ops), ("--admin", self.admin)]
        {
            if !address.ip().is_loopback() {
                problems.add(flag, refusal(address));
            }
        }
        problems.or(*self)
    }
}

fn refusal(address: SocketAddr) -> String {
    format!(
        "`{address}` can be reached from other machines, and this command asks nobody for a key; use \
         127.0.0.1:{}, or `router-node serve` for others",
        address.port()
    )
}
