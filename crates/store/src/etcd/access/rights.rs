//! Who may do what in etcd: as it should be, as it is, and what lies between the two. Pure: nothing is asked.
//!
//! A user is the common name of a client certificate; nobody has a password. Roles named `trunkline-…` are ours,
//! and hold what their names say and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::ROOT_USER;
use crate::keys::{CONFIG, HISTORY, Key, ROOT, ROUTERS, SPEND, Segment, observations_of};
use crate::port::Flaw;

/// What the names of our roles begin with.
const OURS: &str = "trunkline-";
const READER: &str = "trunkline-reader";
const OPERATOR: &str = "trunkline-operator";
const ALL_ROUTERS: &str = "trunkline-routers";
const ROUTER: &str = "trunkline-router-";
const PROBER: &str = "trunkline-prober-";

/// What puts it right.
const REMEDY: &str = "admin-cli bootstrap etcd --dry-run says what would be done about it";

/// The parts of a cluster, by the common names of their certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Routers with a certificate each: the name is the router's `node_id`.
    pub routers: Vec<Segment>,
    /// Certificates that many routers share, whose names are made up.
    pub shared_routers: Vec<Segment>,
    /// Probers: the name is the prober's id.
    pub probers: Vec<Segment>,
    /// Those of the routers above that operators' edits go through.
    pub operators: Vec<Segment>,
}

/// What may be done with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// They may be read.
    Read,
    /// They may be written.
    Write,
    /// Both.
    Both,
}

/// A range of keys, as etcd spells it: from `key` up to `end`; `key` alone when `end` is empty, and everything
/// from `key` on when it is a zero byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The first key.
    pub key: Vec<u8>,
    /// The first key after it.
    pub end: Vec<u8>,
}

/// Who may do what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Whether etcd asks anybody who they are.
    pub enforced: bool,
    /// Roles, and what each may do.
    pub roles: BTreeMap<String, BTreeMap<Range, May>>,
    /// Users, and the roles of each.
    pub users: BTreeMap<String, BTreeSet<String>>,
}

/// A change of rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a role.
    AddRole(String),
    /// Let a role do something with keys.
    Allow {
        /// Which role.
        role: String,
        /// Which keys.
        range: Range,
        /// What with them.
        may: May,
    },
    /// Take from a role what it should not have.
    Forbid {
        /// Which role.
        role: String,
        /// Which keys.
        range: Range,
    },
    /// Make a user.
    AddUser(String),
    /// Give a user a role.
    Give {
        /// Which user.
        user: String,
        /// Which role.
        role: String,
    },
    /// Turn access control on.
    Enforce,
}

impl May {
    /// Whether keys may be written.
    #[must_use]
    pub const fn writes(self) -> bool {
        match self {
            Self::Read => false,
            Self::Write | Self::Both => true,
        }
    }
}

impl Range {
    fn one(key: &Key) -> Self {
        Self { key: key.to_string().into_bytes(), end: Vec::new() }
    }

    /// Everything that begins with this; it ends with a slash, so the first key after it ends with the next sign.
    fn below(prefix: &str) -> Self {
        let key = prefix.as_bytes().to_vec();
        let mut end = key.clone();
        if let Some(last) = end.last_mut() {
            *last = last.saturating_add(1);
        }
        Self { key, end }
    }

    fn meets(&self, other: &Self) -> bool {
        let begins_before_end_of = |a: &Self, b: &Self| match b.end.as_slice() {
            [] => a.key <= b.key,
            [0] => true,
            end => a.key.as_slice() < end,
        };
        begins_before_end_of(self, other) && begins_before_end_of(other, self)
    }
}

