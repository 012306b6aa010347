//! A provider that answers every request with the bytes it was given, and keeps what it was asked, byte for byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use trunkline_runtime::tls::{ServerTls, TlsFiles};

/// The provider. Dropping it ends it.
pub struct Puppet {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Puppet {
    /// A provider that answers like this: status line, headers and body.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn answering(answer: &str) -> Self {
        Self::start(answer, None).await
    }

    /// The same over TLS, by these files.
    ///
    /// # Panics
    /// When there is no port, or the files are of no use.
    pub async fn answering_over_tls(answer: &str, files: TlsFiles) -> Self {
        let identity = ServerTls::load("puppet", files).expect("files that go together");
        Self::start(answer, Some(TlsAcceptor::from(identity.current()))).await
    }

    async fn start(answer: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (asked, answer) = (Arc::default(), answer.to_owned());
        let kept = Arc::clone(&asked);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (kept, answer, tls) = (Arc::clone(&kept), answer.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(socket, &kept, &answer).await,
                        Some(tls) => {
                            // A stranger is not served.
                            let Ok(session) = tls.accept(socket).await else { return };
                            serve(session, &kept, &answer).await;
                        }
                    }
                });
            }
        });
        Self { address, asked, _serving: serving }
    }

    /// Where the catalog says it is.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The requests so far, head and body.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve<S>(mut socket: S, kept: &Mutex<Vec<String>>, answer: &str)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut unread = Vec::new();
    loop {
        // Counted in bytes: a body need not be text.
        let end = memchr::memmem::find(&unread, b"\r\n\r\n").map(|end| end + 4);
        let head = end.and_then(|end| unread.get(..end)).map(String::from_utf8_lossy);
        let whole = head.zip(end).is_some_and(|(head, end)| unread.len() >= end + length(&head));
        if whole {
            let text = String::from_utf8_lossy(&unread).into_owned();
            unread.clear();
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(text);
            if socket.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
        if !matches!(socket.read_buf(&mut unread).await, Ok(1..)) {
            return;
        }
    }
}

fn length(head: &str) -> usize {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next().and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}
