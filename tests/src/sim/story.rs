//! One story from one seed: faults first, then everything heals, and agreement is demanded.

use trunkline_core::draw::Rng;

use super::fault::{Fault, Planned, plan};
use super::scale::Scale;
use super::world::{Breach, World};

/// From when on things go wrong, in milliseconds: everybody has joined by then.
const FAULTS_FROM_MS: u64 = 20_000;
/// When everything heals.
const HEAL_MS: u64 = 90_000;
/// By when agreement is demanded: the longest back-off, five minutes, then the ramp and the pace of probes.
const AGREE_BY_MS: u64 = HEAL_MS + 600_000;
/// How often it is looked for.
const LOOK_MS: u64 = 5_000;
/// For how long it must last then.
const LAST_MS: u64 = 20_000;

/// A story that ended well.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How long after the healing all agreed, in milliseconds.
    pub agreed_after_ms: u64,
    /// How many tables were formed.
    pub generations: u64,
}

/// A story that did not.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Have it again with this.
    pub seed: u64,
    /// What was broken, and when.
    pub breach: Breach,
    /// The cluster.
    pub scale: Scale,
    /// What went wrong in it, in order.
    pub faults: Vec<Planned>,
}

/// Plays the story of a seed.
///
/// # Errors
/// The first promise broken, with everything it takes to have it again.
pub fn play(seed: u64) -> Result<Ended, Box<Failed>> {
    let mut rng = Rng::new(seed);
    let scale = Scale::drawn(&mut rng);
    let faults = plan(&scale, &mut rng, (FAULTS_FROM_MS, HEAL_MS));
    let mut world = World::new(&scale, rng.next());
    run(&mut world, &faults).map_err(|breach| Box::new(Failed { seed, breach, scale, faults }))
}

fn run(world: &mut World, faults: &[Planned]) -> Result<Ended, Breach> {
    for (at_ms, fault, begins) in in_order(faults) {
        world.run_until(at_ms)?;
        if begins { world.begin(fault) } else { world.end(fault) }
    }
    world.run_until(HEAL_MS)?;
    let breach = |world: &World, what| Breach { at_ms: world.now_ms, what };
    let agreed_after_ms = agree(world)?;
    world.within_allowance().map_err(|what| breach(world, what))?;
    Ok(Ended { agreed_after_ms, generations: world.books.generations })
}

/// Waits for an agreement that lasts; how long after the healing it began. It may be lost again at first: a
/// probe that was sent to a provider that swallowed it fails a quarter of a minute later.
fn agree(world: &mut World) -> Result<u64, Breach> {
    let (mut since_ms, mut unsettled) = (None, String::new());
    while world.now_ms < AGREE_BY_MS {
        world.run_until(world.now_ms + LOOK_MS)?;
        match world.converged() {
            Ok(()) => {
                let since_ms = *since_ms.get_or_insert(world.now_ms);
                if world.now_ms - since_ms >= LAST_MS {
                    return Ok(since_ms - HEAL_MS);
                }
            }
            Err(what) => (since_ms, unsettled) = (None, what),
        }
    }
    Err(Breach { at_ms: world.now_ms, what: format!("no agreement: {unsettled}") })
}

/// Beginnings and ends, by time.
fn in_order(faults: &[Planned]) -> Vec<(u64, Fault, bool)> {
    let begins = faults.iter().map(|p| (p.from_ms, p.fault, true));
    let ends = faults.iter().filter_map(|p| Some((p.to_ms?, p.fault, false)));
    let mut all: Vec<_> = begins.chain(ends).collect();
    all.sort_by_key(|(at_ms, _, _)| *at_ms);
    all
}
