//! How large a simulated cluster is, and its catalog.

use std::fmt::Write as _;

use trunkline_core::draw::Rng;
use trunkline_core::money::PicoUsd;

/// The size of a cluster, and what its probes may cost.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Routers.
    pub routers: usize,
    /// Probers, liars included.
    pub probers: usize,
    /// How many of the probers lie.
    pub liars: usize,
    /// Zones; routers and probers take turns in them.
    pub zones: usize,
    /// Providers.
    pub providers: usize,
    /// Models; every provider serves each.
    pub models: usize,
    /// What a million tokens of answer cost, in whole US dollars; of prompt, a fifth of it.
    pub usd_per_million: u64,
    /// What the probes of one endpoint may cost in a day.
    pub endpoint_daily: PicoUsd,
    /// What all probes may cost in a day.
    pub cluster_daily: PicoUsd,
    /// Live calls that each router sends to each eligible endpoint, a second.
    pub calls_per_second: u32,
    /// Revisions that the store remembers.
    pub history_revisions: usize,
}

impl Default for Scale {
    /// Three routers, five probers, three zones, four providers of two models, and no traffic.
    fn default() -> Self {
        Self {
            routers: 3,
            probers: 5,
            liars: 0,
            zones: 3,
            providers: 4,
            models: 2,
            usd_per_million: 15,
            endpoint_daily: PicoUsd::from_usd(1),
            cluster_daily: PicoUsd::from_usd(5),
            calls_per_second: 0,
            history_revisions: 10_000,
        }
    }
}

impl Scale {
    /// A small cluster that chance draws up, liars within the bound.
    pub fn drawn(rng: &mut Rng) -> Self {
        let of = |rng: &mut Rng, from: u64, to: u64| (from + rng.below(to - from + 1)) as usize;
        let probers = of(rng, 1, 7);
        let most_liars = match probers {
            0..=2 => 0,
            3 | 4 => 1,
            _ => 2,
        };
        Self {
            routers: of(rng, 2, 3),
            probers,
            liars: of(rng, 0, most_liars),
            zones: of(rng, 1, 3),
            providers: of(rng, 1, 4),
            models: of(rng, 1, 2),
            calls_per_second: [0, 0, 3][of(rng, 0, 2)],
            // Some are so poor that their probes must do without generations.
            cluster_daily: PicoUsd([5_000_000_000_000, 2_000_000_000][of(rng, 0, 1)]),
            history_revisions: [10, 10_000][of(rng, 0, 1)],
            ..Self::default()
        }
    }

    /// The catalog as an operator would write it.
    pub(super) fn catalog(&self) -> String {
        let mut text = String::from("version: 1\nproviders:\n");
        let output = self.usd_per_million;
        let input = output as f64 / 5.0;
        for provider in 0..self.providers {
            let port = 10_000 + provider;
            let name = provider_name(provider);
            // Writing to a string cannot fail.
            _ = writeln!(text, "  - id: {name}\n    base_url: http://127.0.0.1:{port}/v1");
            text.push_str("    endpoints:\n");
            for model in 0..self.models {
                _ = writeln!(
                    text,
                    "      - {{model: m{model}, price: {{input: {input}, output: {output}}}}}"
                );
            }
        }
        text
    }
}

/// The name of a provider, such that names sort as numbers do.
pub(super) fn provider_name(number: usize) -> String {
    format!("provider-{number:03}")
}

/// The zone that a process of this number stands in.
pub(super) fn zone_name(number: usize, zones: usize) -> String {
    format!("zone-{}", number % zones.max(1))
}
