//! What is written down of a morning, and what is made of it.

use std::time::Duration;

use crate::outcome::{PoolOutcome, Quantiles, SchoolOutcome, Second};
use crate::policy::{Promise, Pupil};
use crate::scenario::{Gate, Pool};

/// With so many pupils every promise of every poll is checked, with n times as many every n-th.
const CHECKED: u64 = 40_000;
/// Somebody waits: more than this many seconds of work. Fewer are on their way.
const BACKLOG: f64 = 2.0;
/// A later time than promised before is one only from so many seconds on, or so much of the wait.
const LATER: (f64, f64) = (5.0, 0.1);
/// Before the first so many seconds, and those after a change, are over nothing is settled.
const SETTLING: f64 = 10.0;
/// Nor while those still type who were let in to a gated page first, which takes them up to so many times as
/// long as the others: until then there is nothing that the backend could work on.
const SLOWEST_TYPIST: f64 = 1.5;

/// A twentieth of a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tick {
    /// Core seconds in use.
    pub(crate) busy: f64,
    /// Core seconds there were.
    pub(crate) cores: f64,
    pub(crate) in_flight: u32,
    pub(crate) cap: u32,
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    at: f64,
    tick: Tick,
    backlogged: bool,
}

#[derive(Clone, Copy, Default)]
struct Trace {
    came: f32,
    began: f32,
    promised_until: f32,
    first: f32,
}

pub(crate) struct Record {
    outcome: PoolOutcome,
    hash: f64,
    changes: Vec<f64>,
    /// Seconds until the first who were let in have typed; 0 if no page is gated.
    typed: f64,
    slices: Vec<Slice>,
    traces: Vec<Trace>,
    promises: Vec<(f32, Pupil, Promise)>,
    /// Of so many promises one is checked.
    one_in: u64,
    waiting: u32,
    waiting_of: Vec<u32>,
    schools_waiting: usize,
    served: Vec<u64>,
    weights: Vec<u32>,
    waits: Vec<Vec<f64>>,
    latencies: Vec<f64>,
    buffered: Vec<f64>,
    rate: f64,
}

impl Record {
    pub(crate) fn new(pool: &Pool, people: impl Iterator<Item = (Duration, u32)>) -> Self {
        let schools = pool.schools.len();
        let mut outcome = PoolOutcome {
            pool: pool.name.clone(),
            region: pool.region.clone(),
            schools: pool
                .schools
                .iter()
                .map(|school| SchoolOutcome {
                    school: school.name.clone(),
                    pupils: school.pupils,
                    ..SchoolOutcome::default()
                })
                .collect(),
            ..PoolOutcome::default()
        };
        let mut traces = Vec::new();
        for (came, school) in people {
            outcome.came += 1;
            outcome.schools[school as usize].came += 1;
            second(&mut outcome, came).came += 1;
            traces.push(Trace {
                came: came.as_secs_f32(),
                began: f32::NAN,
                promised_until: f32::NAN,
                first: f32::NAN,
            });
        }
        let changes = pool.backend.cores.changes();
        let people = traces.len() as u64;
        Self {
            outcome,
            hash: pool.backend.hash.as_secs_f64(),
            changes: changes.map(|at| at.as_secs_f64()).collect(),
            typed: match pool.admission.gate {
                Gate::Page { typing } => SLOWEST_TYPIST * typing.as_secs_f64(),
                Gate::Submit => 0.0,
            },
            slices: Vec::new(),
            traces,
            promises: Vec::new(),
            one_in: 1 + people / CHECKED,
            waiting: 0,
            waiting_of: vec![0; schools],
            schools_waiting: 0,
            served: vec![0; schools],
            weights: pool.schools.iter().map(|s| s.pupils.max(1)).collect(),
            waits: vec![Vec::new(); schools],
            latencies: Vec::new(),
            buffered: Vec::new(),
            rate: 1.0 / pool.backend.hash.as_secs_f64(),
        }
    }

    pub(crate) fn waits(&mut self, school: u32, before: bool, after: bool) {
        let of = &mut self.waiting_of[school as usize];
        match (before, after) {
            (false, true) => {
                self.waiting += 1;
                *of += 1;
                self.schools_waiting += usize::from(*of == 1);
            }
            (true, false) => {
                self.waiting -= 1;
                *of -= 1;
                self.schools_waiting -= usize::from(*of == 0);
            }
            _ => {}
        }
    }

