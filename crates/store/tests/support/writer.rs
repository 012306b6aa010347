//! A process that is there to be killed: it writes to an embedded store from several tasks and prints
//! each key and revision once they are acknowledged.

use std::io::Write;
use std::sync::Arc;

use tokio::task::JoinSet;
use trunkline_store::{Embedded, Expect, Limits, Store, StoreError};

const WRITERS: usize = 8;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), StoreError> {
    let dir = std::env::args_os().nth(1).unwrap_or_default();
    let store = Arc::new(Embedded::open(dir, Limits::default()).await?);
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(Arc::clone(&store), writer));
    }
    // They only end with an error.
    match writers.join_next().await {
        Some(Ok(ended)) => ended,
        Some(Err(_)) | None => Ok(()),
    }
}

async fn write(store: Arc<Embedded>, writer: usize) -> Result<(), StoreError> {
    for write in 0_u64.. {
        let key = format!("/{writer}/{write:06}");
        let revision = store.put(&key, vec![1; 500].into(), Expect::Absent).await?;
        let line = format!("{key} {revision}\n");
        // One write call a line, so that a kill cuts no line in the middle of another.
        if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
            break;
        }
    }
    Ok(())
}
