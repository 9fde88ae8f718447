//! The pacer that finds the cap: delivery rate x no-load latency, and a little headroom.
//!
//! By Little's law a backend that completes `rate` logins a second, each of which would take
//! `no_load` alone on average, works on `rate x no_load` at once; more in flight only waits in line
//! and shows as delay. So under load the right cap can be computed from one window, whatever the cap is now:
//! the headroom of 15 % keeps the backend busy and stands as a small delay, and a delay that
//! vanishes says that there is capacity to be found.
//!
//! Three things are easy to get wrong, and each is a rule here. Samples are medians of logins that
//! really hashed, over windows that are longer than a login takes and open only when what began
//! under the cap before has ended. The no-load latency is never learnt from a latency that may
//! hold a delay: only in quiet time, or when a lower cap made the backend complete less, which
//! proves that it had nothing waiting. And slow is loss: a login under way for three times the
//! no-load latency counts as lost, before it ends; where some logins cost many times as much as
//! others, for two and a half times what nine in ten need without any load.

mod dearer;
mod dip;
mod levels;
mod ripe;
mod search;

use std::time::Duration;

use dearer::Looks;
use levels::Levels;
use search::GROWTH;

use super::alone::{Alone, sound};
use super::reference::Reference;
use super::window::{LOSS, Measure, Window};
use super::{Inputs, Memory, Outputs, Pacer};

/// In flight above what the delivery rate needs: that much delay keeps the backend busy.
const HEADROOM: f64 = 1.15;
/// And a part of a slot more: where a few slots are all there is, rounding must not idle one.
const EXTRA: f64 = 0.5;
const CUT: f64 = 0.5;
/// So many seconds of delay are the gateway's own: a busy machine, the network.
const OWN_DELAY: f64 = 0.002;
/// A window with fewer samples says nothing yet.
const SAMPLES: usize = 8;
/// Corrections below this part of the cap are noise, and are smoothed; so are those below so many standard errors of a
/// window. One that is off by so much by chance counts half.
const NOISE: f64 = 0.25;
const CERTAIN: f64 = 3.0;
const SMOOTHING: f64 = 0.6;
const ROUGH: f64 = 0.1;
/// Under load it is looked for that often.
const REFRESH: Duration = Duration::from_mins(2);
/// A rise is looked at again soon: it may have been a capacity that fell just then.
const CONFIRM: Duration = Duration::from_secs(15);
/// In quiet time it is learnt that often at most.
const QUIET_LESSON: Duration = Duration::from_secs(10);
/// Of so many in flight on average there are now and then so many square roots more.
const CROWD: f64 = 2.0;
/// A no-load latency that may be off by so much is doubtful. If it is too low by no more than the
/// headroom, any cap looks right: so it is tried, that often at most, whether more in flight make
/// the backend complete more.
const DOUBTFUL: f64 = 0.05;
const PROBE: Duration = Duration::from_secs(10);
/// With slower logins a dip would cost more than it brings; then only a suspicion is followed.
const DIP_LATENCY: f64 = 0.8;
/// What a busy window says about the pool holds so long for promises.
const FRESH: Duration = Duration::from_secs(10);
/// A delay above this is odd once the cap has been corrected; after so many windows of it the
/// no-load latency is looked for.
const ODD_DELAY: f64 = 0.35;
const ODD_WINDOWS: u32 = 4;

/// Between how many logins in flight the pacer may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Never fewer: at least 1.
    pub min: u32,
    /// Never more: at least `min`.
    pub max: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// As usual.
    Steady,
    /// The cap is lower for a moment: does the backend complete less?
    Dip { cap: f64, rate: f64, dips: u32 },
}