    pub(crate) fn promised(&mut self, now: Duration, pupil: Pupil, promise: Promise) {
        self.outcome.polls += 1;
        let trace = &mut self.traces[pupil as usize];
        let at = now.as_secs_f32();
        #[allow(clippy::cast_possible_truncation, reason = "seconds")]
        let until = at + promise.likely as f32;
        let first = trace.promised_until.is_nan();
        if first {
            trace.first = until - at;
            trace.promised_until = until;
        } else {
            let left = f64::from(trace.promised_until - at).max(0.0);
            if promise.likely > left + LATER.0.max(LATER.1 * left) {
                self.outcome.revised_up += 1;
                let waited = f64::from(at - trace.came);
                let told = promise.reason.is_some_and(|ago| waited > ago);
                self.outcome.revised_unexplained += u64::from(!told);
                trace.promised_until = until;
            }
            trace.promised_until = trace.promised_until.min(until.max(at));
        }
        // Spread by a multiplication: polls come in rounds, and every n-th could be the same pupil's.
        let spread = self.outcome.polls.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        if spread.is_multiple_of(self.one_in) {
            self.promises.push((at, pupil, promise));
        }
    }

    pub(crate) fn began(&mut self, now: Duration, pupil: Pupil) {
        let began = &mut self.traces[pupil as usize].began;
        if began.is_nan() {
            *began = now.as_secs_f32();
        }
    }

    pub(crate) fn buffered(&mut self, time: Duration) {
        self.buffered.push(time.as_secs_f64());
    }

    pub(crate) fn hashed(&mut self, now: Duration, latency: Duration) {
        self.latencies.push(latency.as_secs_f64() / self.hash);
        second(&mut self.outcome, now).logins += 1;
    }

    pub(crate) fn served(&mut self, school: u32) {
        if self.schools_waiting == self.weights.len() {
            self.served[school as usize] += 1;
        }
    }

    pub(crate) fn admitted(&mut self, now: Duration, school: u32, came: Duration) {
        self.outcome.admitted += 1;
        self.outcome.ended = now.as_secs_f64();
        self.waits[school as usize].push(now.saturating_sub(came).as_secs_f64());
    }

    pub(crate) fn gave_up(&mut self) {
        self.outcome.gave_up += 1;
    }

    pub(crate) fn error(&mut self) {
        self.outcome.errors += 1;
    }

    pub(crate) fn most(&mut self, in_flight: u32) {
        self.outcome.most_in_flight = self.outcome.most_in_flight.max(in_flight);
    }

    pub(crate) fn tick(&mut self, now: Duration, tick: Tick) {
        // What has just been done was done in the tick before; cores of both are the same but for
        // the tick of a change.
        let work = BACKLOG * tick.cores / 0.05 * self.rate;
        let backlogged = f64::from(self.waiting) > work.max(2.0);
        self.slices.push(Slice {
            at: now.as_secs_f64(),
            tick,
            backlogged,
        });
        let waiting = self.waiting;
        let second = second(&mut self.outcome, now);
        second.waiting = waiting;
        second.cap = tick.cap;
        #[allow(clippy::cast_possible_truncation, reason = "a picture, not a sum")]
        {
            second.in_flight += tick.in_flight as f32 * 0.05;
            second.cores += tick.cores as f32;
            second.busy += tick.busy as f32;
        }
    }

    pub(crate) fn close(mut self) -> PoolOutcome {
        self.use_of_capacity();
        self.judge_promises();
        let mut outcome = self.outcome;
        outcome.slowdown = Quantiles::of(&mut self.latencies);
        outcome.buffered = Quantiles::of(&mut self.buffered);
        let mut all: Vec<f64> = self.waits.iter().flatten().copied().collect();
        outcome.wait = Quantiles::of(&mut all);
        let served = self.served.iter().zip(&mut self.waits);
        for (school, (served, waits)) in outcome.schools.iter_mut().zip(served) {
            school.backlogged = *served;
            school.admitted = waits.len() as u64;
            school.wait = Quantiles::of(waits);
        }
        outcome.jain = jain(&self.served, &self.weights);
        outcome
    }

    fn settled(&self, at: f64) -> bool {
        let starts = std::iter::once(&self.typed).chain(&self.changes);
        at >= self.typed
            && starts
                .filter(|start| **start <= at)
                .all(|start| at >= start + SETTLING)
    }

