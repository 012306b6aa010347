//! The prober's test of its own network: does loopback echo, does the resolver answer, can anything that the
//! operator named be reached? Whoever fails it should not judge others.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::timeout;

/// Time between two tests.
pub const PERIOD_MS: u64 = 15_000;
/// How long each part may take.
const DEADLINE: Duration = Duration::from_secs(3);
/// What is echoed.
const WORD: &[u8; 4] = b"echo";

/// Whether the network of this process works. `controls` are `host:port` of places that are never down; it
/// is enough that one of them can be reached, and without any they are not asked.
pub async fn passes(controls: Vec<String>) -> bool {
    let echoed = matches!(timeout(DEADLINE, echo()).await, Ok(Ok(true)));
    let resolved = matches!(timeout(DEADLINE, lookup_host(("localhost", 0))).await, Ok(Ok(_)));
    let mut reached = controls.is_empty();
    for control in &controls {
        reached =
            reached || matches!(timeout(DEADLINE, TcpStream::connect(control)).await, Ok(Ok(_)));
    }
    if !(echoed && resolved && reached) {
        tracing::warn!(echoed, resolved, reached, "the prober's own network does not work");
    }
    echoed && resolved && reached
}

async fn echo() -> io::Result<bool> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr()?), listener.accept());
    let (mut near, (mut far, _)) = (near?, far?);
    let mut heard = [0; 4];
    near.write_all(WORD).await?;
    far.read_exact(&mut heard).await?;
    Ok(heard == *WORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_working_network_passes_and_one_control_is_enough() {
        assert!(passes(Vec::new()).await);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let there = listener.local_addr().unwrap().to_string();
        assert!(passes(vec!["127.0.0.1:1".to_owned(), there]).await);
        assert!(!passes(vec!["127.0.0.1:1".to_owned()]).await);
    }
}