/// Finds the cap by measurement.
#[derive(Clone, Debug)]
pub struct Adaptive {
    bounds: Bounds,
    /// Ceiling in logins per second, if the operator set one.
    ceiling: Option<f64>,
    cap: f64,
    /// The cap that fitted before the backend broke or this pacer started.
    goal: Option<f64>,
    no_load: Option<Alone>,
    rate: Option<f64>,
    /// Logins per second that were seen, as long as `rate` is only hope.
    proven: Option<f64>,
    /// The same before anything was found that fits.
    seen: Option<f64>,
    phase: Phase,
    window: Window,
    growth: usize,
    odd: u32,
    was_down: bool,
    /// The cap that fitted last: what counts after an outage, not what was left of it when it was known.
    good: Option<f64>,
    /// What a busy window said not long ago.
    reference: Reference,
    /// Are logins dearer, or is the backend weaker?
    looks: Looks,
    /// How many were in flight, on average, when the no-load latency was learnt of the very first logins.
    first: Option<f64>,
    /// What was seen since, as long as that is doubtful.
    levels: Levels,
    /// Since when somebody has been in flight without a break.
    busy_since: Option<Duration>,
    /// Since when nobody has.
    idle_since: Option<Duration>,
    refresh: Duration,
    lesson: Duration,
    /// From then on it may be tried whether more in flight make the pool complete more.
    probe: Duration,
    settled: bool,
    /// When a busy window last said what the pool can do.
    confirmed: Option<Duration>,
    /// Whether that is not long ago.
    fresh: bool,
}

impl Adaptive {
    /// Starts at the lower bound and knows nothing.
    pub fn new(bounds: Bounds, ceiling: Option<f64>) -> Self {
        let min = bounds.min.max(1);
        let bounds = Bounds {
            min,
            max: bounds.max.max(min),
        };
        Self {
            bounds,
            ceiling,
            cap: f64::from(min),
            goal: None,
            no_load: None,
            rate: None,
            proven: None,
            seen: None,
            phase: Phase::Steady,
            window: Window::default(),
            growth: GROWTH.len() - 1,
            odd: 0,
            was_down: false,
            good: None,
            reference: Reference::default(),
            looks: Looks::default(),
            first: None,
            levels: Levels::default(),
            busy_since: None,
            idle_since: None,
            refresh: REFRESH,
            lesson: Duration::ZERO,
            probe: Duration::ZERO,
            settled: false,
            confirmed: None,
            fresh: false,
        }
    }

    fn median(&self) -> Option<f64> {
        self.no_load.map(|alone| alone.median())
    }