impl Rights {
    /// What these parts need, and nothing more.
    #[must_use]
    pub fn wanted(parts: &Parts) -> Self {
        let mut wanted = Self { enforced: true, ..Self::default() };
        wanted.give(ROOT_USER, ROOT_USER.to_owned());
        for name in &parts.routers {
            wanted.give(name.as_str(), format!("{ROUTER}{name}"));
        }
        for name in &parts.shared_routers {
            wanted.give(name.as_str(), ALL_ROUTERS.to_owned());
        }
        for name in &parts.probers {
            wanted.give(name.as_str(), format!("{PROBER}{name}"));
        }
        let readers = [&parts.routers, &parts.shared_routers, &parts.probers];
        for name in readers.into_iter().flatten() {
            wanted.give(name.as_str(), READER.to_owned());
        }
        for name in &parts.operators {
            wanted.give(name.as_str(), OPERATOR.to_owned());
        }
        wanted
    }

    fn give(&mut self, user: &str, role: String) {
        self.roles.insert(role.clone(), of_role(&role).unwrap_or_default());
        self.users.entry(user.to_owned()).or_default().insert(role);
    }

    /// What makes of these rights those that are wanted, in an order that can stop anywhere. Other users and
    /// roles, and further roles of the same users, are left alone.
    #[must_use]
    pub fn steps_to(&self, wanted: &Self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (role, grants) in &wanted.roles {
            let has = self.roles.get(role);
            if has.is_none() {
                steps.push(Step::AddRole(role.clone()));
            }
            let role = || role.clone();
            let none = BTreeMap::new();
            let has = has.unwrap_or(&none);
            let excess = has.keys().filter(|range| !grants.contains_key(range));
            steps.extend(excess.map(|range| Step::Forbid { role: role(), range: range.clone() }));
            let lacks = grants.iter().filter(|(range, may)| has.get(range) != Some(may));
            steps.extend(lacks.map(|(range, may)| Step::Allow {
                role: role(),
                range: range.clone(),
                may: *may,
            }));
        }
        for (user, roles) in &wanted.users {
            let has = self.users.get(user);
            if has.is_none() {
                steps.push(Step::AddUser(user.clone()));
            }
            let lacks = roles.iter().filter(|role| !has.is_some_and(|has| has.contains(*role)));
            steps.extend(lacks.map(|role| Step::Give { user: user.clone(), role: role.clone() }));
        }
        if wanted.enforced && !self.enforced {
            steps.push(Step::Enforce);
        }
        steps
    }

    /// What is wrong with them, whoever the parts are: access control that is off, roles of ours that hold
    /// something else than their names say, users who may write what is not their own.
    #[must_use]
    pub fn flaws(&self) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        if !self.enforced {
            flaws.push(Flaw {
                code: "store_open",
                subject: "store".to_owned(),
                problem: "it asks nobody who they are: whoever reaches it may write everything"
                    .to_owned(),
                remedy: "admin-cli bootstrap etcd turns access control on",
            });
        }
        for (role, grants) in &self.roles {
            flaws.extend(of_role(role).and_then(|should| misfit(role, grants, &should)));
        }
        for (user, roles) in self.users.iter().filter(|(user, _)| *user != ROOT_USER) {
            flaws.extend(roles.iter().filter_map(|role| self.misuse(user, role)));
        }
        flaws
    }

    /// What is wrong with a user's having a role.
    fn misuse(&self, user: &str, role: &str) -> Option<Flaw> {
        let flaw = |problem: String| {
            let (code, subject) = ("store_user_wide", format!("store/user/{user}"));
            let remedy = "take the role away: etcdctl user revoke-role USER ROLE";
            Some(Flaw { code, subject, problem, remedy })
        };
        if role == ROOT_USER {
            return flaw("it has the role root, and may do everything".to_owned());
        }
        let other = role.strip_prefix(PROBER).or_else(|| role.strip_prefix(ROUTER));
        if let Some(other) = other.filter(|other| *other != user) {
            return flaw(format!("it may speak in the name of {other}: it has the role {role}"));
        }
        let all = Range::below(ROOT);
        let writes = |(range, may): &(&Range, &May)| may.writes() && range.meets(&all);
        let foreign = !role.starts_with(OURS);
        let range = self.roles.get(role).filter(|_| foreign)?.iter().find(writes)?.0;
        flaw(format!("its role {role} lets it write {range}"))
    }
}

