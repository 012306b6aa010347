//! Where a key's prompts can go: the closed set under a catalog and a policy, whatever the health, the
//! weights, the drains and the wishes of a call. Those only narrow it: no plan leaves the set, whichever
//! failover, alias or last resort it takes.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, Endpoint, Retention, Training};
use crate::id::{ModelId, ProviderId, Region};
use crate::policy::{DataRules, Policy, Tenant};

/// One place that prompts can go to, and what becomes of them there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Who receives them.
    pub provider: ProviderId,
    /// Where.
    pub region: Region,
    /// Under whose law; `None` when not stated.
    pub jurisdiction: Option<String>,
    /// How long they are kept.
    pub retention: Retention,
    /// Whether they are trained on.
    pub training: Training,
}

impl Flow {
    /// What a prompt sent to this endpoint meets.
    pub fn to(endpoint: &Endpoint) -> Self {
        Self {
            provider: endpoint.provider.clone(),
            region: endpoint.region.clone(),
            jurisdiction: endpoint.jurisdiction.clone(),
            retention: endpoint.retention,
            training: endpoint.training,
        }
    }
}

/// The reach of any key under one catalog and one policy.
#[derive(Clone, Debug)]
pub struct Dataflow<'a> {
    policy: &'a Policy,
    /// Endpoints by the model they serve.
    endpoints: BTreeMap<&'a ModelId, Vec<&'a Endpoint>>,
}

impl<'a> Dataflow<'a> {
    /// That of these endpoints under this policy.
    pub fn new(endpoints: impl IntoIterator<Item = &'a Endpoint>, policy: &'a Policy) -> Self {
        let mut by_model: BTreeMap<&ModelId, Vec<&Endpoint>> = BTreeMap::new();
        for endpoint in endpoints {
            by_model.entry(&endpoint.model).or_default().push(endpoint);
        }
        Self { policy, endpoints: by_model }
    }

    /// Everywhere that this key's prompts can go. A weight of zero and a drain do not count as walls: an
    /// operator takes them down with a word.
    pub fn of(&self, tenant: &Tenant) -> BTreeSet<Flow> {
        let models: BTreeSet<&ModelId> = self.models_of(tenant).collect();
        let endpoints = models.into_iter().filter_map(|model| self.endpoints.get(model)).flatten();
        endpoints.filter(|e| self.may_reach(tenant, e)).map(|e| Flow::to(e)).collect()
    }

    /// The models that some name leads to. A call is refused as a whole when its key may not ask for one model
    /// of a chain, and a model behind a route of the same name is reached only as that route says.
    fn models_of<'b>(&'b self, tenant: &'b Tenant) -> impl Iterator<Item = &'b ModelId> {
        let routes = &self.policy.routes;
        let chains = routes.values().map(|route| route.models.as_slice());
        let unrouted = self.endpoints.keys().filter(|model| !routes.contains_key(model.as_str()));
        let chains = chains.chain(unrouted.map(|model| std::slice::from_ref(*model)));
        chains.filter(|chain| chain.iter().all(|model| tenant.may_ask_for(model))).flatten()
    }

    fn may_reach(&self, tenant: &Tenant, endpoint: &Endpoint) -> bool {
        self.policy.data.allow(endpoint)
            && tenant.data.allow(endpoint)
            && tenant.providers.as_ref().is_none_or(|p| p.contains(&endpoint.provider))
    }
}

/// Endpoints that a data rule kept out and lets in afterwards: because the rule changed, or what the catalog
/// says of the endpoint.
pub fn let_in<'a>(
    before: (&Catalog, &DataRules),
    after: (&'a Catalog, &DataRules),
) -> Vec<&'a Endpoint> {
    let known = &before.0.endpoints;
    let was_out = |endpoint: &&Endpoint| {
        let at = known.binary_search_by(|known| known.id.cmp(&endpoint.id)).ok();
        at.and_then(|at| known.get(at)).is_some_and(|known| !before.1.allow(known))
    };
    after.0.endpoints.iter().filter(|endpoint| after.1.allow(endpoint)).filter(was_out).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Route;
    use crate::story::{anyone, endpoint};

    fn world() -> Vec<Endpoint> {
        let mut endpoints =
            [("a", "m"), ("b", "m"), ("c", "n")].map(|(p, m)| endpoint(p, m).endpoint);
        endpoints[0].jurisdiction = Some("eu".to_owned());
        endpoints.into()
    }

    fn providers(policy: &Policy, tenant: &Tenant) -> Vec<String> {
        let world = world();
        let flows = Dataflow::new(&world, policy).of(tenant);
        flows.into_iter().map(|flow| flow.provider.to_string()).collect()
    }

    fn routed(name: &str, models: &[&str]) -> Policy {
        let models = models.iter().map(|m| ModelId::new(m)).collect();
        let route = Route { models, strategy: None, timeouts: None };
        Policy { routes: [(name.to_owned(), route)].into_iter().collect(), ..Policy::default() }
    }

    #[test]
    fn rules_of_policy_and_key_narrow_together() {
        assert_eq!(providers(&Policy::default(), &anyone()), ["a", "b", "c"]);
        let data = DataRules { jurisdictions: Some(vec!["eu".to_owned()]), ..DataRules::default() };
        let policy = Policy { data: data.clone(), ..Policy::default() };
        assert_eq!(providers(&policy, &anyone()), ["a"]);
        assert_eq!(providers(&Policy::default(), &Tenant { data, ..anyone() }), ["a"]);
        let only = Tenant { providers: Some(vec![ProviderId::new("b")]), ..anyone() };
        assert_eq!(providers(&Policy::default(), &only), ["b"]);
    }

    #[test]
    fn every_model_of_a_chain_is_within_reach() {
        let key = |models: &[&str]| {
            let models = models.iter().map(|m| ModelId::new(m)).collect();
            Tenant { models: Some(models), ..anyone() }
        };
        assert_eq!(providers(&Policy::default(), &key(&["m"])), ["a", "b"]);
        let chain = routed("r", &["m", "n"]);
        assert_eq!(providers(&chain, &key(&["m", "n"])), ["a", "b", "c"]);
        assert_eq!(providers(&chain, &key(&["m"])), ["a", "b"], "the route is refused whole");
    }

    #[test]
    fn a_model_behind_a_route_of_its_name_is_out_of_reach() {
        assert_eq!(providers(&routed("n", &["m"]), &anyone()), ["a", "b"]);
    }

    #[test]
    fn an_endpoint_is_let_in_by_a_looser_rule_or_by_another_word_about_it() {
        let mut before = Catalog { providers: Vec::new(), endpoints: world() };
        before.endpoints.sort_by_key(|endpoint| endpoint.id);
        let mut after = before.clone();
        let eu = DataRules { jurisdictions: Some(vec!["eu".to_owned()]), ..DataRules::default() };
        let any = DataRules::default();
        assert_eq!(let_in((&before, &eu), (&after, &any)).len(), 2);
        assert!(let_in((&before, &any), (&after, &eu)).is_empty());
        for endpoint in &mut after.endpoints {
            endpoint.jurisdiction = Some("eu".to_owned());
        }
        assert_eq!(let_in((&before, &eu), (&after, &eu)).len(), 2);
        assert!(let_in((&Catalog::default(), &eu), (&after, &eu)).is_empty(), "new is not let in");
    }
}
