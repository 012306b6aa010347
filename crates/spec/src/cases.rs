//! Cases that a policy must pass: what a call asks for and how providers are → the plan that must come out.
//! Reading them is here; whoever has the policy and the catalog draws the plans.

mod document;
mod request;

use trunkline_core::breaker::Admission;
use trunkline_core::catalog::Catalog;
use trunkline_core::facts::Facts;
use trunkline_core::id::{KeyId, ModelId, ProviderId};
use trunkline_core::policy::Tenant;
use trunkline_core::snapshot::Verdict;

pub use document::{
    BreakerEntry, CaseEntry, CaseKeyEntry, CasesDocument, ExpectEntry, RefusedEntry, StateEntry,
    VerdictEntry,
};
pub use request::{DataCollectionEntry, RequestEntry, SortEntry, WishesEntry};

use crate::error::Problems;
use crate::load::{Loaded, load};
use crate::overrides::Scope;

/// The version of the cases format that this release reads.
pub const VERSION: u32 = 1;
/// The most cases; each is drawn a hundred times.
const MAX_CASES: usize = 1_000;
/// The most states of one case: one for each endpoint of the largest catalog.
const MAX_STATES: usize = 2_000;
/// The largest operator weight.
const MAX_WEIGHT: u16 = 1_000;

/// Cases that are right.
#[derive(Clone, Debug)]
pub struct Cases {
    /// The file of the catalog, as it is written.
    pub catalog: String,
    /// The cases, in their order.
    pub cases: Vec<Case>,
    loaded: Loaded<CasesDocument>,
}

/// One case, as decisions use it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What must hold.
    pub name: String,
    /// The names that are asked for, in their order.
    pub names: Vec<String>,
    /// All else that is known of the call; its models are still to be resolved.
    pub facts: Facts,
    /// What its key may do.
    pub tenant: Tenant,
    /// How things are; a later state adds to an earlier one.
    pub states: Vec<(Scope, State)>,
    /// What must come out.
    pub expect: Expect,
    /// The seed of the only draw, if one is named.
    pub seed: Option<u64>,
}

/// How something is; `None` where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What the probers agree on.
    pub verdict: Option<Verdict>,
    /// The breaker's word.
    pub admission: Option<Admission>,
    /// Taken out by an operator.
    pub drained: bool,
    /// A pinned weight, 0 to 1000.
    pub weight: Option<u16>,
    /// Median time to the first token.
    pub ttft_ms: Option<u32>,
    /// Median tokens a second.
    pub tokens_per_second: Option<u32>,
}

/// What must come out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// The turns in order.
    pub plan: Option<Vec<Scope>>,
    /// Where the first turn may be; anywhere when empty.
    pub first: Vec<Scope>,
    /// Where turns may be; anywhere when empty.
    pub within: Vec<Scope>,
    /// Where no turn may be.
    pub never: Vec<Scope>,
    /// Why there is no plan.
    pub refused: Option<RefusedEntry>,
}

/// Reads cases, in YAML or JSON.
///
/// # Errors
/// Every mistake found, with its line.
pub fn parse(text: &str) -> Result<Cases, Problems> {
    let loaded = load::<CasesDocument>(text)?;
    let mut problems = Problems::default();
    let document = &loaded.document;
    if document.version != VERSION {
        let message =
            format!("version {} is not known; this release reads {VERSION}", document.version);
        problems.add("version", message);
    }
    if document.cases.is_empty() || document.cases.len() > MAX_CASES {
        problems.add("cases", format!("write 1 to {MAX_CASES} cases"));
    }
    let admit =
        |(at, case): (usize, &CaseEntry)| case.admit(&format!("cases[{at}]"), &mut problems);
    let cases = document.cases.iter().enumerate().map(admit).collect();
    problems.or(()).map_err(|problems| loaded.locate(problems))?;
    Ok(Cases { catalog: document.catalog.clone(), cases, loaded })
}

impl Cases {
    /// Whether every target is in the catalog: a target that covers nothing would hold for the wrong reason.
    ///
    /// # Errors
    /// Every target that is not, with its line.
    pub fn check_against(&self, catalog: &Catalog) -> Result<(), Problems> {
        let mut problems = Problems::default();
        for (at, case) in self.loaded.document.cases.iter().enumerate() {
            for (path, target) in case.targets(&format!("cases[{at}]")) {
                let known = Scope::parse(target)
                    .is_ok_and(|scope| catalog.endpoints.iter().any(|e| scope.covers(e)));
                if !known {
                    problems.add(path, format!("the catalog has no {target}"));
                }
            }
        }
        problems.or(()).map_err(|problems| self.loaded.locate(problems))
    }
}

