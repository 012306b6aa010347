//! A door: a listener in front of one part, through which others reach it. Each connection passes under the
//! condition of the link between the two, which can change at any moment. It knows TCP and nothing of what is
//! said. What the kernel does itself it cannot take away: a connection to a lost part is still accepted.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// How a link does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// As it should.
    #[default]
    Clear,
    /// All that is sent arrives this much later, in either direction.
    Delayed(Duration),
    /// Nothing arrives, in either direction, and nobody is told: all packets are lost. What was sent meanwhile
    /// arrives when the link is clear again, as TCP would send it again.
    Lost,
    /// What is sent arrives; no answer comes back.
    HalfOpen,
    /// Connections are reset, those that are there and those to come.
    Cut,
}

/// The direction in which something is sent through a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

impl Condition {
    fn passes(self, way: Way) -> bool {
        match self {
            Self::Clear | Self::Delayed(_) | Self::Cut => true,
            Self::HalfOpen => way == Way::There,
            Self::Lost => false,
        }
    }
}

/// Passes one connection on to `target` until either side ends it, or the link is cut.
pub async fn pass(mut near: TcpStream, target: SocketAddr, link: watch::Receiver<Condition>) {
    let mut cut = link.clone();
    let passed = tokio::select! {
        passed = pass_on(&mut near, target, link) => passed,
        _ = cut.wait_for(|condition| *condition == Condition::Cut) => Err(io::ErrorKind::ConnectionReset.into()),
    };
    if passed.is_err() {
        // The close that follows is a reset. It can only fail on a socket that is gone.
        let _ = near.set_zero_linger();
    }
}

async fn pass_on(
    near: &mut TcpStream,
    target: SocketAddr,
    mut link: watch::Receiver<Condition>,
) -> io::Result<()> {
    passable(&mut link, Way::There).await?;
    let mut far = TcpStream::connect(target).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (mut near_out, mut near_in) = near.split();
    let (mut far_out, mut far_in) = far.split();
    let passed = tokio::try_join!(
        pump(&mut near_out, &mut far_in, Way::There, link.clone()),
        pump(&mut far_out, &mut near_in, Way::Back, link),
    );
    if passed.is_err() {
        let _ = far.set_zero_linger();
    }
    passed.map(drop)
}

async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    way: Way,
    mut link: watch::Receiver<Condition>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        passable(&mut link, way).await?;
        let read = tokio::select! {
            read = from.read(&mut buffer) => read?,
            changed = link.changed() => {
                changed.map_err(|_| io::ErrorKind::BrokenPipe)?;
                continue;
            }
        };
        let condition = *link.borrow();
        if let Condition::Delayed(delay) = condition {
            sleep(delay).await;
        }
        // What was on its way when the link broke is lost with the rest.
        passable(&mut link, way).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

async fn passable(link: &mut watch::Receiver<Condition>, way: Way) -> io::Result<()> {
    match link.wait_for(|condition| condition.passes(way)).await {
        Ok(_) => Ok(()),
        Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
    }
}