/// What is wrong with what a role of ours holds.
fn misfit(role: &str, has: &BTreeMap<Range, May>, should: &BTreeMap<Range, May>) -> Option<Flaw> {
    let missing = should.iter().filter(|(range, may)| has.get(range) != Some(may));
    let excess = has.iter().filter(|(range, _)| !should.contains_key(range));
    let list = |ranges: Vec<String>| ranges.join(", ");
    let excess: Vec<String> = excess.map(|(range, _)| range.to_string()).collect();
    let missing: Vec<String> = missing.map(|(range, _)| range.to_string()).collect();
    let (code, problem) = match (excess.is_empty(), missing.is_empty()) {
        (true, true) => return None,
        (false, _) => ("store_role_wide", format!("it should not reach {}", list(excess))),
        (true, false) => ("store_role_narrow", format!("it does not hold {}", list(missing))),
    };
    Some(Flaw { code, subject: format!("store/role/{role}"), problem, remedy: REMEDY })
}

/// What a role of ours holds; `None` of others'.
fn of_role(role: &str) -> Option<BTreeMap<Range, May>> {
    let written =
        |ranges: &[Range]| ranges.iter().map(|range| (range.clone(), May::Both)).collect();
    match role {
        READER => return Some(BTreeMap::from([(Range::below(ROOT), May::Read)])),
        OPERATOR => return Some(written(&[Range::below(CONFIG), Range::below(HISTORY)])),
        ALL_ROUTERS => return Some(written(&[Range::below(ROUTERS), Range::below(SPEND)])),
        _ => {}
    }
    if let Some(name) = role.strip_prefix(ROUTER) {
        let own = Range::one(&Key::Router(Segment::new(name)?));
        return Some(written(&[own, Range::below(SPEND)]));
    }
    let name = Segment::new(role.strip_prefix(PROBER)?)?;
    let seen = Range::below(&observations_of(&name));
    Some(written(&[Range::one(&Key::Prober(name)), seen]))
}