    fn use_of_capacity(&mut self) {
        let used = |slices: &mut dyn Iterator<Item = &Slice>| {
            let (busy, cores) = slices.fold((0.0, 0.0), |(b, c), slice| {
                (b + slice.tick.busy, c + slice.tick.cores)
            });
            if cores > 0.0 { busy / cores } else { 1.0 }
        };
        let waited = |s: &&Slice| s.backlogged;
        self.outcome.used = used(&mut self.slices.iter().filter(waited));
        self.outcome.used_settled = used(
            &mut self
                .slices
                .iter()
                .filter(|s| s.backlogged && self.settled(s.at)),
        );
        let window = 200;
        let full = |w: &&[Slice]| w.iter().all(|s| s.backlogged && self.settled(s.at));
        let least = self.slices.windows(window).step_by(4).filter(full);
        self.outcome.used_least = least.map(|w| used(&mut w.iter())).reduce(f64::min);
        let changes = self.changes.clone();
        self.outcome.settled_after = changes.iter().map(|at| self.settles(*at)).collect();
    }

    /// Seconds until three seconds in a row have the backend used and not crowded.
    fn settles(&self, change: f64) -> f64 {
        let bad = |w: &[Slice]| {
            let sum = |of: fn(&Tick) -> f64| w.iter().map(|s| of(&s.tick)).sum::<f64>();
            let (busy, cores) = (sum(|t| t.busy), sum(|t| t.cores));
            let in_flight = sum(|t| f64::from(t.in_flight) * 0.05);
            w.iter().all(|s| s.backlogged) && (busy < 0.9 * cores || in_flight > 2.0 * cores + 0.1)
        };
        let after = self.slices.partition_point(|slice| slice.at < change);
        let slices = &self.slices[after..];
        let settled = slices.windows(60).position(|w| !w.windows(20).any(bad));
        settled.map_or(f64::INFINITY, |at| slices[at].at - change)
    }

    fn judge_promises(&mut self) {
        let mut ratios = Vec::new();
        let mut widths = Vec::new();
        let (mut sooner, mut later) = (0_u64, 0_u64);
        for (at, pupil, promise) in &self.promises {
            let began = self.traces[*pupil as usize].began;
            if began.is_nan() {
                continue;
            }
            let left = f64::from(began - at);
            sooner += u64::from(left < promise.low);
            later += u64::from(left > promise.high);
            widths.push((promise.high - promise.low) / promise.likely.max(0.5));
            ratios.push(left / promise.likely.max(0.5));
        }
        self.outcome.promises = ratios.len() as u64;
        let part = |of: u64| of as f64 / ratios.len().max(1) as f64;
        (self.outcome.sooner, self.outcome.later) = (part(sooner), part(later));
        self.outcome.covered = 1.0 - part(sooner + later);
        self.outcome.eta_width = Quantiles::of(&mut widths).p50;
        self.outcome.eta_ratio = Quantiles::of(&mut ratios).p50;
        let mut sums = vec![(0.0_f32, 0_u32, 0.0_f32, 0_u32); self.outcome.series.len()];
        for trace in &self.traces {
            let Some(sum) = sums.get_mut(whole(trace.came)) else {
                continue;
            };
            if !trace.first.is_nan() {
                sum.0 += trace.first;
                sum.1 += 1;
            }
            if !trace.began.is_nan() {
                sum.2 += trace.began - trace.came;
                sum.3 += 1;
            }
        }
        for (second, (promised, ones, waited, others)) in self.outcome.series.iter_mut().zip(sums) {
            second.promised = (ones > 0).then(|| promised / ones as f32);
            second.waited = (others > 0).then(|| waited / others as f32);
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds since the start"
)]
fn whole(seconds: f32) -> usize {
    seconds.max(0.0) as usize
}

fn second(outcome: &mut PoolOutcome, now: Duration) -> &mut Second {
    let number = usize::try_from(now.as_secs()).unwrap_or(0);
    if outcome.series.len() <= number {
        outcome.series.resize(number + 1, Second::default());
    }
    &mut outcome.series[number]
}

/// Jain's index of what each school got over its weight: 1 if all got the same, 1/n if one got all
/// (Jain, Chiu and Hawe, 1984). `None` with so few logins that whole numbers would decide it.
fn jain(served: &[u64], weights: &[u32]) -> Option<f64> {
    let total: u64 = served.iter().sum();
    let weight: f64 = weights.iter().map(|w| f64::from(*w)).sum();
    let least = weights.iter().min().copied().map_or(0.0, f64::from);
    if served.len() < 2 || total as f64 * least / weight < 10.0 {
        return None;
    }
    let each = served.iter().zip(weights);
    let (sum, squares) = each.fold((0.0, 0.0), |(sum, squares), (served, weight)| {
        let got = *served as f64 / f64::from(*weight);
        (sum + got, squares + got * got)
    });
    Some(sum * sum / (served.len() as f64 * squares))
}