    fn clamp(&self, cap: f64) -> f64 {
        cap.clamp(f64::from(self.bounds.min), f64::from(self.bounds.max))
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between two bounds that are u32"
    )]
    fn cap(&self) -> u32 {
        self.clamp(self.cap.round()) as u32
    }

    /// A new window, once what is in flight now has ended.
    fn reopen(&mut self, now: Duration) {
        self.looks.open = false;
        let settle = self.window.median().or(self.median()).unwrap_or(0.0);
        // Slower than lost is not waited for.
        let most = self.no_load.map_or(f64::MAX, |alone| alone.overdue());
        self.window = Window::opening(now + Duration::from_secs_f64(settle.min(most).min(30.0)));
    }

    fn set(&mut self, now: Duration, cap: f64) {
        self.cap = self.clamp(cap);
        if self.cap() >= self.bounds.max {
            self.settled = true;
            self.confirmed = Some(now);
        }
        self.reopen(now);
    }

    fn decide(&mut self, now: Duration) {
        let (overdue, hopeless) = self
            .no_load
            .map_or((f64::MAX, f64::MAX), |a| (a.overdue(), a.hopeless()));
        let measure = self.window.measure(overdue, hopeless);
        match (self.phase, self.no_load, measure.latency) {
            (_, None, Some(latency)) => self.learn_first(now, latency, &measure),
            (Phase::Dip { cap, rate, dips }, Some(alone), _) => {
                self.dip(now, &measure, alone, (cap, rate, dips));
            }
            (Phase::Steady, Some(alone), latency) => {
                self.steady(now, &measure, alone, latency);
            }
            (_, None, None) => {
                if measure.loss > LOSS {
                    self.cap = self.clamp(self.cap * CUT);
                }
                self.reopen(now);
            }
        }
    }

    fn steady(&mut self, now: Duration, measure: &Measure, alone: Alone, latency: Option<f64>) {
        let delay = self.delay_of(measure, alone);
        let idle = self.idle_delay(measure, alone);
        let flat = self.flat(measure, alone);
        if self.is_losing(measure, alone) {
            self.cut(now, measure, latency);
        } else if measure.in_flight < 0.5 * self.cap {
            self.quiet(now, measure, delay);
        } else if latency.is_none() {
            // Used, and nobody's password was hashed: that is no sign of speed.
            self.calm();
            self.reopen(now);
        } else if !measure.pressed && delay < ODD_DELAY.max(idle) {
            // Used, but not used up: nothing to be learnt about what it can do.
            self.calm();
            self.rate = Some(self.rate.unwrap_or(0.0).max(measure.rate));
            self.confirm_ceiling(now, measure);
            self.reopen(now);
        } else if flat.is_some() || delay < idle {
            self.odd = 0;
            let may_be = |latency| alone.may_be(latency, measure.samples);
            if let Some(fewer) = flat {
                self.refine(&fewer);
            } else if latency.is_some_and(may_be) {
                self.refine(measure);
            }
            self.grow(now, measure);
        } else {
            self.correct(now, measure, alone, latency);
        }
    }

    /// Whether more than a few were lost. Where most logins take as long as ever, and slow ones are
    /// answered all the same, they are slow by themselves: a longer tail than was known. Fewer in flight
    /// would not help them.
    fn is_losing(&self, measure: &Measure, alone: Alone) -> bool {
        let short = |latency| delay(latency, alone) < ODD_DELAY;
        let own = measure.samples >= SAMPLES && measure.latency.is_none_or(short);
        let loss = if own {
            measure.unanswered
        } else {
            measure.loss
        };
        loss > LOSS && self.window.is_losing()
    }

    /// More than a few were lost.
    fn cut(&mut self, now: Duration, measure: &Measure, latency: Option<f64>) {
        self.growth = 0;
        self.goal = None;
        self.settled = true;
        self.proven = None;
        self.seen = None;
        if self.looks_closer(now, measure, latency) {
            return;
        }
        let used = measure.in_flight.min(self.cap);
        let cap = used.max(0.5 * self.cap) * CUT;
        self.set(now, cap);
        self.expect();
    }

    /// Nothing was learnt about what more it could do. The search for it goes on with small steps.
    fn calm(&mut self) {
        if self.settled && self.goal.is_none() {
            self.growth = 0;
        }
    }

    /// The cap that fitted last, as far as is known.
    fn good(&self) -> f64 {
        self.good.map_or(self.cap, |good| good.max(self.cap))
    }

    /// What was seen before says nothing any more.
    fn forget(&mut self) {
        self.reference = Reference::default();
        self.looks.open = false;
    }

    /// What the cap will complete if nothing waits.
    fn expect(&mut self) {
        if let Some(alone) = self.no_load {
            self.rate = Some(self.cap / alone.mean());
        }
    }

    /// Half of the cap or less is in use: a login finds the backend idle.
    fn quiet(&mut self, now: Duration, measure: &Measure, delay: f64) {
        self.calm();
        if measure.samples >= SAMPLES
            && now.saturating_sub(self.lesson) >= QUIET_LESSON
            && delay < 0.5
            && (delay <= 0.0 || self.is_lonely(measure))
            && let Some(alone) = &mut self.no_load
        {
            alone.rest(measure);
            self.lesson = now;
            self.refresh = now + REFRESH;
        }
        self.rate = Some(self.rate.unwrap_or(0.0).max(measure.rate));
        self.confirm_ceiling(now, measure);
        self.reopen(now);
    }

    /// Whether hardly any login shares a core with another. Where there are only one or two, half of the cap in use
    /// is two logins at once as often as none, and how long those take is not how long a login takes.
    fn is_lonely(&self, measure: &Measure) -> bool {
        let cores = (self.cap - EXTRA) / HEADROOM;
        let crowd = measure.in_flight + CROWD * measure.in_flight.sqrt();
        self.cap() == 1 || crowd <= cores
    }

    /// At the operator's ceiling the pace is known whatever else the pool could do.
    fn confirm_ceiling(&mut self, now: Duration, measure: &Measure) {
        if self.ceiling.is_some_and(|most| measure.rate > 0.8 * most) {
            self.confirmed = Some(now);
        }
    }

    /// Used up, and with a delay: now the rate says how many it works on.
    fn correct(&mut self, now: Duration, measure: &Measure, alone: Alone, latency: Option<f64>) {
        let latency = latency.unwrap_or(alone.median());
        // Logins that began together end together: after a rise the rate is not to be relied on, nor compared with.
        let risen = std::mem::take(&mut self.growth) > 0;
        self.goal = None;
        self.settled = true;
        self.confirmed = Some(now);
        if risen {
            // What the cap was hoped to complete while it grew was never seen.
            self.rate = Some(measure.rate);
            self.reference = Reference::default();
        }
        let looked = self.looks.open;
        if !risen && self.nothing_waits(measure, latency, alone) {
            if looked {
                self.prove(now, latency, measure.samples);
            } else {
                self.teach(now, latency, measure.samples);
            }
        }
        let alone = self.no_load.unwrap_or(alone);
        let odd = delay(latency, alone) > ODD_DELAY + 1.0 / measure.in_flight.max(1.0);
        self.odd = if odd { self.odd + 1 } else { 0 };
        if self.odd >= ODD_WINDOWS && self.looks_at_lowest(now, measure, latency) {
            return;
        }
        let due = now >= self.refresh && alone.median() <= DIP_LATENCY;
        if (due || self.odd >= ODD_WINDOWS) && !risen && self.cap() > self.bounds.min {
            self.begin_dip(now, measure);
            return;
        }
        if alone.uncertain() > DOUBTFUL && now >= self.probe {
            self.probe = now + PROBE.max(Duration::from_secs_f64(4.0 * self.window.seconds()));
            self.reference.try_more(measure);
            self.set(now, self.cap.max(measure.in_flight) * GROWTH[0]);
            return;
        }
        let wanted = measure.rate * alone.mean() * HEADROOM + EXTRA;
        let chance = alone.noise(measure.samples);
        let weight = if (wanted / self.cap - 1.0).abs() < NOISE.max(CERTAIN * chance) {
            SMOOTHING / (1.0 + (chance / ROUGH).powi(2))
        } else {
            1.0
        };
        self.proven = None;
        self.seen = None;
        let rate = self.rate.unwrap_or(measure.rate);
        self.rate = Some(rate + weight * (measure.rate - rate));
        self.set(now, self.cap + weight * (wanted - self.cap));
        self.good = Some(self.cap);
    }

    /// Whether nothing waits at the backend, by comparison with the window before.
    fn nothing_waits(&mut self, measure: &Measure, latency: f64, alone: Alone) -> bool {
        let chance = |samples: usize| alone.noise(samples);
        self.reference.nothing_waits(measure, latency, chance)
    }

    /// Nothing waits there.
    fn refine(&mut self, measure: &Measure) {
        if let Some(alone) = &mut self.no_load {
            alone.refine(measure);
        }
    }

    /// Learns the no-load latency. A rise is confirmed soon.
    fn teach(&mut self, now: Duration, latency: f64, samples: usize) {
        let taught = |alone: &mut Alone| alone.teach(latency, samples);
        let rose = self.no_load.as_mut().is_some_and(taught);
        self.learnt(now, rose);
    }

    fn learnt(&mut self, now: Duration, rose: bool) {
        self.lesson = now;
        self.refresh = now + if rose { CONFIRM } else { REFRESH };
    }

    fn capacity(&self) -> Option<f64> {
        let early = || {
            let enough = self.window.samples() >= (self.cap() as usize / 2).max(2);
            let latency = self.window.median().filter(|_| enough)?;
            Some(self.cap / latency.max(0.000_1))
        };
        let rate = self.rate.or_else(early)?;
        Some(self.ceiling.map_or(rate, |most| rate.min(most)))
    }
}

