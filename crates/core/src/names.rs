//! From the names that a call asks for to the models it may be tried on: routes and aliases followed,
//! suffixes taken off, and what the key may not use refused. Requests, dry runs and policy tests all come
//! through here.

use crate::facts::Sort;
use crate::id::ModelId;
use crate::policy::Tenant;
use crate::snapshot::{Resolved, Snapshot};

/// The suffix that sorts by throughput.
const NITRO: &str = ":nitro";
/// The suffix that sorts by price.
const FLOOR: &str = ":floor";

/// What a call asks for, understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Models in the order they may be tried, each once.
    pub models: Vec<ModelId>,
    /// What the first suffix asks to sort by.
    pub sort: Option<Sort>,
}

/// Why a name cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused<'a> {
    /// It is neither a route nor a model.
    Unknown(&'a str),
    /// It stands for a model that the key may not ask for.
    NotAllowed(&'a str),
}

/// The models that these names stand for, in their order.
///
/// # Errors
/// The first name that cannot be served; a call is refused as a whole.
pub fn resolve<'a>(
    names: impl IntoIterator<Item = &'a str>,
    snapshot: &Snapshot,
    tenant: &Tenant,
) -> Result<Asked, Refused<'a>> {
    let mut asked = Asked::default();
    for name in names {
        let (name, suffix) = split_suffix(name, snapshot);
        asked.sort = asked.sort.or(suffix);
        for model in chain_of(name, snapshot)? {
            if !tenant.may_ask_for(model) {
                return Err(Refused::NotAllowed(name));
            }
            if !asked.models.contains(model) {
                asked.models.push(model.clone());
            }
        }
    }
    Ok(asked)
}

/// The name that was asked for, without the suffix that sorts.
pub fn base<'a>(name: &'a str, snapshot: &Snapshot) -> &'a str {
    split_suffix(name, snapshot).0
}

/// A suffix is one only when the whole name is not itself a model's.
fn split_suffix<'a>(name: &'a str, snapshot: &Snapshot) -> (&'a str, Option<Sort>) {
    if snapshot.resolve(name).is_some() {
        return (name, None);
    }
    if let Some(base) = name.strip_suffix(NITRO) {
        return (base, Some(Sort::Throughput));
    }
    name.strip_suffix(FLOOR).map_or((name, None), |base| (base, Some(Sort::Price)))
}

fn chain_of<'a, 's>(name: &'a str, snapshot: &'s Snapshot) -> Result<&'s [ModelId], Refused<'a>> {
    match snapshot.resolve(name) {
        Some(Resolved::Route(route)) => Ok(&route.models),
        Some(Resolved::Model(model)) => Ok(std::slice::from_ref(model)),
        None => Err(Refused::Unknown(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Policy, Route};
    use crate::story::{anyone, endpoint, snapshot};

    fn view() -> Snapshot {
        let models = ["n", "m"].map(ModelId::new).to_vec();
        let route = Route { models, strategy: None, timeouts: None };
        let policy =
            Policy { routes: [("r".to_owned(), route)].into_iter().collect(), ..Policy::default() };
        snapshot(vec![endpoint("a", "m"), endpoint("a", "n")], policy)
    }

    #[test]
    fn routes_are_followed_and_no_model_comes_twice() {
        let asked = resolve(["m:floor", "r:nitro"], &view(), &anyone()).unwrap();
        assert_eq!(asked.models, ["m", "n"].map(ModelId::new));
        assert_eq!(asked.sort, Some(Sort::Price));
    }

    #[test]
    fn a_call_is_refused_for_one_name_that_it_may_not_use() {
        let tenant = Tenant { models: Some(vec![ModelId::new("m")]), ..anyone() };
        let view = view();
        assert!(resolve(["m"], &view, &tenant).is_ok());
        assert_eq!(resolve(["m", "r"], &view, &tenant), Err(Refused::NotAllowed("r")));
        assert_eq!(resolve(["x:nitro"], &view, &tenant), Err(Refused::Unknown("x")));
    }
}
