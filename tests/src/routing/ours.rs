//! Routers that choose as ours do: the real plan, over the real weights and the real local layer.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use router_node::load::{EndpointLoad, InFlight};
use trunkline_core::assess::{Inputs, Overrides, assess};
use trunkline_core::catalog::{Capabilities, Catalog};
use trunkline_core::facts::Facts;
use trunkline_core::id::{EndpointId, KeyId, ModelId, ProberId, Zone};
use trunkline_core::observation::{Evidence, Observation, ProberInfo, Vote};
use trunkline_core::plan::{LocalLayer, LocalLoad, draw};
use trunkline_core::policy::{Policy, Tenant};
use trunkline_core::snapshot::Snapshot;

/// Probers that publish the same: they measure the same traffic.
const PROBERS: usize = 5;

/// What all routers share: the catalog, and the snapshot in force.
pub(super) struct Cluster {
    catalog: Catalog,
    tenant: Tenant,
    facts: Facts,
    /// In force.
    pub(super) snapshot: Snapshot,
    /// Position in the snapshot → number of the provider, and back.
    numbers: Vec<usize>,
    loads: Vec<Vec<Arc<EndpointLoad>>>,
}

impl Cluster {
    /// So many routers before endpoints of these prices in USD for a million answer tokens.
    pub(super) fn new(routers: usize, usd: &[u32]) -> Self {
        let catalog = catalog(usd);
        let facts = Facts {
            models: vec![ModelId::new("m")],
            input_tokens: 1_000,
            max_output_tokens: None,
            needs: Capabilities { chat: true, ..Capabilities::default() },
            parameters: Vec::new(),
            affinity: None,
            preferences: None,
        };
        let mut cluster = Self {
            catalog,
            tenant: Tenant::unrestricted(KeyId::new("simulated")),
            facts,
            snapshot: Snapshot::default(),
            numbers: Vec::new(),
            loads: (0..routers)
                .map(|_| usd.iter().map(|_| Arc::new(EndpointLoad::default())).collect())
                .collect(),
        };
        cluster.snapshot = cluster.agreed(|_| works());
        let number = |name: &str| name.trim_start_matches("provider-").parse().unwrap_or(0);
        cluster.numbers = cluster
            .snapshot
            .endpoints
            .iter()
            .map(|s| number(s.endpoint.provider.as_str()))
            .collect();
        cluster
    }

    /// The snapshot that follows when all probers publish this of each provider, by number.
    pub(super) fn agreed(&self, publish: impl Fn(usize) -> Observation) -> Snapshot {
        let info = |at: usize| ProberInfo {
            zone: Zone::new(&format!("zone-{}", at % 3)),
            incarnation: 1,
            self_suspect: false,
        };
        let name = |at: usize| ProberId::new(&format!("prober-{at}"));
        let probers: BTreeMap<ProberId, ProberInfo> =
            (0..PROBERS).map(|at| (name(at), info(at))).collect();
        let mut observations: BTreeMap<(EndpointId, ProberId), Observation> = BTreeMap::new();
        for endpoint in &self.catalog.endpoints {
            let number = endpoint.provider.as_str().trim_start_matches("provider-").parse();
            let said = publish(number.unwrap_or(0));
            for at in 0..PROBERS {
                observations
                    .insert((endpoint.id, name(at)), Observation { incarnation: 1, ..said });
            }
        }
        let policy = Policy::default();
        let table = assess(&Inputs {
            catalog: &self.catalog,
            policy: &policy,
            overrides: &Overrides::default(),
            probers: &probers,
            observations: &observations,
            zone: &Zone::new("zone-0"),
        });
        Snapshot::new(1, policy, self.catalog.providers.clone(), table.states(&self.catalog))
    }

    /// The provider that a router's next call goes to, by number; `None` when there is none.
    pub(super) fn choose(&self, router: usize, dice: u64, now_ms: u64) -> Option<usize> {
        let local = Local { cluster: self, router, now_ms };
        let plan = draw(&self.snapshot, &self.tenant, &self.facts, &local, dice);
        let first = plan.turns.first()?;
        let number = *self.numbers.get(first.endpoint)?;
        let load = self.load(router, number);
        // A trial is taken by whoever is planned for it, as the attempt loop does.
        load.take_trial(now_ms);
        Some(number)
    }

    pub(super) fn load(&self, router: usize, provider: usize) -> &Arc<EndpointLoad> {
        &self.loads[router][provider]
    }

    /// A call is under way as long as this is held.
    pub(super) fn begin(&self, router: usize, provider: usize) -> InFlight {
        InFlight::begin(self.load(router, provider))
    }
}

struct Local<'a> {
    cluster: &'a Cluster,
    router: usize,
    now_ms: u64,
}

impl LocalLayer for Local<'_> {
    fn load(&self, endpoint: usize) -> LocalLoad {
        let number = self.cluster.numbers[endpoint];
        self.cluster.load(self.router, number).read(1, self.now_ms)
    }
}

/// What probers publish of an endpoint that works.
pub(super) fn works() -> Observation {
    Observation {
        vote: Vote::Up,
        ramp_permille: 1_000,
        evidence: Evidence { active: true, passive: true },
        ..Observation::default()
    }
}

/// One model at as many providers as there are prices.
fn catalog(usd: &[u32]) -> Catalog {
    let mut text = String::from("version: 1\nproviders:\n");
    for (at, usd) in usd.iter().enumerate() {
        // Writing to a string cannot fail.
        _ = writeln!(
            text,
            "  - id: provider-{at}\n    base_url: http://127.0.0.1:{}/v1\n    endpoints:\n      - {{model: m, \
             price: {{input: {usd}, output: {usd}}}}}",
            10_000 + at
        );
    }
    trunkline_spec::catalog::parse(&text).expect("the simulator's own catalog")
}
