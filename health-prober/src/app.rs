//! The wiring: what one prober waits for, and the process around it.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use trunkline_runtime::ops::{self, OpsRoutes};
use trunkline_runtime::readiness::{Guard, Readiness};
use trunkline_runtime::server::{self, ServerOptions};
use trunkline_runtime::telemetry::{init_logs, init_metrics};
use trunkline_runtime::tls::{ClientTls, Renew, ServerTls};
use trunkline_runtime::{BoxError, Shutdown, Tasks, renewal, signals};
use trunkline_store::keys::ROOT;
use trunkline_store::{Change, Etcd, EtcdOptions, Store, StoreError};
use trunkline_upstream::Transport;

use crate::config::{Cli, ProberConfig};
use crate::cycle::Cycle;
use crate::evidence::{EvidenceReceiver, mailbox};
use crate::intake::{self, Intake};
use crate::probe::{self, Report};
use crate::publish::{Ended, Publisher};
use crate::reload::Reload;
use crate::self_test;
use crate::telemetry::{self, Telemetry};
use crate::tuning::Tuning;

/// The shortest sleep of the loop: what is due and cannot start yet must not make it spin.
const SLEEP_MIN_MS: u64 = 5;
/// How long tasks may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// Runs one prober until the shutdown: due → probe → observe → publish. `evidence` brings what live traffic
/// saw; a mailbox whose sender is gone is as good as an empty one.
///
/// # Errors
/// When the HTTP client cannot be set up, or the prober's name cannot be part of a key.
pub async fn run(
    config: ProberConfig,
    store: Arc<dyn Store>,
    evidence: EvidenceReceiver,
    shutdown: Shutdown,
) -> Result<(), BoxError> {
    Prober::new(&config, store, None)?.run(evidence, shutdown).await
}

/// The process: one prober on etcd, with an operations port, until a signal.
///
/// # Errors
/// What keeps it from starting, or the task that failed.
pub async fn process(cli: Cli) -> Result<(), BoxError> {
    let tuning = Tuning::read(&cli)?;
    let logs = init_logs(cli.log_format.into(), &tuning.log)?;
    let metrics = init_metrics(&[])?;
    telemetry::describe();
    let mut config = cli.prober()?;
    tuning.put_into(&mut config);
    let listener = bind("--ops", cli.ops).await?;
    let port = match cli.evidence_port()? {
        Some(port) => {
            let listener = bind("--listen", port.listen).await?;
            config.address = cli.advertised(&port, listener.local_addr()?);
            Some((listener, port.tls.map(|files| ServerTls::load("evidence", files)).transpose()?))
        }
        None => None,
    };
    tracing::info!(ops = %listener.local_addr()?, evidence = config.address, "listening");
    let tls = cli.etcd.tls().map(|files| ClientTls::load("etcd", files)).transpose()?;
    let members = cli.etcd.etcd_endpoints.clone();
    let store = Arc::new(Etcd::new(EtcdOptions { members, tls: tls.clone() })?);
    let mut identities: Vec<Arc<dyn Renew>> = Vec::new();
    identities.extend(tls.map(|tls| tls as Arc<dyn Renew>));
    let (shutdown, readiness) = (Shutdown::new(), Readiness::new());
    let told = Telemetry::new(&config.id);
    let (reload, tunings) = Reload::new(cli, tuning, logs.filter(), told.clone());
    let prober = Prober::new(&config, store, Some(readiness.guard("joined")))?.tuned(tunings);
    let (sender, evidence) = mailbox();
    let mut tasks = Tasks::new(shutdown.clone());
    if let Some(port) = port {
        identities.extend(port.1.clone().map(|tls| tls as Arc<dyn Renew>));
        let intake = Intake::new(sender, Telemetry::new(&config.id), shutdown.clone());
        serve_evidence(&mut tasks, port, intake, &shutdown);
    }
    let tell = move |identity: &dyn Renew, outcome| {
        told.certificates(identity.purpose(), identity.expiry(), outcome);
    };
    tasks.spawn("certificates", renewal::watch(identities, tell, shutdown.clone()));
    tasks.spawn("configuration", reload.run(shutdown.clone()));
    tasks.spawn("prober", prober.run(evidence, shutdown.clone()));
    tasks.spawn_companion("metrics upkeep", metrics.clone().keep_up());
    let routes = OpsRoutes { readiness, metrics, extra: Vec::new() };
    tasks.spawn_companion("operations port", ops::serve(listener, routes, shutdown.clone()));
    tasks.spawn("signals", signals(shutdown));
    Ok(tasks.join(|| GRACE).await?)
}

