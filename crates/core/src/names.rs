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
        let Named { base, sort, stands_for } = named(name, snapshot);
        asked.sort = asked.sort.or(sort);
        let models = match stands_for.ok_or(Refused::Unknown(base))? {
            Resolved::Route(route) => &route.models,
            Resolved::Model(model) => std::slice::from_ref(model),
        };
        for model in models {
            if !tenant.may_ask_for(model) {
                return Err(Refused::NotAllowed(base));
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
    named(name, snapshot).base
}

/// A name, taken apart.
struct Named<'a, 's> {
    base: &'a str,
    sort: Option<Sort>,
    stands_for: Option<Resolved<'s>>,
}

/// A suffix is one only when the whole name does not stand for something itself.
fn named<'a, 's>(name: &'a str, snapshot: &'s Snapshot) -> Named<'a, 's> {
    let whole = snapshot.resolve(name);
    let suffixes = [(NITRO, Sort::Throughput), (FLOOR, Sort::Price)];
    let cut =
        suffixes.into_iter().find_map(|(suffix, sort)| Some((name.strip_suffix(suffix)?, sort)));
    match cut.filter(|_| whole.is_none()) {
        Some((base, sort)) => Named { base, sort: Some(sort), stands_for: snapshot.resolve(base) },
        None => Named { base: name, sort: None, stands_for: whole },
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