impl CaseEntry {
    fn admit(&self, path: &str, problems: &mut Problems) -> Case {
        if self.states.len() > MAX_STATES {
            problems.add(format!("{path}.states"), format!("at most {MAX_STATES} states"));
        }
        let expect = self.expect.admit(&format!("{path}.expect"), problems);
        if expect == Expect::default() {
            let message = "nothing is expected; add plan, first, within, never or refused";
            problems.add(format!("{path}.expect"), message);
        }
        let state = |(at, entry): (usize, &StateEntry)| {
            let path = format!("{path}.states[{at}]");
            let scope = scope(&format!("{path}.target"), &entry.target, problems)?;
            if entry.weight.is_some_and(|weight| weight > MAX_WEIGHT) {
                problems.add(format!("{path}.weight"), format!("use 0 to {MAX_WEIGHT}"));
            }
            Some((scope, State::from(entry)))
        };
        let states = self.states.iter().enumerate().filter_map(state).collect();
        Case {
            name: self.name.clone(),
            names: self.request.names(),
            facts: self.request.facts(),
            tenant: self.key.admit(&format!("{path}.key"), problems),
            states,
            expect,
            seed: self.seed,
        }
    }

    /// Every target that is named, and where.
    fn targets(&self, path: &str) -> Vec<(String, &str)> {
        let states = self.states.iter().enumerate();
        let mut targets: Vec<(String, &str)> = states
            .map(|(at, state)| (format!("{path}.states[{at}].target"), state.target.as_str()))
            .collect();
        let expect = &self.expect;
        let plan = expect.plan.as_deref().unwrap_or_default();
        for (key, named) in [
            ("plan", plan),
            ("first", &expect.first),
            ("within", &expect.within),
            ("never", &expect.never),
        ] {
            let named = named.iter().enumerate();
            targets.extend(named.map(|(at, t)| (format!("{path}.expect.{key}[{at}]"), t.as_str())));
        }
        targets
    }
}

impl CaseKeyEntry {
    fn admit(&self, path: &str, problems: &mut Problems) -> Tenant {
        let (models, providers) = (self.models.as_ref(), self.providers.as_ref());
        Tenant {
            models: models.map(|names| names.iter().map(|n| ModelId::new(n)).collect()),
            providers: providers.map(|names| names.iter().map(|n| ProviderId::new(n)).collect()),
            data: self.data.admit(&format!("{path}.data"), problems),
            ..Tenant::unrestricted(KeyId::new("case"))
        }
    }
}

impl ExpectEntry {
    fn admit(&self, path: &str, problems: &mut Problems) -> Expect {
        let mut scopes = |key: &str, targets: &[String]| -> Vec<Scope> {
            let targets = targets.iter().enumerate();
            let read =
                |(at, t): (usize, &String)| scope(&format!("{path}.{key}[{at}]"), t, problems);
            targets.filter_map(read).collect()
        };
        Expect {
            plan: self.plan.as_ref().map(|targets| scopes("plan", targets)),
            first: scopes("first", &self.first),
            within: scopes("within", &self.within),
            never: scopes("never", &self.never),
            refused: self.refused,
        }
    }
}

fn scope(path: &str, target: &str, problems: &mut Problems) -> Option<Scope> {
    let scope = Scope::parse(target);
    scope.map_err(|message| problems.add(path, message)).ok()
}

impl From<&StateEntry> for State {
    fn from(entry: &StateEntry) -> Self {
        Self {
            verdict: entry.verdict.map(|verdict| match verdict {
                VerdictEntry::Up => Verdict::Up,
                VerdictEntry::Degraded => Verdict::Degraded,
                VerdictEntry::Down => Verdict::Down,
                VerdictEntry::ConfigError => Verdict::ConfigError,
            }),
            admission: entry.breaker.map(|breaker| match breaker {
                BreakerEntry::Admitted => Admission::Admitted,
                BreakerEntry::Trial => Admission::Trial,
                BreakerEntry::Ejected => Admission::Ejected,
                BreakerEntry::Cooling => Admission::Cooling,
            }),
            drained: entry.drained,
            weight: entry.weight,
            ttft_ms: entry.ttft_ms,
            tokens_per_second: entry.tokens_per_second,
        }
    }
}

#[cfg(test)]
mod tests;