async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener, BoxError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| format!("cannot listen on {address} ({flag}): {error}").into())
}

/// Serves the port where routers bring evidence.
fn serve_evidence(
    tasks: &mut Tasks,
    (listener, tls): (TcpListener, Option<Arc<ServerTls>>),
    intake: Intake,
    shutdown: &Shutdown,
) {
    let options = ServerOptions {
        limits: intake::limits(),
        tls,
        spawner: tasks.spawner(),
        ..ServerOptions::default()
    };
    let make = move |peer: &server::Peer| TowerToHyperService::new(intake.of(peer));
    tasks.spawn("evidence", server::serve(listener, options, make, shutdown.clone()));
}

/// Something that was under way has ended.
enum Done {
    Probe(Report),
    Errand(Ended),
    SelfTest(bool),
}

type Job = Pin<Box<dyn Future<Output = Done> + Send>>;

/// One prober: the cycle, and what is under way for it.
struct Prober {
    cycle: Cycle,
    publisher: Publisher,
    transport: Transport,
    store: Arc<dyn Store>,
    telemetry: Telemetry,
    controls: Vec<String>,
    /// Says what changed while it runs; `None` where nobody does.
    tunings: Option<watch::Receiver<Tuning>>,
    jobs: FuturesUnordered<Job>,
    errand_under_way: bool,
    /// The last errand failed, which was logged.
    store_fails: bool,
    /// When the next self-test begins; `None` while one is under way.
    self_test_ms: Option<u64>,
    /// Ready while the prober has a voice.
    joined: Option<Guard>,
    clock: Clock,
}

impl Prober {
    fn new(
        config: &ProberConfig,
        store: Arc<dyn Store>,
        joined: Option<Guard>,
    ) -> Result<Self, BoxError> {
        let clock = Clock(Instant::now());
        let telemetry = Telemetry::new(&config.id);
        let publisher = Publisher::new(config, Arc::clone(&store))
            .ok_or("the prober's name cannot be part of a key")?;
        Ok(Self {
            cycle: Cycle::new(config, telemetry.clone(), clock.now_ms()),
            publisher,
            transport: Transport::new()?,
            store,
            telemetry,
            controls: config.controls.clone(),
            tunings: None,
            jobs: FuturesUnordered::new(),
            errand_under_way: false,
            store_fails: false,
            self_test_ms: Some(0),
            joined,
            clock,
        })
    }

    /// Goes by what it is told from now on.
    fn tuned(self, tunings: watch::Receiver<Tuning>) -> Self {
        Self { tunings: Some(tunings), ..self }
    }

    async fn run(
        mut self,
        mut evidence: EvidenceReceiver,
        shutdown: Shutdown,
    ) -> Result<(), BoxError> {
        let mut watch = self.store.watch(ROOT);
        let mut evidence_open = true;
        loop {
            self.start_what_is_due();
            let wake_at = self.wake_at();
            tokio::select! {
                change = watch.next() => self.learn(change, &evidence),
                Some(done) = self.jobs.next() => self.take_in(done),
                batch = evidence.next(), if evidence_open => match batch {
                    Some(batch) => self.cycle.hear(&batch, self.clock.now_ms()),
                    None => evidence_open = false,
                },
                tuning = next(&mut self.tunings) => self.tune(tuning),
                () = sleep_until(wake_at) => {}
                () = shutdown.wait() => break,
            }
        }
        // Probes and errands under way are dropped: nobody will ask for them.
        if let Err(error) = self.publisher.leave().await {
            tracing::warn!(%error, "the lease could not be ended and will expire");
        }
        Ok(())
    }

