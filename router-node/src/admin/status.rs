//! The state of the cluster as this router sees it at one moment.

use std::collections::BTreeMap;

use tonic::Status;
use trunkline_core::snapshot::EndpointState;
use trunkline_proto::admin::v1::{
    EndpointStatus, Evidence, GetStatusRequest, GetStatusResponse, ProberStatus, ProviderStatus,
    RouterStatus,
};
use trunkline_spec::observation::decode_prober_record;
use trunkline_spec::overrides::Scope;
use trunkline_store::keys::{Key, PROBERS};
use trunkline_store::port::KeyValue;

use super::{Admin, Admitted, canary, refusal, routers};
use crate::ingress::grpc::verdict_of_name;
use crate::view::{Lane, View};

/// The state of the cluster, or of one target.
///
/// # Errors
/// When the target cannot be read.
pub async fn answer(
    admin: &Admin,
    by: &Admitted,
    asked: &GetStatusRequest,
) -> Result<GetStatusResponse, Status> {
    let wanted = wanted(asked)?;
    let Members { routers, probers, unlisted } = members(admin, by).await;
    Ok(GetStatusResponse {
        revision: by.revision(),
        providers: providers(admin, by, wanted.as_ref()),
        routers,
        probers,
        unlisted: unlisted.unwrap_or_default(),
        answered_by: admin.identity.node.to_string(),
        canary: by.view.canary.as_ref().map(|running| canary::message(&running.canary)),
    })
}

/// What the state is asked of; `None` for everything.
///
/// # Errors
/// When it cannot be read.
pub fn wanted(asked: &GetStatusRequest) -> Result<Option<Scope>, Status> {
    match asked.target.as_str() {
        "" => Ok(None),
        target => Scope::parse(target).map(Some).map_err(|m| refusal::bad_field("target", &m)),
    }
}

/// Who is alive.
pub struct Members {
    /// Routers, by id.
    pub routers: Vec<RouterStatus>,
    /// Probers, by id.
    pub probers: Vec<ProberStatus>,
    /// Why they could not be listed. This router is among the routers all the same.
    pub unlisted: Option<String>,
}

/// Routers and probers that are alive. Both are asked for at once: a store that is away takes seconds to say so.
pub async fn members(admin: &Admin, by: &Admitted) -> Members {
    let (routers, probers) = tokio::join!(routers::alive(admin, by), admin.store.list(PROBERS));
    let known = routers.and_then(|routers| Ok((routers, probers?)));
    let (routers, probers, unlisted) = match known {
        Ok((routers, probers)) => {
            (routers, probers.entries.iter().filter_map(prober).collect(), None)
        }
        Err(error) => {
            tracing::warn!(%error, "routers and probers cannot be listed");
            (routers::own(admin, by), Vec::new(), Some(error.to_string()))
        }
    };
    let routers = routers.into_iter().map(|member| member.status(admin, by)).collect();
    Members { routers, probers, unlisted }
}

fn providers(admin: &Admin, by: &Admitted, wanted: Option<&Scope>) -> Vec<ProviderStatus> {
    let now = admin.router.clock.now_ms();
    let mut providers: BTreeMap<&str, Vec<EndpointStatus>> = BTreeMap::new();
    for (state, lane) in by.view.snapshot.endpoints.iter().zip(by.view.lanes.iter()) {
        if wanted.is_none_or(|scope| scope.covers(&state.endpoint)) {
            let status = of_endpoint(&by.view, state, lane, now);
            providers.entry(state.endpoint.provider.as_str()).or_default().push(status);
        }
    }
    let status = |(provider, mut endpoints): (&str, Vec<EndpointStatus>)| {
        endpoints.sort_by(|a, b| (&a.model, &a.region).cmp(&(&b.model, &b.region)));
        ProviderStatus { provider: provider.to_owned(), endpoints }
    };
    providers.into_iter().map(status).collect()
}

/// The state of one endpoint. Calls in flight are this router's alone.
pub fn of_endpoint(view: &View, state: &EndpointState, lane: &Lane, now_ms: u64) -> EndpointStatus {
    let (endpoint, numbers) = (&state.endpoint, &state.numbers);
    let heard = view.table.rows.get(&endpoint.id).map(|row| row.heard).unwrap_or_default();
    EndpointStatus {
        endpoint_id: endpoint.id.to_string(),
        provider: endpoint.provider.to_string(),
        model: endpoint.model.to_string(),
        region: endpoint.region.to_string(),
        verdict: verdict_of_name(state.verdict.as_str()).into(),
        weight_q16: state.weight.0.into(),
        base_weight: state.operator_weight.into(),
        weight_pinned: state.operator_weight != endpoint.weight,
        drained: state.drained,
        ttft_p50_ms: numbers.ttft_p50_ms.map(f64::from),
        ttft_p99_ms: numbers.ttft_p99_ms.map(f64::from),
        tokens_per_second_p50: numbers.tokens_per_second.map(f64::from),
        counts: None,
        success_permille: numbers.success_permille,
        in_flight: lane.load.in_flight().into(),
        evidence: Some(Evidence {
            observers: heard.voices,
            votes_down: heard.down,
            votes_degraded: heard.degraded,
            votes_config: heard.config,
            active: heard.active > 0,
            passive: heard.passive > 0,
            ..Evidence::default()
        }),
        local_breaker: lane.load.admission(now_ms).as_str().to_owned(),
    }
}

fn prober(entry: &KeyValue) -> Option<ProberStatus> {
    let Some(Key::Prober(id)) = Key::parse(&entry.key) else { return None };
    let record = decode_prober_record(&entry.value).ok()?;
    Some(ProberStatus {
        prober_id: id.to_string(),
        address: record.address,
        zone: record.zone,
        version: record.version,
        local_health: record.local_health.into(),
        self_suspect: record.self_suspect,
        distrusted: false,
    })
}
