//! All metrics that the programs say they have.

use trunkline_runtime::catalogue::Metric;

/// Those of a router.
#[must_use]
pub fn router() -> Vec<Metric> {
    [
        router_node::telemetry::CATALOGUE,
        router_node::ingress::telemetry::CATALOGUE,
        router_node::census::telemetry::CATALOGUE,
        router_node::canary::telemetry::CATALOGUE,
        router_node::evidence::telemetry::CATALOGUE,
        router_node::admin::telemetry::CATALOGUE,
        router_node::traces::telemetry::CATALOGUE,
        router_node::certificates::CATALOGUE,
        router_node::reload::telemetry::CATALOGUE,
    ]
    .concat()
}

/// Those of a prober.
#[must_use]
pub fn prober() -> Vec<Metric> {
    health_prober::telemetry::CATALOGUE.to_vec()
}