    /// The store changed; routers learn which endpoints this prober watches now.
    fn learn(&mut self, change: Change, evidence: &EvidenceReceiver) {
        self.cycle.learn(change, self.clock.now_ms());
        if let Some(endpoints) = self.cycle.take_interest() {
            evidence.want(endpoints);
        }
    }

    /// Others are asked, and more or less may be spent, from now on.
    fn tune(&mut self, tuning: Tuning) {
        self.controls = tuning.controls;
        let daily = (tuning.endpoint_daily, tuning.cluster_daily);
        self.cycle.allow(daily, self.clock.now_ms());
    }

    fn start_what_is_due(&mut self) {
        let now_ms = self.clock.now_ms();
        self.cycle.tick(now_ms);
        for task in self.cycle.due(now_ms) {
            let probe = probe::run(self.transport.clone(), task);
            self.jobs.push(Box::pin(async move { Done::Probe(probe.await) }));
        }
        if self.self_test_ms.is_some_and(|at| at <= now_ms) {
            self.self_test_ms = None;
            let test = self_test::passes(self.controls.clone());
            self.jobs.push(Box::pin(async move { Done::SelfTest(test.await) }));
        }
        if !self.errand_under_way
            && let Some(errand) = self.publisher.next_errand(&self.cycle, now_ms)
        {
            self.errand_under_way = true;
            self.jobs.push(Box::pin(async move { Done::Errand(errand.await) }));
        }
    }

    fn take_in(&mut self, done: Done) {
        let now_ms = self.clock.now_ms();
        match done {
            Done::Probe(report) => self.cycle.observe(&report, now_ms),
            Done::SelfTest(passed) => {
                self.cycle.self_tested(passed, now_ms);
                self.self_test_ms = Some(now_ms + self_test::PERIOD_MS);
            }
            Done::Errand(ended) => {
                self.errand_under_way = false;
                let outcome = self.publisher.ended(ended, &mut self.cycle, now_ms);
                self.note(&outcome);
            }
        }
    }

    fn note(&mut self, outcome: &Result<(), StoreError>) {
        match outcome {
            Err(error) => {
                self.telemetry.store_failed(error);
                if !self.store_fails {
                    tracing::warn!(%error, "an errand in the store failed, trying on");
                }
            }
            Ok(()) if self.store_fails => tracing::info!("the store takes errands again"),
            Ok(()) => {}
        }
        self.store_fails = outcome.is_err();
        let alive = self.publisher.alive();
        self.telemetry.alive(alive);
        match &self.joined {
            Some(guard) if alive => guard.ready(),
            Some(guard) => guard.not_ready(),
            None => {}
        }
    }

    fn wake_at(&self) -> Instant {
        let now_ms = self.clock.now_ms();
        let errand_ms =
            if self.errand_under_way { u64::MAX } else { self.publisher.next_wake_ms() };
        let test_ms = self.self_test_ms.unwrap_or(u64::MAX);
        let due_ms = self.cycle.next_wake_ms(now_ms).min(errand_ms).min(test_ms);
        self.clock.at(due_ms.max(now_ms + SLEEP_MIN_MS))
    }
}

/// The next word on what can change; never where nobody gives any.
async fn next(tunings: &mut Option<watch::Receiver<Tuning>>) -> Tuning {
    if let Some(tunings) = tunings
        && tunings.changed().await.is_ok()
    {
        return tunings.borrow_and_update().clone();
    }
    std::future::pending().await
}

/// Milliseconds since the prober began.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn now_ms(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn at(self, ms: u64) -> Instant {
        self.0 + Duration::from_millis(ms)
    }
}
