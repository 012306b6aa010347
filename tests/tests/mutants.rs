//! The list of seeded bugs fits the source: each passage is there, once. Whether the tests catch the bugs takes
//! many builds: `cargo run -p trunkline-tests --bin mutants`.

use std::collections::BTreeSet;
use std::path::Path;

use trunkline_tests::mutants::list::MUTANTS;

#[test]
fn every_seeded_bug_can_still_be_seeded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for mutant in MUTANTS {
        let source = std::fs::read_to_string(root.join(mutant.file)).unwrap();
        let found = source.matches(mutant.right).count();
        assert_eq!(found, 1, "`{}` of {} is in {}", mutant.right, mutant.name, mutant.file);
        assert_ne!(mutant.right, mutant.wrong, "{}", mutant.name);
    }
}

#[test]
fn names_of_seeded_bugs_are_unique() {
    let names: BTreeSet<_> = MUTANTS.iter().map(|mutant| mutant.name).collect();
    assert_eq!(names.len(), MUTANTS.len());
}
