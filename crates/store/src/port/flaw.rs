//! What is wrong with a store, as far as it tells of itself. It judges; it asks nobody.

use super::about::{About, Access, Member, Told};

/// From this part of its quota on, in percent, a member is nearly full.
const FULL_PERCENT: u64 = 80;

/// What etcd calls being full, among its other alarms.
const NO_SPACE: &str = "NOSPACE";

/// Something that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// A word for programs.
    pub code: &'static str,
    /// What it is about: `store`, or `store/` and a part of it.
    pub subject: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: &'static str,
}

impl About {
    /// All that is wrong.
    #[must_use]
    pub fn flaws(&self) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        for member in &self.members {
            let subject = || format!("store/{}", member.address);
            match &member.told {
                Ok(told) => flaws.extend(of_member(told, subject())),
                Err(reason) => flaws.push(Flaw {
                    code: "store_member_unreachable",
                    subject: subject(),
                    problem: format!("it does not answer: {reason}"),
                    remedy: "start it, or take its address out of store.etcd.endpoints",
                }),
            }
            if is_far_and_plain(&member.address) {
                let problem = "it is spoken to in plain text: keys' hashes and all edits can be read and changed \
                               on the way";
                flaws.push(Flaw {
                    code: "store_plaintext",
                    subject: subject(),
                    problem: problem.to_owned(),
                    remedy: "start it with certificates, write https://, and set store.etcd.tls",
                });
            }
        }
        flaws.extend(of_cluster(&self.members));
        flaws.extend(self.open());
        flaws
    }

    /// An etcd on this machine alone, without certificates, is somebody's trial.
    fn open(&self) -> Option<Flaw> {
        let trial =
            self.members.iter().all(|member| is_plain(&member.address) && is_near(&member.address));
        (self.access == Access::Open && !trial).then(|| Flaw {
            code: "store_open",
            subject: "store".to_owned(),
            problem: "it asks nobody who they are: whoever reaches it may write everything"
                .to_owned(),
            remedy: "admin-cli bootstrap etcd turns access control on",
        })
    }
}

fn of_member(told: &Told, subject: String) -> Vec<Flaw> {
    let mut found = Vec::new();
    let mut add = |code, problem: String, remedy| {
        found.push(Flaw { code, subject: subject.clone(), problem, remedy });
    };
    if told.leaderless {
        let remedy = "bring back a majority of the members; until then nothing can be written";
        add("store_leaderless", "it knows no leader".to_owned(), remedy);
    }
    for complaint in &told.complaints {
        let remedy = match complaint.contains(NO_SPACE) {
            true => {
                "it refuses all writes until there is room: etcdctl compact REVISION, etcdctl defrag at each \
                 member, etcdctl alarm disarm"
            }
            false => "see etcdctl alarm list, and what it names",
        };
        add("store_alarm", format!("it raises an alarm: {}", complaint.trim()), remedy);
    }
    if let Some((size, quota)) = told.size_bytes.zip(told.quota_bytes)
        && size > quota / 100 * FULL_PERCENT
    {
        let problem =
            format!("its data takes {size} of {quota} bytes; when full it refuses writes");
        add("store_nearly_full", problem, "compact and defragment it, or raise its quota");
    }
    if let (Some(version), Some(why)) = (&told.version, told.outdated) {
        let problem = format!("it runs etcd {version}: {why}");
        add("store_outdated", problem, "update it to 3.5.33, 3.6.14 or newer");
    }
    found
}

/// An even number of members tolerates no more losses than one fewer, and loses more often.
fn of_cluster(members: &[Member]) -> Option<Flaw> {
    let count = members.len();
    (count > 0 && count.is_multiple_of(2)).then(|| Flaw {
        code: "store_even",
        subject: "store".to_owned(),
        problem: format!("it has {count} members: one more loss is tolerated only with one more"),
        remedy: "run three or five members",
    })
}

fn is_far_and_plain(address: &str) -> bool {
    is_plain(address) && !is_near(address)
}

fn is_plain(address: &str) -> bool {
    address.starts_with("http://")
}

/// Whether an address is on this machine.
fn is_near(address: &str) -> bool {
    let host = address.split_once("://").map_or(address, |(_, rest)| rest);
    ["localhost", "127.", "[::1]"].iter().any(|near| host.starts_with(near))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Kind;

    fn about(address: &str, members: Vec<Result<Told, String>>) -> About {
        let member = |told| Member { address: address.to_owned(), told };
        let members = members.into_iter().map(member).collect();
        About { kind: Kind::Etcd, members, access: Access::Untold }
    }

    fn codes(about: &About) -> Vec<&'static str> {
        about.flaws().into_iter().map(|flaw| flaw.code).collect()
    }

    #[test]
    fn a_store_that_is_well_is_not_found_fault_with() {
        assert_eq!(codes(&about("https://e", Vec::new())), [""; 0]);
        let full =
            Told { size_bytes: Some(1 << 30), quota_bytes: Some(8 << 30), ..Told::default() };
        assert_eq!(codes(&about("https://e", vec![Ok(full)])), [""; 0]);
    }

    #[test]
    fn loss_fullness_and_age_are_told_apart() {
        let ill = Told {
            version: Some("3.4.23".into()),
            outdated: Some("old"),
            size_bytes: Some(7 << 30),
            quota_bytes: Some(8 << 30),
            leaderless: true,
            complaints: vec!["NOSPACE".into()],
        };
        assert_eq!(
            codes(&about("https://e", vec![Ok(ill), Err("refused".into())])),
            [
                "store_leaderless",
                "store_alarm",
                "store_nearly_full",
                "store_outdated",
                "store_member_unreachable",
                "store_even"
            ]
        );
    }

    #[test]
    fn an_open_store_is_a_flaw_unless_it_is_somebodys_trial() {
        let open = |address| {
            let one = about(address, vec![Ok(Told::default())]);
            codes(&About { access: Access::Open, ..one })
        };
        assert_eq!(open("http://127.0.0.1:2379"), [""; 0]);
        assert_eq!(open("https://127.0.0.1:2379"), ["store_open"]);
        assert_eq!(open("https://etcd-0:2379"), ["store_open"]);
        assert_eq!(open("http://etcd-0:2379"), ["store_plaintext", "store_open"]);
    }
}
