//! `policy test`: draws the plans of cases, with the function that draws those of calls. Needs no router.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use trunkline_core::assess::{self, Inputs, Override, Overrides};
use trunkline_core::catalog::Catalog;
use trunkline_core::facts::{Facts, Preferences};
use trunkline_core::id::Zone;
use trunkline_core::names::{self, Refused};
use trunkline_core::plan::{self, LocalLayer, LocalLoad};
use trunkline_core::policy::Policy;
use trunkline_core::snapshot::{EndpointState, Snapshot};
use trunkline_spec::cases::{self, Case, RefusedEntry, State};
use trunkline_spec::overrides::Scope;
use trunkline_spec::{catalog, policy};

use super::document::File;
use crate::Failure;
use crate::cli::{Format, PolicyTestArgs};
use crate::render;

/// Draws of a case that names no seed. An endpoint with a twentieth of the calls is missed by all of them once
/// in two hundred cases.
const DRAWS: u64 = 100;

/// Runs the cases.
///
/// # Errors
/// [`Failure::Invalid`] for documents that are wrong and for cases that do not come out as expected, or an
/// `out` that does not take the answer.
pub fn run(args: &PolicyTestArgs, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let file = File::read(&args.cases)?;
    let cases = cases::parse(&file.text).map_err(|p| file.invalid(p))?;
    let beside = args.cases.parent().unwrap_or(Path::new("")).join(&cases.catalog);
    let catalog_file = File::read(&beside)?;
    let catalog = catalog::parse(&catalog_file.text).map_err(|p| catalog_file.invalid(p))?;
    cases.check_against(&catalog).map_err(|p| file.invalid(p))?;
    let policy_file = File::read(&args.file.file)?;
    let policy = policy::parse_against(&policy_file.text, &catalog);
    let policy = policy.map_err(|p| policy_file.invalid(p))?;
    let results: Vec<(&str, Option<String>)> = cases
        .cases
        .iter()
        .map(|case| (case.name.as_str(), World::new(case, &catalog, &policy).try_it(case)))
        .collect();
    show(&results, format, out)?;
    match results.iter().filter(|(_, failed)| failed.is_some()).count() {
        0 => Ok(()),
        failed => Err(Failure::Invalid(format!("{failed} of {} cases failed", results.len()))),
    }
}

fn show(
    results: &[(&str, Option<String>)],
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if format.is_data() {
        let item = |(name, failed): &(&str, Option<String>)| json!({"id": name, "passed": failed.is_none(), "problem": failed});
        let items: Vec<Value> = results.iter().map(item).collect();
        return Ok(render::data(&json!({ "items": items }), format, out)?);
    }
    for (name, failed) in results {
        match failed {
            None => writeln!(out, "ok      {name}")?,
            Some(problem) => writeln!(out, "FAILED  {name}\n        {problem}")?,
        }
    }
    Ok(())
}

/// What the plan of a case is drawn from.
struct World {
    snapshot: Snapshot,
    local: Local,
}

/// The breakers' words, by position in the snapshot's endpoints.
struct Local(Vec<LocalLoad>);

impl LocalLayer for Local {
    fn load(&self, endpoint: usize) -> LocalLoad {
        self.0.get(endpoint).copied().unwrap_or_default()
    }
}

impl World {
    fn new(case: &Case, catalog: &Catalog, policy: &Policy) -> Self {
        let mut said: BTreeMap<_, State> = BTreeMap::new();
        for endpoint in &catalog.endpoints {
            for (_, state) in case.states.iter().filter(|(scope, _)| scope.covers(endpoint)) {
                add(said.entry(endpoint.id).or_default(), state);
            }
        }
        let word = |state: &State| Override { drained: state.drained, weight: state.weight };
        let overrides =
            Overrides { endpoints: said.iter().map(|(id, state)| (*id, word(state))).collect() };
        let table = assess::assess(&Inputs {
            catalog,
            policy,
            overrides: &overrides,
            probers: &BTreeMap::new(),
            observations: &BTreeMap::new(),
            zone: &Zone::new(""),
        });
        let state_of = |state: &EndpointState| said.get(&state.endpoint.id).copied();
        let mut states = table.states(catalog);
        for state in &mut states {
            let said = state_of(state).unwrap_or_default();
            state.verdict = said.verdict.unwrap_or(state.verdict);
            state.numbers.ttft_p50_ms = said.ttft_ms;
            state.numbers.tokens_per_second = said.tokens_per_second;
        }
        let snapshot = Snapshot::new(0, policy.clone(), catalog.providers.clone(), states);
        let load = |state: &EndpointState| {
            let admission = state_of(state).and_then(|said| said.admission).unwrap_or_default();
            LocalLoad { admission, ..LocalLoad::default() }
        };
        let local = Local(snapshot.endpoints.iter().map(load).collect());
        Self { snapshot, local }
    }