/// How much longer a login takes than alone, as a part of that.
fn delay(latency: f64, alone: Alone) -> f64 {
    ((latency - alone.median() - OWN_DELAY) / alone.median()).max(-0.5)
}

impl Pacer for Adaptive {
    fn step(&mut self, now: Duration, inputs: &Inputs) -> Outputs {
        if inputs.down {
            self.was_down = true;
        } else if std::mem::take(&mut self.was_down) {
            // Whatever broke is weak still: half of what it could do, and up from there. How long
            // anything takes is not known again before a busy window has said so.
            self.confirmed = None;
            self.end_search();
            self.phase = Phase::Steady;
            self.growth = 1;
            let good = self.good();
            self.goal = Some(good);
            self.cap = self.clamp(good * CUT);
            // Should it break again before anything else was confirmed, half of that will do.
            self.good = Some(self.cap);
            self.rate = self.rate.map(|rate| rate * CUT);
            self.expect();
            self.forget();
            self.window = Window::opening(now);
        } else {
            if inputs.in_flight == 0 {
                self.busy_since = None;
                self.idle_since.get_or_insert(now);
            } else {
                self.idle_since = None;
                self.busy_since.get_or_insert(now);
            }
            self.abandon(now);
            let scale = 1.0 / inputs.portion.clamp(0.001, 1.0);
            self.window.add(
                now,
                &inputs.latencies,
                f64::from(inputs.losses),
                scale,
                f64::from(inputs.in_flight) * scale,
                f64::from(self.cap()),
            );
            if self.is_ripe(now) {
                self.decide(now);
            }
        }
        let fresh = |at: Duration| now.saturating_sub(at) < FRESH;
        self.fresh = self.confirmed.is_some_and(fresh);
        Outputs {
            cap: self.cap(),
            capacity: self.capacity(),
            proven: self.proven,
            seen: self.seen.filter(|_| !self.fresh),
            overdue_after: self
                .no_load
                .map(|alone| Duration::from_secs_f64(alone.overdue())),
            settled: self.fresh,
        }
    }

