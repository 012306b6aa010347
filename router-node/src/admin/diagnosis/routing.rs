//! What is wrong with what calls meet: endpoints that cannot be called or do not work, rules that match nothing,
//! models that nobody serves.

use std::collections::BTreeMap;

use trunkline_core::assess::Limit;
use trunkline_core::snapshot::Verdict;
use trunkline_proto::admin::v1::Finding;

use super::finding;
use crate::census::usable;
use crate::view::View;

/// All of them.
pub fn findings(view: &View) -> Vec<Finding> {
    let mut found = models(view);
    found.extend(uncallable(view));
    found.extend(verdicts(view));
    found.extend(routes(view));
    found.extend(drains(view));
    found
}

fn models(view: &View) -> Vec<Finding> {
    let snapshot = &view.snapshot;
    let unusable = snapshot.models().filter(|model| {
        let states = snapshot.endpoints.get(snapshot.endpoints_of(model)).unwrap_or_default();
        !states.iter().any(usable)
    });
    let told = unusable.map(|model| {
        let problem =
            "no endpoint of it can be chosen: all are down, drained or at weight 0".to_owned();
        let remedy = "undrain one, give one a weight, or add one to the catalog";
        finding("model_without_endpoint", format!("model/{model}"), problem, remedy)
    });
    told.collect()
}

/// Lanes that could not be built, most often for want of a credential; once for each provider and reason.
fn uncallable(view: &View) -> Vec<Finding> {
    let mut reasons: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for lane in view.lanes.iter().filter(|lane| lane.target.is_none()) {
        let reason = lane.problem().unwrap_or_default();
        *reasons.entry((lane.endpoint().provider.as_str(), reason)).or_default() += 1;
    }
    let told = reasons.into_iter().map(|((provider, reason), endpoints)| {
        let problem = format!("this router cannot call {endpoints} of its endpoints: {reason}");
        let remedy = "give the router what is missing; it looks again by itself for files, and after a restart for variables";
        finding("provider_uncallable", format!("provider/{provider}"), problem, remedy)
    });
    told.collect()
}

fn verdicts(view: &View) -> Vec<Finding> {
    let mut found = Vec::new();
    if view.table.disruption {
        let problem =
            "most providers look down to probes alone: nothing is taken out on their word";
        let remedy = "look at the network of the probers first";
        found.push(finding("disruption", "probers".to_owned(), problem.to_owned(), remedy));
    }
    let told = view.snapshot.endpoints.iter().filter_map(|state| {
        let limited = view.table.rows.get(&state.endpoint.id).and_then(|row| row.limited);
        let subject = format!("endpoint/{}", state.endpoint.name());
        let (code, problem, remedy) = match limited {
            Some(limit) => kept(limit),
            None => of_verdict(state.verdict)?,
        };
        Some(finding(code, subject, problem.to_owned(), remedy))
    });
    found.extend(told);
    found
}

/// What is wrong, in a code, in words, and with its remedy.
type Told = (&'static str, &'static str, &'static str);

/// The observers agree that it is down, and it gets calls all the same.
fn kept(limit: Limit) -> Told {
    let problem = match limit {
        Limit::Share => "it looks down, and is kept: half of its model's endpoints are out already",
        Limit::OnlyOne => "it looks down, and is kept: its model has no other endpoint",
        Limit::Disruption => "it looks down to probes alone, and is kept: most providers do",
    };
    ("endpoint_kept", problem, "bring another endpoint of its model back, or add one")
}

fn of_verdict(verdict: Verdict) -> Option<Told> {
    match verdict {
        Verdict::Unknown | Verdict::Up | Verdict::Degraded => None,
        Verdict::AdvisoryDown => Some((
            "endpoint_down",
            "it looks down to its only witness, and gets calls all the same",
            "run more probers; see the provider's own status page",
        )),
        Verdict::ZoneDown => Some((
            "endpoint_down_here",
            "it is down for this zone alone",
            "look at the network between this zone and the provider",
        )),
        Verdict::Down => Some((
            "endpoint_down",
            "it is down and gets no calls",
            "none is needed: when it works, most of its observers must see that, which takes up to a minute or two, and \
             minutes after a third fall; then its weight comes back in steps. The status page shows each vote. Drain it \
             to keep it out",
        )),
        Verdict::ConfigError => Some((
            "endpoint_refuses",
            "it refuses our credential, or does not know the model",
            "check the provider's key and the model's name in the catalog",
        )),
    }
}

/// Routes that lead to models which nobody serves.
fn routes(view: &View) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, route) in &view.snapshot.policy.routes {
        let unknown =
            route.models.iter().filter(|model| view.snapshot.endpoints_of(model).is_empty());
        for model in unknown {
            let near = view.snapshot.nearest_names(model.as_str(), 1);
            let near =
                near.first().map(|near| format!("; did you mean {near}")).unwrap_or_default();
            let problem = format!("it leads to {model}, which no endpoint serves{near}");
            let remedy = "correct the name in the policy, or add an endpoint to the catalog";
            found.push(finding("route_to_nowhere", format!("route/{name}"), problem, remedy));
        }
    }
    found
}

/// Drains that cover nothing any more.
fn drains(view: &View) -> Vec<Finding> {
    let idle = view
        .drained
        .iter()
        .filter(|scope| !view.snapshot.endpoints.iter().any(|state| scope.covers(&state.endpoint)));
    let told = idle.map(|scope| {
        let problem = "its drain matches no endpoint of the catalog".to_owned();
        finding("drain_of_nothing", scope.to_string(), problem, "undrain it")
    });
    told.collect()
}
