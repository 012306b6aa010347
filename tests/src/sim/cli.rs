//! The command line of the simulation: many seeds, or one again.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use clap::Parser;

use super::figures;
use super::spend;
use super::story::{Ended, Failed, play};

/// Probers of the largest cluster that is supported.
const LARGEST_PROBERS: usize = 20;
/// Its models; twenty providers serve each, which makes 2,000 endpoints.
const LARGEST_MODELS: usize = 100;

/// Plays stories of clusters in which things go wrong, heal, and must come to an agreement.
#[derive(Debug, Parser)]
#[command(name = "simulate")]
pub struct Cli {
    /// How many stories to play
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// The seed of the first story
    #[arg(long, default_value_t = 0)]
    pub first: u64,
    /// Play the story of this seed alone
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    pub seed: Option<u64>,
    /// Print the figures of flapping, sickness, spending and writing instead; takes minutes
    #[arg(long, conflicts_with_all = ["seeds", "first", "seed"])]
    pub figures: bool,
}

/// Plays, prints what came of it, and fails when a promise was broken.
pub fn run(cli: &Cli) -> ExitCode {
    if cli.figures {
        return print_figures();
    }
    let seeds = match cli.seed {
        Some(seed) => seed..seed + 1,
        None => cli.first..cli.first.saturating_add(cli.seeds),
    };
    let began = Instant::now();
    let all = seeds.end - seeds.start;
    match play_all(seeds) {
        Ok(mut endings) => {
            endings.sort_by_key(|ended| ended.agreed_after_ms);
            let after_s = |percent: usize| {
                let at = (endings.len() - 1) * percent / 100;
                endings.get(at).map_or(0, |ended| ended.agreed_after_ms / 1_000)
            };
            println!(
                "{all} stories in {:.1} s: all agreed, half within {} s of the healing, 99 % within {} s, all \
                 within {} s",
                began.elapsed().as_secs_f64(),
                after_s(50),
                after_s(99),
                after_s(100)
            );
            ExitCode::SUCCESS
        }
        Err(failed) => {
            println!("{}", explained(&failed));
            ExitCode::FAILURE
        }
    }
}

fn print_figures() -> ExitCode {
    for each_ms in [
        1_000, 5_000, 10_000, 15_000, 20_000, 30_000, 45_000, 60_000, 65_000, 75_000, 90_000,
        110_000, 120_000,
    ] {
        for calls in [0, 3] {
            let changes = figures::verdict_changes_of_a_flapping_provider(each_ms, calls);
            println!(
                "flapping, {each_ms} ms each, {calls} calls/s: verdict changes in 10 min: {changes:?}"
            );
        }
    }
    for calls in [0, 3] {
        println!("14 of 20 sick, {calls} calls/s: {:?}", figures::fourteen_of_twenty_sick(calls));
    }
    let spent = spend::month();
    println!(
        "30 days of probes: {} USD; most in 24 hours: {} of 5 USD, {} of 1 USD for one endpoint",
        spent.in_all, spent.most_in_a_day, spent.most_for_an_endpoint
    );
    match figures::writes(LARGEST_PROBERS, LARGEST_MODELS) {
        Ok((calm, outage)) => {
            println!("20 probers, 2,000 endpoints: calm {calm:?}, outage {outage:?}")
        }
        Err(breach) => println!("20 probers, 2,000 endpoints: {breach:?}"),
    }
    ExitCode::SUCCESS
}

/// Plays the stories of all seeds on as many threads as there are processors.
///
/// # Errors
/// The first that failed; the rest is not played.
pub fn play_all(seeds: std::ops::Range<u64>) -> Result<Vec<Ended>, Box<Failed>> {
    let next = AtomicU64::new(seeds.start);
    let (endings, failed) = (Mutex::new(Vec::new()), Mutex::new(None));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds.end {
                return;
            }
            match play(seed) {
                Ok(ended) => endings.lock().expect("nobody panics here").push(ended),
                Err(story) => {
                    next.store(seeds.end, Relaxed);
                    failed.lock().expect("nobody panics here").get_or_insert(story);
                }
            }
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
    match failed.into_inner().expect("nobody panics here") {
        Some(story) => Err(story),
        None => Ok(endings.into_inner().expect("nobody panics here")),
    }
}

/// A failed story in words, and how to have it again.
pub fn explained(failed: &Failed) -> String {
    let mut text = format!(
        "seed {} failed after {} simulated ms: {}\n{:?}\n",
        failed.seed, failed.breach.at_ms, failed.breach.what, failed.scale
    );
    for planned in &failed.faults {
        text += &format!("  {planned:?}\n");
    }
    text + &format!("again: cargo run -p trunkline-tests --bin simulate -- --seed {}", failed.seed)
}