    fn memory(&self) -> Memory {
        let cap = match self.phase {
            _ if self.was_down => self.good(),
            Phase::Steady => self.cap,
            Phase::Dip { cap, .. } => cap,
        };
        let mut memory = Memory {
            cap: self.settled.then_some(cap),
            rate: self.rate,
            fresh: self.fresh,
            ..Memory::default()
        };
        if let Some(alone) = &self.no_load {
            alone.remember(&mut memory);
        }
        memory
    }

    fn resume(&mut self, now: Duration, memory: &Memory) {
        self.no_load = Alone::recalled(memory).or(self.no_load);
        self.end_search();
        self.proven = None;
        self.seen = None;
        self.rate = sound(memory.rate).or(self.rate);
        if let Some(cap) = sound(memory.cap) {
            self.cap = self.clamp(cap);
            self.good = Some(self.cap);
            self.growth = 0;
            self.settled = true;
        }
        self.confirmed = memory.fresh.then_some(now);
        self.phase = Phase::Steady;
        self.forget();
        self.refresh = now + REFRESH;
        self.lesson = now;
        self.window = Window::opening(now);
    }

    fn restart(&mut self, now: Duration, memory: &Memory) {
        self.resume(now, memory);
        self.confirmed = None;
        if let Some(cap) = sound(memory.cap) {
            self.cap = self.clamp(cap * CUT);
            self.goal = Some(cap);
            self.growth = GROWTH.len() - 1;
            self.rate = self.no_load.map(|alone| self.cap / alone.mean());
        }
    }
}
