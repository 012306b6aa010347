//! Stories about filling an empty store.

use trunkline_store::Memory;
use trunkline_store::keys::CONFIG;

use super::*;
use crate::config::Written;

/// Who follows the store and sees a catalog serves calls from then on.
#[tokio::test]
async fn whoever_sees_the_catalog_knows_keys_and_policy_already() {
    fn written<T: Default>() -> Option<Written<T>> {
        Some(Written { canonical: r#"{"version":1}"#.to_owned(), value: T::default() })
    }
    let documents = Documents { catalog: written(), policy: written(), keys: written() };
    let store = Memory::new();
    bootstrap(&store, &documents).await.unwrap();
    let mut entries = store.list(CONFIG).await.unwrap().entries;
    entries.sort_by_key(|entry| entry.mod_revision);
    let order: Vec<&str> = entries.iter().filter_map(|e| e.key.strip_prefix(CONFIG)).collect();
    assert_eq!(order, [KEYS, POLICY, CATALOG]);
}
