//! The pacer that finds the cap: delivery rate x no-load latency, and a little headroom.
//!
//! By Little's law a backend that completes `rate` logins a second, each of which would take
//! `no_load` alone, works on `rate x no_load` at once; more in flight only waits in line and shows
//! as delay. So under load the right cap can be computed from one window, whatever the cap is now:
//! the headroom of 15 % keeps the backend busy and stands as a small delay, and a delay that
//! vanishes says that there is capacity to be found.
//!
//! Three things are easy to get wrong, and each is a rule here. Samples are medians of logins that
//! really hashed, over windows that are longer than a login takes and open only when what began
//! under the cap before has ended. The no-load latency is never learnt from a latency that may
//! hold a delay: only in quiet time, or when a lower cap made the backend complete less, which
//! proves that it had nothing waiting. And slow is loss: a login under way for three times the
//! no-load latency counts as lost, before it ends.

use std::time::Duration;

use super::window::{Measure, Window};
use super::{Inputs, Memory, Outputs, Pacer};

/// In flight above what the delivery rate needs: that much delay keeps the backend busy.
const HEADROOM: f64 = 1.15;
/// And a part of a slot more: where a few slots are all there is, rounding must not idle one.
const EXTRA: f64 = 0.5;
/// A delay below this part of the no-load latency: the backend could do more.
const IDLE_DELAY: f64 = 0.1;
/// The same before a delay was ever seen: the first few samples are rough, and what was taken for a
/// delay wrongly would end the search.
const IDLE_DELAY_AT_FIRST: f64 = 0.3;
/// More lost than this, and the cap is cut.
const LOSS: f64 = 0.1;
const CUT: f64 = 0.5;
/// A login that takes so many no-load latencies is lost, but not before it takes so many seconds
/// more: a hiccup of the network is no loss.
const OVERDUE: f64 = 3.0;
const OVERDUE_AT_LEAST: f64 = 0.25;
/// So many seconds of delay are the gateway's own: a busy machine, the network.
const OWN_DELAY: f64 = 0.002;
/// The shortest window, in seconds; and in no-load latencies.
const WINDOW: f64 = 1.0;
const WINDOW_LATENCIES: f64 = 2.0;
/// The same while the cap grows: four exchanges between gateways.
const GROWING_WINDOW: f64 = 0.4;
/// A window with fewer samples says nothing yet.
const SAMPLES: usize = 8;
/// How many latencies it takes until those who end are a fair picture of those who begin.
const COHORTS: f64 = 3.0;
/// A window that still has not enough is given up after so many times its length.
const PATIENCE: f64 = 4.0;
/// How the cap grows while there is no delay: the first time, the second, then.
const GROWTH: [f64; 3] = [1.25, 1.5, 2.0];
/// Corrections below this part of the cap are noise, and are smoothed.
const NOISE: f64 = 0.25;
const SMOOTHING: f64 = 0.6;
/// The no-load latency moves no further than this in one lesson.
const NO_LOAD_RANGE: (f64, f64) = (0.7, 1.5);
/// How much lower the cap is while the no-load latency is looked for, and how much less must then
/// be completed to prove that nothing waited.
const DIP: f64 = 0.75;
const DIPPED: f64 = 0.93;
const MOST_DIPS: u32 = 6;
/// What it rests on counts as no more than so many samples.
const MOST_KNOWN: f64 = 500.0;
/// Under load it is looked for that often.
const REFRESH: Duration = Duration::from_mins(2);
/// A rise is looked at again soon: it may have been a capacity that fell just then.
const CONFIRM: Duration = Duration::from_secs(15);
/// In quiet time it is learnt that often at most.
const QUIET_LESSON: Duration = Duration::from_secs(10);
/// With slower logins a dip would cost more than it brings; then only a suspicion is followed.
const DIP_LATENCY: f64 = 0.8;
/// What a busy window says about the pool holds so long for promises.
const FRESH: Duration = Duration::from_secs(10);
/// So much fewer in flight than in the window it is compared with, and what is completed must have
/// fallen by so much of that, to prove that nothing waited.
const FEWER: f64 = 0.88;
const PROPORTION: f64 = 0.6;
/// Logins by which a window's count may be off.
const NOISE_LOGINS: f64 = 2.0;
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
    no_load: Option<f64>,
    rate: Option<f64>,
    phase: Phase,
    window: Window,
    growth: usize,
    odd: u32,
    was_down: bool,
    /// What a busy window said some time ago.
    reference: Option<Measure>,
    /// Since when somebody has been in flight without a break.
    busy_since: Option<Duration>,
    refresh: Duration,
    lesson: Duration,
    settled: bool,
    /// When a busy window last said what the pool can do.
    confirmed: Option<Duration>,
    /// Whether that is not long ago.
    fresh: bool,
    /// How many samples the no-load latency rests on.
    known: f64,
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
            no_load: None,
            rate: None,
            phase: Phase::Steady,
            window: Window::default(),
            growth: GROWTH.len() - 1,
            odd: 0,
            was_down: false,
            reference: None,
            busy_since: None,
            refresh: REFRESH,
            lesson: Duration::ZERO,
            settled: false,
            confirmed: None,
            fresh: false,
            known: 0.0,
        }
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
        let settle = self.window.median().or(self.no_load).unwrap_or(0.0);
        // Slower than lost is not waited for.
        let most = self.no_load.map_or(f64::MAX, |alone| OVERDUE * alone);
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

    /// Whether the window has enough in it to decide.
    fn is_ripe(&self, now: Duration) -> bool {
        let growing = self.growth > 0;
        let alone = self.no_load.unwrap_or(0.0);
        let shortest = match self.phase {
            Phase::Dip { .. } => GROWING_WINDOW.max(alone),
            Phase::Steady if growing => GROWING_WINDOW.max(alone),
            Phase::Steady => WINDOW.max(WINDOW_LATENCIES * alone),
        };
        let open = self.window.seconds();
        let enough = self.window.samples() >= SAMPLES || self.window.lost() >= 2.0;
        if open >= shortest && enough && !self.has_just_begun(now) {
            return true;
        }
        open >= PATIENCE * WINDOW.max(2.0 * WINDOW_LATENCIES * alone)
    }

    /// Of logins that began together the short ones end first: a median of those would be too low.
    fn has_just_begun(&self, now: Duration) -> bool {
        let (Some(since), Some(latency)) = (self.busy_since, self.window.median()) else {
            return false;
        };
        now.saturating_sub(since).as_secs_f64() < COHORTS * latency
    }

    fn decide(&mut self, now: Duration) {
        let measure = self.window.measure();
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

    /// The very first answers came under the lowest cap: so long takes a login alone.
    fn learn_first(&mut self, now: Duration, latency: f64, measure: &Measure) {
        self.no_load = Some(latency);
        self.known = measure.samples as f64;
        self.lesson = now;
        self.refresh = now + REFRESH;
        self.rate = Some(measure.rate.max(self.cap / latency));
        if measure.pressed {
            self.grow(now, latency);
        } else {
            self.reopen(now);
        }
    }

    fn steady(&mut self, now: Duration, measure: &Measure, alone: f64, latency: Option<f64>) {
        let delay = latency.map_or(0.0, |latency| delay(latency, alone));
        if measure.loss > LOSS && measure.loss.is_finite() && self.window.lost() >= 2.0 {
            self.cut(now, measure, alone, latency);
        } else if measure.in_flight < 0.5 * self.cap {
            self.quiet(now, measure, alone, delay);
        } else if !measure.pressed && delay < ODD_DELAY.max(self.idle_delay()) {
            // Used, but not used up: nothing to be learnt about what it can do.
            self.growth = if self.settled { 0 } else { self.growth };
            self.rate = Some(self.rate.unwrap_or(0.0).max(measure.rate));
            self.confirm_ceiling(now, measure);
            self.reopen(now);
        } else if delay < self.idle_delay() {
            self.odd = 0;
            if delay < IDLE_DELAY {
                self.refine(measure, alone);
            }
            self.grow(now, alone);
        } else {
            self.correct(now, measure, alone, latency.unwrap_or(alone));
        }
    }

    fn idle_delay(&self) -> f64 {
        if self.settled {
            IDLE_DELAY
        } else {
            IDLE_DELAY_AT_FIRST
        }
    }

    /// More than a few were lost.
    fn cut(&mut self, now: Duration, measure: &Measure, alone: f64, latency: Option<f64>) {
        self.growth = 0;
        self.settled = true;
        let lowest = self.cap() <= self.bounds.min;
        if lowest && let Some(latency) = latency.filter(|_| measure.samples >= SAMPLES) {
            // As few in flight as there may be, and still slow: that is how long it takes now.
            self.teach(now, latency, alone);
        }
        let used = measure.in_flight.min(self.cap);
        let cap = used.max(0.5 * self.cap) * CUT;
        self.set(now, cap);
        self.rate = Some(self.cap / alone);
    }

    /// Half of the cap or less is in use: a login finds the backend idle.
    fn quiet(&mut self, now: Duration, measure: &Measure, alone: f64, delay: f64) {
        self.growth = if self.settled { 0 } else { self.growth };
        if measure.samples >= SAMPLES
            && now.saturating_sub(self.lesson) >= QUIET_LESSON
            && delay < 0.5
            && let Some(latency) = measure.latency
        {
            self.no_load = Some(within(latency, alone));
            self.lesson = now;
            self.refresh = now + REFRESH;
        }
        self.rate = Some(self.rate.unwrap_or(0.0).max(measure.rate));
        self.confirm_ceiling(now, measure);
        self.reopen(now);
    }

    /// At the operator's ceiling the pace is known whatever else the pool could do.
    fn confirm_ceiling(&mut self, now: Duration, measure: &Measure) {
        if self.ceiling.is_some_and(|most| measure.rate > 0.8 * most) {
            self.confirmed = Some(now);
        }
    }

    /// Used up without a delay: it can do more.
    fn grow(&mut self, now: Duration, alone: f64) {
        let factor = GROWTH[self.growth.min(GROWTH.len() - 1)];
        self.growth = (self.growth + 1).min(GROWTH.len());
        let cap = (self.cap * factor).max(self.cap + 1.0);
        self.set(now, cap);
        self.rate = Some(self.cap / alone);
    }

    /// Used up, and with a delay: now the rate says how many it works on.
    fn correct(&mut self, now: Duration, measure: &Measure, alone: f64, latency: f64) {
        self.growth = 0;
        self.settled = true;
        self.confirmed = Some(now);
        if self.completes_less(measure, latency) {
            self.teach(now, latency, alone);
        }
        let alone = self.no_load.unwrap_or(alone);
        let odd = delay(latency, alone) > ODD_DELAY + 1.0 / measure.in_flight.max(1.0);
        self.odd = if odd { self.odd + 1 } else { 0 };
        let due = now >= self.refresh && alone <= DIP_LATENCY;
        if (due || self.odd >= ODD_WINDOWS) && self.cap() > self.bounds.min {
            self.odd = 0;
            self.refresh = now + REFRESH;
            self.phase = Phase::Dip {
                cap: self.cap,
                rate: measure.rate,
                dips: 1,
            };
            self.set(now, self.cap.min(measure.in_flight) * DIP);
            return;
        }
        let wanted = measure.rate * alone * HEADROOM + EXTRA;
        let weight = if (wanted / self.cap - 1.0).abs() < NOISE {
            SMOOTHING
        } else {
            1.0
        };
        let rate = self.rate.unwrap_or(measure.rate);
        self.rate = Some(rate + weight * (measure.rate - rate));
        self.set(now, self.cap + weight * (wanted - self.cap));
    }

    /// Whether fewer in flight made the backend complete less in proportion, at the same latency:
    /// then nothing waited there, and what looks like a delay is how long a login takes. Without
    /// this a no-load latency that is too low would pull the cap down step by step, for ever.
    fn completes_less(&mut self, measure: &Measure, latency: f64) -> bool {
        let Some(before) = self.reference else {
            self.reference = Some(*measure);
            return false;
        };
        let lower = measure.in_flight / before.in_flight.max(0.001);
        if lower > FEWER {
            if lower > 1.0 / FEWER {
                self.reference = Some(*measure);
            }
            return false;
        }
        let less = measure.rate / before.rate.max(0.001);
        let same = before
            .latency
            .is_some_and(|before| (latency / before - 1.0).abs() < 0.1);
        // Of a few logins one more or less is no sign.
        let few = measure.samples.min(before.samples).max(1);
        let noise = NOISE_LOGINS / few as f64;
        let proven = same && less < 1.0 - PROPORTION * (1.0 - lower) - noise;
        let refuted = less > 1.0 - 0.5 * PROPORTION * (1.0 - lower);
        if proven || refuted {
            self.reference = Some(*measure);
        }
        proven
    }

    /// Nothing waits there, so all of it is how long a login takes: the first few samples said that
    /// only roughly.
    fn refine(&mut self, measure: &Measure, alone: f64) {
        if let Some(latency) = measure.latency {
            let more = measure.samples as f64;
            self.no_load = Some((alone * self.known + latency * more) / (self.known + more));
            self.known = (self.known + more).min(MOST_KNOWN);
        }
    }

    /// Learns the no-load latency. A rise is confirmed soon.
    fn teach(&mut self, now: Duration, latency: f64, alone: f64) {
        let learnt = within(latency, alone);
        self.no_load = Some(learnt);
        self.known = MOST_KNOWN / 10.0;
        self.lesson = now;
        let rose = learnt > 1.15 * alone;
        self.refresh = now + if rose { CONFIRM } else { REFRESH };
    }

    fn dip(
        &mut self,
        now: Duration,
        measure: &Measure,
        alone: f64,
        (cap, rate, dips): (f64, f64, u32),
    ) {
        let lower = self.cap() > self.bounds.min && dips < MOST_DIPS;
        match measure.latency {
            Some(latency) if measure.pressed && measure.rate < DIPPED * rate => {
                self.teach(now, latency, alone);
            }
            // It completes as much as before with less in flight: the dip has cost nothing, and the
            // no-load latency is lower still.
            Some(_) if measure.pressed && lower && measure.loss <= LOSS => {
                let rate = rate.min(measure.rate.max(DIPPED * rate));
                let dips = dips + 1;
                self.phase = Phase::Dip { cap, rate, dips };
                self.set(now, self.cap * DIP);
                return;
            }
            _ => {}
        }
        self.phase = Phase::Steady;
        let alone = self.no_load.unwrap_or(alone);
        self.set(
            now,
            (rate * alone * HEADROOM + EXTRA).min(cap * NO_LOAD_RANGE.1),
        );
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

fn overdue_after(alone: f64) -> Duration {
    Duration::from_secs_f64((OVERDUE * alone).max(alone + OVERDUE_AT_LEAST))
}

/// How much longer a login takes than alone, as a part of that.
fn delay(latency: f64, alone: f64) -> f64 {
    ((latency - alone - OWN_DELAY) / alone).max(-0.5)
}

fn within(latency: f64, alone: f64) -> f64 {
    latency.clamp(alone * NO_LOAD_RANGE.0, alone * NO_LOAD_RANGE.1)
}

impl Pacer for Adaptive {
    fn step(&mut self, now: Duration, inputs: &Inputs) -> Outputs {
        if inputs.down {
            self.was_down = true;
        } else if std::mem::take(&mut self.was_down) {
            // Whatever broke is weak still: half of what it could do, and up from there. How long
            // anything takes is not known again before a busy window has said so.
            self.confirmed = None;
            self.phase = Phase::Steady;
            self.growth = 1;
            self.cap = self.clamp(self.cap * CUT);
            self.rate = self.rate.map(|rate| rate * CUT);
            self.reference = None;
            self.window = Window::opening(now);
        } else {
            if inputs.in_flight == 0 {
                self.busy_since = None;
            } else {
                self.busy_since.get_or_insert(now);
            }
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
            overdue_after: self.no_load.map(overdue_after),
            settled: self.fresh,
        }
    }

    fn memory(&self) -> Memory {
        let cap = match self.phase {
            Phase::Steady => self.cap,
            Phase::Dip { cap, .. } => cap,
        };
        Memory {
            no_load: self.no_load,
            cap: self.settled.then_some(cap),
            rate: self.rate,
            fresh: self.fresh,
        }
    }

    fn resume(&mut self, now: Duration, memory: &Memory) {
        self.no_load = memory.no_load.or(self.no_load);
        self.rate = memory.rate.or(self.rate);
        if let Some(cap) = memory.cap {
            self.cap = self.clamp(cap);
            self.growth = 0;
            self.settled = true;
        }
        self.confirmed = memory.fresh.then_some(now);
        self.phase = Phase::Steady;
        self.reference = None;
        self.refresh = now + REFRESH;
        self.lesson = now;
        self.window = Window::opening(now);
    }

    fn restart(&mut self, now: Duration, memory: &Memory) {
        self.resume(now, memory);
        self.confirmed = None;
        if let Some(cap) = memory.cap {
            self.cap = self.clamp(cap * CUT);
            self.growth = 1;
            self.rate = memory.no_load.map(|alone| self.cap / alone);
        }
    }
}
