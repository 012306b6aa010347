//! A router's table is there whatever bytes the store holds: what cannot be read is refused, nothing panics, and
//! the same bytes give the same table.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

use router_node::fold::Fold;
use trunkline_core::id::Zone;
use trunkline_core::observation::{Observation, Vote};
use trunkline_spec::observation::encode_observation;
use trunkline_store::keys::{CONFIG, OBSERVATIONS, PROBERS, ROOT, ROUTERS};
use trunkline_store::{Change, Event, KeyValue, Listing, Revision};

const CATALOG: &str = "version: 1\nproviders:\n  - id: p\n    base_url: http://127.0.0.1:9/v1\n    endpoints:\n      - model: m\n";

fn entry(key: &str, value: &[u8]) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: value.to_vec().into(),
        create_revision: Revision(3),
        mod_revision: Revision(3),
        version: 1,
        lease: None,
    }
}

fn key() -> impl Strategy<Value = String> {
    let prefix = select(vec![CONFIG, OBSERVATIONS, PROBERS, ROUTERS, ROOT, ""]);
    let known =
        select(vec!["catalog", "policy", "keys", "overrides/drains/x", "p0", "p0/aaaaaaaaaa"]);
    let rest = prop_oneof![known.prop_map(str::to_owned), "[a-z0-9/._-]{0,30}", any::<String>()];
    (prefix, rest).prop_map(|(prefix, rest)| format!("{prefix}{rest}"))
}

/// Any bytes, or an observation with some of its bytes changed or cut off.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let record = encode_observation(&Observation { vote: Vote::Down, ..Observation::default() });
    let damaged = (vec((any::<usize>(), any::<u8>()), 0..4), any::<usize>()).prop_map(
        move |(changes, length)| {
            let mut bytes = record.clone();
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes.get_mut(at).into_iter().for_each(|place| *place = byte);
            }
            bytes.truncate(length % (bytes.len() + 1));
            bytes
        },
    );
    prop_oneof![vec(any::<u8>(), 0..80), damaged, select(vec![CATALOG.as_bytes().to_vec()])]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        rng_seed: RngSeed::Fixed(20),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_under_any_keys_give_one_table(written in vec((key(), value()), 0..20)) {
        let folded = || {
            let mut fold = Fold::default();
            let entries = vec![entry(&format!("{CONFIG}catalog"), CATALOG.as_bytes())];
            fold.apply(Change::Snapshot(Listing { revision: Revision(2), entries }));
            for (at, (key, value)) in written.iter().enumerate() {
                let revision = Revision(3 + at as u64);
                fold.apply(Change::Batch { revision, events: vec![Event::Put(entry(key, value))] });
            }
            fold
        };
        let zone = Zone::new("z");
        let (first, again) = (folded().table(&zone), folded().table(&zone));
        prop_assert_eq!(first.digest, again.digest);
        prop_assert_eq!(first.rows.len(), folded().catalog.endpoints.len());
    }
}