impl fmt::Display for Range {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = String::from_utf8_lossy(&self.key);
        match self.end.as_slice() {
            [] => write!(out, "{key}"),
            end if *self == Self::below(&key) && end != [0] => write!(out, "{key}*"),
            [0] => write!(out, "{key} and all after it"),
            end => write!(out, "{key} to {}", String::from_utf8_lossy(end)),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddRole(role) => write!(out, "make the role {role}"),
            Self::Allow { role, range, may } => {
                let what = match may {
                    May::Read => "read",
                    May::Write => "write",
                    May::Both => "read and write",
                };
                write!(out, "let {role} {what} {range}")
            }
            Self::Forbid { role, range } => write!(out, "take {range} from {role}"),
            Self::AddUser(user) => write!(out, "make the user {user}"),
            Self::Give { user, role } => write!(out, "give {user} the role {role}"),
            Self::Enforce => write!(out, "turn access control on"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Segment> {
        names.iter().map(|name| Segment::new(name).unwrap()).collect()
    }

    fn parts() -> Parts {
        Parts {
            routers: names(&["r1"]),
            shared_routers: names(&["fleet"]),
            probers: names(&["p1"]),
            operators: names(&["r1"]),
        }
    }

    /// What an etcd is after these steps.
    fn after(mut rights: Rights, steps: &[Step]) -> Rights {
        for step in steps.iter().cloned() {
            match step {
                Step::AddRole(role) => drop(rights.roles.insert(role, BTreeMap::new())),
                Step::Allow { role, range, may } => {
                    rights.roles.get_mut(&role).unwrap().insert(range, may);
                }
                Step::Forbid { role, range } => {
                    rights.roles.get_mut(&role).unwrap().remove(&range);
                }
                Step::AddUser(user) => drop(rights.users.insert(user, BTreeSet::new())),
                Step::Give { user, role } => {
                    assert!(rights.roles.contains_key(&role), "{role} is not there yet");
                    rights.users.get_mut(&user).unwrap().insert(role);
                }
                Step::Enforce => rights.enforced = true,
            }
        }
        rights
    }

    #[test]
    fn the_steps_lead_to_what_is_wanted_and_then_there_are_none() {
        let wanted = Rights::wanted(&parts());
        let steps = Rights::default().steps_to(&wanted);
        assert_eq!(steps.last(), Some(&Step::Enforce));
        let done = after(Rights::default(), &steps);
        assert_eq!(done, wanted);
        assert_eq!((done.steps_to(&wanted), done.flaws()), (vec![], vec![]));
        // It can stop anywhere and go on.
        for stop in 0..steps.len() {
            let half = after(Rights::default(), &steps[..stop]);
            assert_eq!(after(half.clone(), &half.steps_to(&wanted)), wanted, "{stop}");
        }
    }

    #[test]
    fn steps_read_as_what_they_do() {
        let only = Parts { probers: names(&["p1"]), ..Parts::default() };
        let steps = Rights::default().steps_to(&Rights::wanted(&only));
        let said: Vec<String> = steps.iter().map(Step::to_string).collect();
        let all = [
            "make the role root",
            "make the role trunkline-prober-p1",
            "let trunkline-prober-p1 read and write /trunkline/v1/obs/p1/*",
            "let trunkline-prober-p1 read and write /trunkline/v1/probers/p1",
            "make the role trunkline-reader",
            "let trunkline-reader read /trunkline/v1/*",
            "make the user p1",
            "give p1 the role trunkline-prober-p1",
            "give p1 the role trunkline-reader",
            "make the user root",
            "give root the role root",
            "turn access control on",
        ];
        assert_eq!(said, all);
    }

    #[test]
    fn a_role_that_grew_is_cut_back_and_named() {
        let wanted = Rights::wanted(&parts());
        let mut grown = wanted.clone();
        let role = "trunkline-prober-p1";
        grown.roles.get_mut(role).unwrap().insert(Range::below(ROOT), May::Both);
        let flaws = grown.flaws();
        assert_eq!((flaws.len(), flaws[0].code), (1, "store_role_wide"));
        assert_eq!(flaws[0].problem, "it should not reach /trunkline/v1/*");
        let cut = Step::Forbid { role: role.to_owned(), range: Range::below(ROOT) };
        assert_eq!(grown.steps_to(&wanted), [cut]);
        grown.roles.insert(role.to_owned(), BTreeMap::new());
        assert_eq!(grown.flaws()[0].code, "store_role_narrow");
    }

    #[test]
    fn users_who_may_more_than_is_their_own_are_named() {
        let mut rights = Rights::wanted(&parts());
        let everything = Range { key: vec![0], end: vec![0] };
        rights.roles.insert("devs".to_owned(), BTreeMap::from([(everything, May::Write)]));
        let elsewhere = Range::below("/other/");
        rights.roles.insert("others".to_owned(), BTreeMap::from([(elsewhere, May::Both)]));
        for role in ["root", "trunkline-prober-p2", "devs", "others", "trunkline-operator"] {
            rights.users.get_mut("p1").unwrap().insert(role.to_owned());
        }
        let said: Vec<String> = rights.flaws().into_iter().map(|flaw| flaw.problem).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("devs lets it write"), "{said:?}");
        assert!(said[1].contains("the role root"), "{said:?}");
        assert!(said[2].contains("in the name of p2"), "{said:?}");
    }

    #[test]
    fn ranges_meet_when_a_key_is_in_both() {
        let below = Range::below("/a/");
        let one = |key: &str| Range { key: key.into(), end: Vec::new() };
        assert!(below.meets(&one("/a/x")) && one("/a/x").meets(&below));
        assert!(!below.meets(&one("/b")) && !below.meets(&one("/a")));
        assert!(below.meets(&Range { key: b"/".to_vec(), end: vec![0] }));
        assert!(one("/a").meets(&one("/a")) && !one("/a").meets(&one("/b")));
    }
}
