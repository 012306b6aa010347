//! What is demanded: of every table at any time, and of a cluster some time after everything healed.

use std::collections::{BTreeMap, BTreeSet};

use router_node::fold::Fold;
use trunkline_core::assess::{Row, Table};
use trunkline_core::assign::Roster;
use trunkline_core::catalog::Catalog;
use trunkline_core::id::{EndpointId, ModelId, ProberId, Zone};
use trunkline_core::money::PicoUsd;
use trunkline_core::observation::ProberInfo;
use trunkline_core::score::ONE_Q16;
use trunkline_core::snapshot::{Verdict, Weight};
use trunkline_store::keys::ROOT;
use trunkline_store::{Change, Store};

use super::poll::now;
use super::prober::Prober;
use super::scale::zone_name;
use super::world::World;

/// A day, in milliseconds.
const DAY_MS: u128 = 24 * 60 * 60 * 1000;

/// What every table keeps, whatever went wrong.
///
/// # Errors
/// Which promise it breaks.
pub fn always(table: &Table, catalog: &Catalog) -> Result<(), String> {
    let mut models: BTreeMap<&ModelId, Vec<&Row>> = BTreeMap::new();
    for endpoint in &catalog.endpoints {
        let row = table.rows.get(&endpoint.id);
        let row = row.ok_or_else(|| format!("{} has no row", endpoint.name()))?;
        if (row.drained || row.operator_weight == 0) && row.weight > Weight::ZERO {
            return Err(format!("{} is drained and has a weight", endpoint.name()));
        }
        models.entry(&endpoint.model).or_default().push(row);
    }
    for (model, rows) in models {
        let allowed = rows.iter().filter(|row| !row.drained && row.operator_weight > 0);
        let able: Vec<_> = allowed.filter(|row| row.agreed != Verdict::ConfigError).collect();
        let ejected = able.iter().filter(|row| row.verdict == Verdict::Down).count();
        let most = if able.len() == 1 { 0 } else { able.len() / 2 };
        if ejected > most {
            return Err(format!("{ejected} of {} endpoints of {model} are ejected", able.len()));
        }
        if !able.is_empty() && able.iter().all(|row| row.weight == Weight::ZERO) {
            return Err(format!("nothing of {model} can be chosen"));
        }
    }
    Ok(())
}

impl World {
    /// What holds some time after everything healed: all routers agree with who reads the store anew; what
    /// works is up with its whole weight; what is dead is out, as far as the limits allow.
    ///
    /// # Errors
    /// What does not hold yet.
    pub fn converged(&mut self) -> Result<(), String> {
        let runtime = self.runtime();
        let _timers = runtime.enter();
        if let Some(table) = self.table() {
            self.as_it_is(table)?;
        }
        let reference = self.read_anew()?;
        for at in 0..self.routers.len() {
            self.routers[at].look(self.now_ms);
            self.swap(at);
            let router = &self.routers[at];
            let digest = router.table.as_ref().map(|table| table.digest);
            if router.fold.revision != reference.revision {
                return Err(format!("router {at} lags at {}", router.fold.revision));
            }
            if digest != Some(reference.table(&router.zone).digest) {
                return Err(format!("router {at} differs from who reads the store anew"));
            }
        }
        (0..self.routers.len())
            .filter_map(|at| self.routers[at].table.as_ref())
            .try_for_each(|table| self.as_it_is(table))
    }

    fn read_anew(&self) -> Result<Fold, String> {
        let listing = now(self.store.list(ROOT)).ok_or("the store waits")?;
        let mut fold = Fold::default();
        fold.apply(Change::Snapshot(listing.map_err(|error| error.to_string())?));
        Ok(fold)
    }

    /// Whether a table tells what each provider does.
    fn as_it_is(&self, table: &Table) -> Result<(), String> {
        let living = self.living();
        let roster = Roster::new(&living);
        for endpoint in &self.catalog.endpoints {
            let row = table.rows.get(&endpoint.id).ok_or("a row is missing")?;
            let conduct = self.conducts[self.provider_of(endpoint.id)];
            let observers: Vec<_> =
                roster.of(endpoint.id).iter().filter_map(|at| roster.members().get(*at)).collect();
            let zones = |liars: bool| -> BTreeSet<&Zone> {
                let of = observers.iter().filter(|m| liars || !self.lies(m.id));
                of.map(|m| &m.info.zone).collect()
            };
            let right = if conduct.is_well() {
                is_up(row)
            } else if observers.len() < 2 {
                row.agreed == Verdict::AdvisoryDown
            } else if zones(false).len() < zones(true).len().min(2) {
                // Liars that hold a zone alone can keep an endpoint in: an outage needs two zones' word.
                true
            } else {
                row.agreed == Verdict::Down
                    && (row.verdict == Verdict::Down || row.limited.is_some() || row.drained)
            };
            if !right {
                let name = endpoint.name();
                let votes = self.votes(endpoint.id);
                return Err(format!("{name} {conduct:?} is taken for {row:?}; {votes}"));
            }
        }
        Ok(())
    }

    /// How each honest prober stands to an endpoint, in words.
    fn votes(&self, endpoint: EndpointId) -> String {
        let tell = |prober: &Prober| {
            let id = &prober.config.id;
            let Some(process) = &prober.process else { return format!("{id} does not run") };
            let (alive, own) = (process.publisher.alive(), process.cycle.own());
            format!("{id} votes {:?}, alive {alive}, {own:?}", process.cycle.vote(endpoint))
        };
        self.probers.iter().map(tell).collect::<Vec<_>>().join("; ")
    }

    fn lies(&self, prober: &ProberId) -> bool {
        self.liars.iter().any(|liar| liar.id == prober.as_str())
    }

    /// All probers, when everything is healed.
    fn living(&self) -> BTreeMap<ProberId, ProberInfo> {
        let honest = self.probers.iter().map(|p| (p.config.id.clone(), p.config.zone.clone()));
        let liars = self.liars.iter().enumerate().map(|(at, liar)| {
            (ProberId::new(&liar.id), Zone::new(&zone_name(at, self.scale.zones)))
        });
        let info = |zone| ProberInfo { zone, incarnation: 0, self_suspect: false };
        honest.chain(liars).map(|(id, zone)| (id, info(zone))).collect()
    }

    /// Whether paid probes stayed within what was allowed since the beginning.
    ///
    /// # Errors
    /// What was spent, and what was allowed.
    pub fn within_allowance(&self) -> Result<(), String> {
        let spent = self.books.spent_in_all();
        let allowed = allowed(self.scale.cluster_daily, self.now_ms, self.books.lives);
        if spent > allowed {
            return Err(format!("{spent} USD of {allowed} were spent"));
        }
        Ok(())
    }
}

/// What may be spent until `now_ms`: what was earned, and what each process was given at its start.
fn allowed(daily: PicoUsd, now_ms: u64, lives: u64) -> PicoUsd {
    let earned = u128::from(daily.0) * u128::from(now_ms) / DAY_MS;
    PicoUsd(u64::try_from(earned).unwrap_or(u64::MAX)) + PicoUsd(daily.0 / 1440).times(lives)
}

/// Up, and nothing taken away for its health.
fn is_up(row: &Row) -> bool {
    let whole = [row.factors.health, row.factors.ramp, row.factors.capacity];
    row.verdict == Verdict::Up && whole.iter().all(|factor| *factor == ONE_Q16)
        || row.drained && row.agreed == Verdict::Up
}