    /// What is not as expected; nothing when all is.
    fn try_it(&self, case: &Case) -> Option<String> {
        let asked = case.names.iter().map(String::as_str);
        let asked = match names::resolve(asked, &self.snapshot, &case.tenant) {
            Ok(asked) => asked,
            Err(Refused::Unknown(_)) => return refused(case, RefusedEntry::UnknownModel),
            Err(Refused::NotAllowed(_)) => return refused(case, RefusedEntry::NotAllowed),
        };
        let mut facts = Facts { models: asked.models, ..case.facts.clone() };
        if let Some(sort) = asked.sort {
            facts
                .preferences
                .get_or_insert_with(Box::<Preferences>::default)
                .sort
                .get_or_insert(sort);
        }
        let seeds = case.seed.map_or(0..DRAWS, |seed| seed..seed.saturating_add(1));
        seeds.map(|seed| self.draw(case, &facts, seed)).find_map(|plan| against(case, &plan))
    }

    /// The endpoints of a plan's turns.
    fn draw(&self, case: &Case, facts: &Facts, seed: u64) -> Vec<&EndpointState> {
        let plan = plan::draw(&self.snapshot, &case.tenant, facts, &self.local, seed);
        plan.turns.iter().filter_map(|turn| self.snapshot.endpoints.get(turn.endpoint)).collect()
    }
}

/// A later state adds to an earlier one.
fn add(to: &mut State, state: &State) {
    *to = State {
        verdict: state.verdict.or(to.verdict),
        admission: state.admission.or(to.admission),
        drained: state.drained || to.drained,
        weight: state.weight.or(to.weight),
        ttft_ms: state.ttft_ms.or(to.ttft_ms),
        tokens_per_second: state.tokens_per_second.or(to.tokens_per_second),
    };
}

fn refused(case: &Case, got: RefusedEntry) -> Option<String> {
    if case.expect.refused == Some(got) {
        return None;
    }
    let expected = case.expect.refused.map_or("a plan", RefusedEntry::as_str);
    Some(format!("expected {expected}, got {}", got.as_str()))
}

/// What of a plan is not as expected.
fn against(case: &Case, plan: &[&EndpointState]) -> Option<String> {
    let expect = &case.expect;
    if plan.is_empty() {
        return refused(case, RefusedEntry::NothingLeft);
    }
    let got = || plan.iter().map(|state| state.endpoint.name()).collect::<Vec<_>>().join(", ");
    if let Some(reason) = expect.refused {
        return Some(format!("expected {}, got {}", reason.as_str(), got()));
    }
    let any =
        |scopes: &[Scope], state: &EndpointState| scopes.iter().any(|s| s.covers(&state.endpoint));
    if let Some(turns) = &expect.plan
        && !(turns.len() == plan.len()
            && turns.iter().zip(plan).all(|(scope, state)| scope.covers(&state.endpoint)))
    {
        return Some(format!("expected the plan {}, got {}", listed(turns), got()));
    }
    if !expect.first.is_empty() && !plan.first().is_some_and(|state| any(&expect.first, state)) {
        return Some(format!("expected {} first, got {}", listed(&expect.first), got()));
    }
    if !expect.within.is_empty() && !plan.iter().all(|state| any(&expect.within, state)) {
        return Some(format!("expected nothing but {}, got {}", listed(&expect.within), got()));
    }
    if plan.iter().any(|state| any(&expect.never, state)) {
        return Some(format!("expected {} never, got {}", listed(&expect.never), got()));
    }
    None
}

fn listed(scopes: &[Scope]) -> String {
    scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join(", ")
}
