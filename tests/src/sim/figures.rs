//! Figures that take minutes or days of a cluster's life: each is had in simulated time, has a bound, and is a
//! test. What paid probes spend in thirty days is in `spend.rs`.

use std::collections::BTreeMap;

use trunkline_core::assess::Row;
use trunkline_core::snapshot::Verdict;

use super::provider::Conduct;
use super::scale::Scale;
use super::world::{Breach, World};

/// By then everybody has joined and has seen every endpoint, in milliseconds.
const SETTLED_MS: u64 = 60_000;

/// How often the verdict on a provider changes in ten minutes in which it fails and works in turns, each for so
/// long, in milliseconds.
///
/// # Errors
/// A promise that was broken meanwhile.
pub fn verdict_changes_of_a_flapping_provider(each_ms: u64, calls: u32) -> Result<u64, Breach> {
    let scale = Scale { models: 1, calls_per_second: calls, ..Scale::default() };
    let mut world = World::new(&scale, each_ms);
    world.run_until(SETTLED_MS)?;
    world.books.verdict_changes.clear();
    world.conducts[0] = Conduct::Flaps(each_ms);
    world.run_until(SETTLED_MS + 600_000)?;
    Ok(world.books.verdict_changes.values().copied().max().unwrap_or(0))
}

/// What routers make of twenty providers of which fourteen are sick.
#[derive(Clone, Debug, Default)]
pub struct Sick {
    /// Only probes see so much down: nothing is ejected.
    pub disruption: bool,
    /// Of the sick, how many are ejected.
    pub ejected: usize,
    /// Of the sick, how many are kept in by a limit.
    pub limited: usize,
    /// Of the well, how many are up.
    pub well: usize,
    /// The share of the weight that the well have, in ‰.
    pub well_permille: u64,
}

/// Twenty providers of one model, of which fourteen die at once, three minutes later.
///
/// # Errors
/// A promise that was broken meanwhile.
pub fn fourteen_of_twenty_sick(calls_per_second: u32) -> Result<Sick, Breach> {
    let scale = Scale { providers: 20, models: 1, calls_per_second, ..Scale::default() };
    let mut world = World::new(&scale, 14);
    world.run_until(SETTLED_MS)?;
    world.conducts.iter_mut().take(14).for_each(|conduct| *conduct = Conduct::Errs);
    world.run_until(SETTLED_MS + 180_000)?;
    let Some(table) = world.table() else { return Ok(Sick::default()) };
    let (well, sick): (Vec<_>, Vec<_>) =
        table.rows.iter().partition(|(id, _)| world.conducts[world.provider_of(**id)].is_well());
    let count = |rows: &[(_, &Row)], is: fn(&Row) -> bool| rows.iter().filter(|r| is(r.1)).count();
    let weight = |rows: &[(_, &Row)]| rows.iter().map(|r| u64::from(r.1.weight.0)).sum::<u64>();
    Ok(Sick {
        disruption: table.disruption,
        ejected: count(&sick, |row| row.verdict == Verdict::Down),
        limited: count(&sick, |row| row.limited.is_some()),
        well: count(&well, |row| row.verdict == Verdict::Up),
        well_permille: weight(&well) * 1_000 / (weight(&well) + weight(&sick)).max(1),
    })
}

/// What probers write in the store.
#[derive(Clone, Debug, Default)]
pub struct Writes {
    /// Keys a second, on average.
    pub mean: u64,
    /// Keys in the busiest second.
    pub peak: u64,
    /// Transactions a second, on average.
    pub transactions: u64,
    /// Bytes of keys and values in an hour, at that pace.
    pub bytes_an_hour: u64,
}

/// What the probers of a cluster of so many endpoints write: in two minutes of calm, and in one in which a
/// quarter of all providers dies at once.
///
/// # Errors
/// A promise that was broken meanwhile.
pub fn writes(probers: usize, models: usize) -> Result<(Writes, Writes), Breach> {
    let scale = Scale { routers: 0, probers, providers: 20, models, ..Scale::default() };
    let mut world = World::new(&scale, 20);
    world.run_until(2 * SETTLED_MS)?;
    let calm = written(&mut world, 120)?;
    world.conducts.iter_mut().take(5).for_each(|conduct| *conduct = Conduct::Refuses);
    let outage = written(&mut world, 60)?;
    Ok((calm, outage))
}

fn written(world: &mut World, seconds: u64) -> Result<Writes, Breach> {
    let from_s = world.now_ms / 1_000;
    let (bytes, writes) = (world.books.bytes, world.books.writes);
    world.run_until(world.now_ms + seconds * 1_000)?;
    let puts: BTreeMap<&u64, &u64> = world.books.puts.range(from_s..from_s + seconds).collect();
    Ok(Writes {
        mean: puts.values().copied().sum::<u64>() / seconds,
        peak: puts.values().copied().copied().max().unwrap_or(0),
        transactions: (world.books.writes - writes) / seconds,
        bytes_an_hour: (world.books.bytes - bytes) * 3_600 / seconds,
    })
}
