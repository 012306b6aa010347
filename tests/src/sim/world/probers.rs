//! What probers do in the world, by themselves and when something reaches them: see `health_prober::app`.

use health_prober::cycle::Letter;
use health_prober::probe::{PROMPT_TOKENS, Probe, Report, Task};
use health_prober::publish::{Ended, Errand};
use health_prober::self_test::PERIOD_MS;
use trunkline_core::failure::{Failure, FailureKind};
use trunkline_core::money::PicoUsd;
use trunkline_spec::observation::encode_observation;
use trunkline_store::keys::OBSERVATIONS;

use super::{BEAT_MS, What, World};
use crate::sim::link::Line;
use crate::sim::poll::now;
use crate::sim::provider::patience_ms;

/// How long a process waits for a store that does not answer, in milliseconds.
const STORE_PATIENCE_MS: u64 = 5_000;
/// The shortest time between two things that a prober does by itself, in milliseconds.
const REST_MS: u64 = 5;

impl World {
    pub(in crate::sim) fn start_prober(&mut self, at: usize) {
        self.books.lives += 1;
        let (store, now_ms) = (self.store.clone(), self.now_ms);
        self.probers[at].start(&store, now_ms);
        self.look_soon(at);
        self.plan_wake(at);
    }

    pub(super) fn look_soon(&mut self, at: usize) {
        let way_ms = self.way_ms();
        let Some(process) = &mut self.probers[at].process else { return };
        if !process.looking {
            process.looking = true;
            self.say(way_ms, What::ProberLooks(at));
        }
    }

    pub(in crate::sim) fn plan_wake(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let prober = &mut self.probers[at];
        let clock = prober.clock;
        let Some(process) = prober.process.as_mut().filter(|_| !prober.paused) else { return };
        let errand_ms = match process.errand_under_way {
            true => u64::MAX,
            false => process.publisher.next_wake_ms(),
        };
        let local_ms = process
            .cycle
            .next_wake_ms(clock.local_ms(now_ms))
            .min(errand_ms)
            .min(process.self_test_ms);
        let wake_ms = clock.moment_ms(local_ms).max(now_ms + REST_MS);
        if process.wake_ms <= now_ms || wake_ms < process.wake_ms {
            process.wake_ms = wake_ms;
            self.say(wake_ms - now_ms, What::Wake(at));
        }
    }

    /// What a prober does by itself: see `health_prober::app`.
    pub(super) fn wake(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let way_ms = self.way_ms();
        let prober = &mut self.probers[at];
        let (life, egress) = (prober.life, prober.egress);
        let local_ms = prober.clock.local_ms(now_ms);
        let Some(process) = prober.process.as_mut().filter(|_| !prober.paused) else { return };
        if process.wake_ms != now_ms {
            return;
        }
        process.cycle.tick(local_ms);
        let tasks = process.cycle.due(local_ms);
        if process.self_test_ms <= local_ms {
            process.cycle.self_tested(egress, local_ms);
            process.self_test_ms = local_ms + PERIOD_MS;
        }
        if !process.errand_under_way
            && let Some(errand) = process.publisher.next_errand(&process.cycle, local_ms)
        {
            process.errand_under_way = true;
            self.say(way_ms, What::ErrandReaches(at, life, errand));
        }
        tasks.into_iter().for_each(|task| self.probe(at, &task));
        self.plan_wake(at);
    }

    fn probe(&mut self, at: usize, task: &Task) {
        let (life, egress) = (self.probers[at].life, self.probers[at].egress);
        let level = task.probe.level();
        let (ms, outcome) = if egress {
            let provider = self.providers.get(&task.endpoint).copied().unwrap_or(0);
            let ttft_ms = 200 + 20 * provider as u32;
            let conduct = self.conducts[provider];
            conduct.answer(level, ttft_ms, &mut self.rng, self.now_ms)
        } else {
            (patience_ms(level), Err(Failure::new(FailureKind::Connect)))
        };
        self.pay(task);
        let report = Report { endpoint: task.endpoint, probe: task.probe, outcome };
        self.say(ms * u64::from(task.patience), What::ProbeEnded(at, life, report));
    }

    fn pay(&mut self, task: &Task) {
        let Probe::Generate { tokens, .. } = task.probe else { return };
        let priced = self.catalog.endpoints.iter().find(|e| e.id == task.endpoint);
        let cost = priced.map(|e| e.price.of(PROMPT_TOKENS, u64::from(tokens)));
        let spent = self.books.spent.entry(task.endpoint).or_default();
        *spent = *spent + cost.unwrap_or(PicoUsd::ZERO);
        self.books.generations += 1;
    }

    pub(super) fn probe_ended(&mut self, at: usize, life: u64, report: Report) {
        let now_ms = self.now_ms;
        let prober = &mut self.probers[at];
        if prober.life != life {
            return;
        }
        if prober.paused {
            self.say(BEAT_MS, What::ProbeEnded(at, life, report));
            return;
        }
        let local_ms = prober.clock.local_ms(now_ms);
        if let Some(process) = &mut prober.process {
            process.cycle.observe(&report, local_ms);
        }
        self.plan_wake(at);
    }

    pub(super) fn errand_reaches(&mut self, at: usize, life: u64, errand: Errand) {
        let prober = &self.probers[at];
        let line = prober.line;
        // What is on its way arrives, even if its sender died meanwhile.
        if let Some(process) = &prober.process {
            process.link.set(line);
        }
        let ended = now(errand).expect("a simulated store answers at once");
        let back_ms = match line {
            Line::Open => self.way_ms(),
            Line::Cut | Line::Deaf => STORE_PATIENCE_MS,
        };
        self.news();
        self.say(back_ms, What::ErrandEnded(at, life, ended));
    }

    pub(super) fn errand_ended(&mut self, at: usize, life: u64, ended: Ended) {
        let now_ms = self.now_ms;
        if self.probers[at].life != life {
            return;
        }
        if self.probers[at].paused {
            self.say(BEAT_MS, What::ErrandEnded(at, life, ended));
            return;
        }
        self.book(&ended);
        let prober = &mut self.probers[at];
        let local_ms = prober.clock.local_ms(now_ms);
        if let Some(process) = &mut prober.process {
            process.errand_under_way = false;
            // The publisher has drawn its conclusions; its caller only logs.
            _ = process.publisher.ended(ended, &mut process.cycle, local_ms);
        }
        self.plan_wake(at);
    }

    fn book(&mut self, ended: &Ended) {
        let written: &[Letter] = match ended {
            Ended::Written(letters, Ok(Some(_))) => letters,
            Ended::Written(..) | Ended::KeptAlive(_) => return,
            Ended::Born(_) | Ended::Shown(..) | Ended::Tidied(_) => &[],
        };
        let puts = written.len().max(1) as u64;
        *self.books.puts.entry(self.now_ms / 1_000).or_default() += puts;
        self.books.writes += 1;
        for letter in written {
            let key = OBSERVATIONS.len() + "prober-00/".len() + letter.endpoint.as_str().len();
            self.books.bytes += (key + encode_observation(&letter.observation).len()) as u64;
        }
    }

    pub(super) fn prober_looks(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let prober = &mut self.probers[at];
        let local_ms = prober.clock.local_ms(now_ms);
        let reached = prober.line == Line::Open && !prober.paused;
        let Some(process) = &mut prober.process else { return };
        process.looking = false;
        if !reached {
            return;
        }
        while let Some(change) = now(process.watch.next()) {
            process.cycle.learn(change, local_ms);
        }
        self.plan_wake(at);
    }
}
