//! The listening socket as a gate that can be closed and opened again on the same port.
//! It decides nothing: `app.rs` says when.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// A listener that can be taken away.
pub struct Gate {
    addr: SocketAddr,
    /// Bound and never listening: nobody else gets the port while the gate is closed, and the system
    /// refuses connections to it.
    _reservation: TcpSocket,
    runtime: Handle,
    state: Mutex<State>,
}

struct State {
    listener: Option<TcpListener>,
    /// Counts the orders; an `open` from an older order than the last is ignored.
    order: u64,
    /// Counts how often it was closed.
    closings: u64,
    acceptor: Option<Waker>,
}

impl Gate {
    /// Binds the address (port 0: a free one) and starts to listen.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        let reservation = socket_at(addr)?;
        let addr = reservation.local_addr()?;
        let listener = socket_at(addr)?.listen(BACKLOG)?;
        let state = State { listener: Some(listener), order: 0, closings: 0, acceptor: None };
        Ok(Self {
            addr,
            _reservation: reservation,
            runtime: Handle::current(),
            state: Mutex::new(state),
        })
    }

    /// The bound address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A new order: from now on only `open` and `close` calls with the returned number count.
    pub fn new_order(&self) -> u64 {
        let mut state = self.lock();
        state.order += 1;
        state.order
    }

    /// Refuses connections from the moment it returns; those waiting to be accepted are reset.
    /// False when the order is outdated and nothing was done.
    pub fn close(&self, order: u64) -> bool {
        let mut state = self.lock();
        let valid = state.order == order;
        if valid {
            state.listener = None;
            state.closings += 1;
        }
        valid
    }

    /// How often it was closed so far.
    #[must_use]
    pub fn closings(&self) -> u64 {
        self.lock().closings
    }

    /// Listens again.
    ///
    /// # Errors
    /// When the system does not let it listen.
    pub fn open(&self, order: u64) -> io::Result<()> {
        let mut state = self.lock();
        if state.order != order || state.listener.is_some() {
            return Ok(());
        }
        let _in_runtime = self.runtime.enter();
        state.listener = Some(socket_at(self.addr)?.listen(BACKLOG)?);
        if let Some(acceptor) = state.acceptor.take() {
            acceptor.wake();
        }
        Ok(())
    }

    /// The next connection, with the number of closings until then; waits while the gate is closed.
    /// Only one task may call it.
    ///
    /// # Errors
    /// As `accept(2)`, for example when the process has no more file descriptors.
    pub async fn accept(&self) -> io::Result<(TcpStream, u64)> {
        poll_fn(|cx| {
            let mut state = self.lock();
            state.acceptor = Some(cx.waker().clone());
            match &state.listener {
                None => Poll::Pending,
                Some(listener) => {
                    listener.poll_accept(cx).map_ok(|(socket, _)| (socket, state.closings))
                }
            }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn socket_at(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Lets the reservation, the listener and connections that are still closing share the port.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}
