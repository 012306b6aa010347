//! Fourth stage: how much the consensus may take out. Losing too much at once is worse than calling an
//! endpoint that may be ill, and a failure that only probes see, everywhere at once, is more likely ours.

use std::collections::BTreeMap;

use crate::assess::Draft;
use crate::id::{EndpointId, ProviderId};
use crate::snapshot::Verdict;

/// Fewer providers down at once are their own trouble …
const DISRUPTION_PROVIDERS: u32 = 3;
/// … and so is a smaller share of all providers, in percent.
const DISRUPTION_PERCENT: u32 = 60;

/// Why an endpoint is not ejected although the observers agree that it is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Half of the model's endpoints, or all but one, are ejected already.
    Share,
    /// The model has no other endpoint.
    OnlyOne,
    /// Only probes see it down, and they see most providers down.
    Disruption,
}

impl Limit {
    /// The name in explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::OnlyOne => "only_one",
            Self::Disruption => "disruption",
        }
    }
}

/// Applies the limits; says whether there is a disruption.
pub(super) fn ejections(drafts: &mut [Draft<'_>]) -> bool {
    let disruption = disruption(drafts);
    if disruption {
        for draft in drafts.iter_mut().filter(|d| down_to_probes_alone(d)) {
            draft.row.verdict = Verdict::AdvisoryDown;
            draft.row.limited = Some(Limit::Disruption);
        }
    }
    for model in drafts.chunk_by_mut(|a, b| a.endpoint.model == b.endpoint.model) {
        keep_some(model);
    }
    disruption
}

/// Down, and not by what a majority of the observers heard from live traffic: a few that claim to have heard
/// from it cannot undo the protection, nor can a few that deny it bring it about.
fn down_to_probes_alone(draft: &Draft<'_>) -> bool {
    let heard = &draft.row.heard;
    let by_live_traffic = heard.down - heard.down_active_only;
    draft.row.agreed == Verdict::Down && by_live_traffic <= heard.assigned / 2
}

/// Whether most providers are down to probes alone. A provider is down when more than half of its endpoints
/// that anybody was heard about are.
fn disruption(drafts: &[Draft<'_>]) -> bool {
    let mut providers: BTreeMap<&ProviderId, (u32, u32)> = BTreeMap::new();
    for draft in drafts.iter().filter(|d| !d.row.no_evidence()) {
        let (known, down) = providers.entry(&draft.endpoint.provider).or_default();
        *known += 1;
        *down += u32::from(down_to_probes_alone(draft));
    }
    let down = providers.values().filter(|(known, down)| 2 * down > *known).count() as u32;
    down >= DISRUPTION_PROVIDERS && down * 100 >= DISRUPTION_PERCENT * providers.len() as u32
}

/// Ejects at most half of a model's endpoints, the worst first, and never the only one. The rest stay in as
/// degraded, at the lowest factor.
fn keep_some(model: &mut [Draft<'_>]) {
    let allowed = |d: &&Draft<'_>| {
        !d.row.drained && d.row.operator_weight > 0 && d.row.verdict != Verdict::ConfigError
    };
    let all = model.iter().filter(allowed).count();
    let most = if all <= 1 { 0 } else { all / 2 };
    let down = model.iter().filter(allowed).filter(|d| d.row.verdict == Verdict::Down);
    let mut worst: Vec<(u32, EndpointId)> =
        down.map(|d| (d.row.scores.success_permille, d.endpoint.id)).collect();
    worst.sort_unstable();
    let kept: Vec<EndpointId> = worst.into_iter().skip(most).map(|(_, id)| id).collect();
    for draft in model.iter_mut().filter(|d| kept.contains(&d.endpoint.id)) {
        draft.row.verdict = Verdict::Degraded;
        draft.row.limited = Some(if all <= 1 { Limit::OnlyOne } else { Limit::Share });
    }
}
