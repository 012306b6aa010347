//! The provider's line to the world: its gate, its connections, and outages of both.
//! It plans and orders; the tasks that follow its plans are started by `app.rs`.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::conn::Switch;
use crate::gate::Gate;

/// The longest outage: an hour is more than any test wants.
const OUTAGE_MAX: Duration = Duration::from_secs(3600);

/// When the gate is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// Until further orders.
    Up,
    /// Closed until further orders.
    Down,
    /// Closed for this time.
    DownFor(Duration),
    /// Open and closed in turn.
    Flap { up: Duration, down: Duration },
}

/// The gate, the connections and the plan for them.
pub struct Line {
    gate: Gate,
    /// The plan and the order number that it was given.
    plan: watch::Sender<(Plan, u64)>,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    open: BTreeMap<u64, Arc<Switch>>,
    next: u64,
}

/// Which connections an outage spares.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spared {
    None,
    Control,
}

impl Line {
    /// Binds the address and opens the gate.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            gate: Gate::bind(addr)?,
            plan: watch::Sender::new((Plan::Up, 0)),
            connections: Mutex::default(),
        })
    }

    /// The bound address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.gate.addr()
    }

    /// Down until [`Line::revive`]: connects are refused and every connection is reset.
    pub fn kill(&self) {
        self.go_down(Plan::Down, Spared::None);
    }

    /// Serves again.
    ///
    /// # Errors
    /// When the system does not let it listen.
    pub fn revive(&self) -> io::Result<()> {
        let order = self.gate.new_order();
        self.plan.send_replace((Plan::Up, order));
        self.gate.open(order)
    }

    /// Down for a while, but for connections that carry control requests.
    pub fn refuse(&self, for_ms: u64) {
        let time = Duration::from_millis(for_ms).min(OUTAGE_MAX);
        self.go_down(Plan::DownFor(time), Spared::Control);
    }

    /// Up and down in turn, starting with up, until [`Line::calm`].
    pub fn flap(&self, up_ms: u64, down_ms: u64) {
        let period = |ms: u64| Duration::from_millis(ms.max(1)).min(OUTAGE_MAX);
        let order = self.gate.new_order();
        self.plan.send_replace((Plan::Flap { up: period(up_ms), down: period(down_ms) }, order));
    }

    /// Ends an outage that a fault began; a killed provider stays down.
    ///
    /// # Errors
    /// When the system does not let it listen.
    pub fn calm(&self) -> io::Result<()> {
        let plan = self.plan.borrow().0;
        match plan {
            Plan::Up | Plan::Down => Ok(()),
            Plan::DownFor(_) | Plan::Flap { .. } => self.revive(),
        }
    }

    /// The next connection with its switch and its number.
    ///
    /// # Errors
    /// As `accept(2)`.
    pub async fn accept(&self) -> io::Result<(TcpStream, Arc<Switch>, u64)> {
        let (socket, closings) = self.gate.accept().await?;
        let switch = Arc::new(Switch::default());
        let mut connections = self.lock();
        let number = connections.next;
        connections.next += 1;
        connections.open.insert(number, switch.clone());
        drop(connections);
        if self.gate.closings() != closings {
            // The gate closed after the accept and before the insert: the closing has not seen it.
            switch.kill();
        }
        Ok((socket, switch, number))
    }

    /// Forgets a connection that has ended.
    pub fn forget(&self, number: u64) {
        self.lock().open.remove(&number);
    }

    /// Follows the plans as they are made; returns only when the line is dropped.
    pub async fn follow_plans(&self) {
        let mut plans = self.plan.subscribe();
        loop {
            let (plan, order) = *plans.borrow_and_update();
            tokio::select! {
                changed = plans.changed() => if changed.is_err() { return },
                () = self.follow(plan, order) => {}
            }
        }
    }

    async fn follow(&self, plan: Plan, order: u64) {
        match plan {
            Plan::Up | Plan::Down => {}
            Plan::DownFor(time) => {
                tokio::time::sleep(time).await;
                self.reopen(order).await;
            }
            Plan::Flap { up, down } => loop {
                tokio::time::sleep(up).await;
                self.close(order, Spared::Control);
                tokio::time::sleep(down).await;
                self.reopen(order).await;
            },
        }
        std::future::pending().await
    }

    /// Opens the gate; the port is reserved, so that a failure passes and is worth another try.
    async fn reopen(&self, order: u64) {
        while self.gate.open(order).is_err() {
            tokio::time::sleep(REOPEN_PAUSE).await;
        }
    }

    fn go_down(&self, plan: Plan, spared: Spared) {
        let order = self.gate.new_order();
        self.plan.send_replace((plan, order));
        self.close(order, spared);
    }

    fn close(&self, order: u64, spared: Spared) {
        if !self.gate.close(order) {
            return;
        }
        for switch in self.lock().open.values() {
            if spared == Spared::None || !switch.is_control() {
                switch.kill();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between two tries to listen again.
const REOPEN_PAUSE: Duration = Duration::from_millis(10);
