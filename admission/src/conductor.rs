//! What one gateway does for the whole room: the pacer, the release, and who is on the way.
//!
//! Alone in the room, or cut off from the others, every gateway conducts for itself; in a fleet
//! the one that holds the pacer's lease conducts for all, with the sums of what they report.

use std::time::Duration;

use crate::arrivals::Arrivals;
use crate::flow::{Controller, Flow};
use crate::ledger::Notice;
use crate::pacer::{Inputs, Memory, Outputs, Pacer, Verdict};
use crate::pulse::{Beat, Pulse, TRIALS};
use crate::turn::{Serving, Turn};
use crate::typing::Typing;

/// Latencies kept between two steps, should steps stop: as many as any pacer looks at.
const MOST_LATENCIES: usize = 4_096;

/// What the conductor sees of the room, besides what it remembers itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    /// The part of the whole pool this is, 0 to 1: its capacity counts only so far.
    pub(crate) portion: f64,
    /// How much work the buffers should hold.
    pub(crate) depth: Duration,
    /// Pupils in the buffers.
    pub(crate) buffered: usize,
    /// Logins that may be in flight.
    pub(crate) cap: u32,
    /// Slots free and not owed to the buffers.
    pub(crate) free: u32,
    /// Pupils waiting.
    pub(crate) waiting: u64,
    /// The operator's ceiling, logins per second.
    pub(crate) ceiling: Option<f64>,
    /// What other pools do besides, logins per second.
    pub(crate) help: f64,
    /// Of those who are on the way so many come, as a part of them.
    pub(crate) shows: f64,
}

/// The pacer with what surrounds it.
pub(crate) struct Conductor {
    pacer: Box<dyn Pacer>,
    inputs: Inputs,
    outputs: Outputs,
    pulse: Pulse,
    /// Answers of backends since the last step.
    answers: u32,
    controller: Controller,
    arrivals: Arrivals,
    typing: Typing,
    /// What an earlier pacer believed; used until this one has seen enough of its own.
    heard: Notice,
}

impl Conductor {
    pub(crate) fn new(mut pacer: Box<dyn Pacer>) -> Self {
        let outputs = pacer.step(Duration::ZERO, &Inputs::default());
        Self {
            pacer,
            inputs: Inputs::default(),
            outputs,
            pulse: Pulse::default(),
            answers: 0,
            controller: Controller::default(),
            arrivals: Arrivals::default(),
            typing: Typing::default(),
            heard: Notice::default(),
        }
    }

    /// A login has ended.
    pub(crate) fn ended(&mut self, now: Duration, verdict: Verdict) {
        match verdict {
            Verdict::Hashed(latency) => {
                self.answered(1);
                if self.inputs.latencies.len() < MOST_LATENCIES {
                    self.inputs.latencies.push(latency);
                }
            }
            Verdict::Refused => self.answered(1),
            Verdict::Neutral => {}
            Verdict::Page => {
                self.answered(1);
                self.typing.served(now, 1);
            }
            Verdict::Lost => self.lost(1),
        }
    }

    /// So many answers have come that say nothing else.
    pub(crate) fn answered(&mut self, answers: u32) {
        self.answers = self.answers.saturating_add(answers);
    }

    /// So many logins were lost.
    pub(crate) fn lost(&mut self, logins: u32) {
        self.inputs.losses = self.inputs.losses.saturating_add(logins);
    }

    /// So many gated pages were served.
    pub(crate) fn served(&mut self, now: Duration, pages: u64) {
        self.typing.served(now, pages);
    }

    /// So many who had such a page log in.
    pub(crate) fn typed(&mut self, now: Duration, logins: u64) {
        self.typing.typed(now, logins);
    }

    /// Whether one more may have the login page: as many type as the pool will then work on.
    pub(crate) fn has_room_to_type(&mut self, now: Duration, more: u64) -> bool {
        let mut lead = self.typing.lead();
        if lead <= 0.0 && self.heard.typing > 0 {
            lead = self.typing.usual();
        }
        if lead <= 0.0 && more == 0 {
            return true;
        }
        let rate = self.capacity().unwrap_or_else(|| f64::from(self.cap()));
        let rate = self.outputs.proven.map_or(rate, |proven| proven.min(rate));
        let outstanding = self.typing.outstanding(now).max(self.heard.typing);
        ((outstanding + more) as f64) < (lead + 1.0) * rate.max(1.0)
    }

    /// A released pupil has come.
    pub(crate) fn arrived(&mut self, now: Duration, turn: Turn) {
        self.arrivals.arrived(now, turn);
    }

    /// One step of the pacer. `portion` is the part of the pool that all the inputs are of.
    pub(crate) fn pace(&mut self, now: Duration, in_flight: u32, portion: f64, unreachable: bool) {
        let beat = Beat {
            answers: std::mem::take(&mut self.answers),
            losses: self.inputs.losses,
            unreachable,
            cap: self.outputs.cap,
        };
        self.inputs.in_flight = in_flight;
        self.inputs.portion = portion;
        self.inputs.down = self.pulse.step(now, beat);
        self.outputs = self.pacer.step(now, &self.inputs);
        self.forget();
    }

    /// Whether the pool gives no sign of life: only those who try are let in.
    pub(crate) fn silent(&self) -> bool {
        self.pulse.is_silent()
    }

    /// Somebody else is the pacer: what was measured here went there.
    pub(crate) fn forget(&mut self) {
        self.inputs.latencies.clear();
        self.inputs.losses = 0;
        self.answers = 0;
    }

    /// How long a login may be under way before it counts as lost.
    pub(crate) fn overdue_after(&self) -> Option<Duration> {
        self.outputs.overdue_after
    }

    /// Whether what the pool can do is known.
    pub(crate) fn settled(&self) -> bool {
        self.outputs.settled
    }

    /// What was learnt: the pacer's, and for how long pupils type.
    pub(crate) fn memory(&self) -> Memory {
        Memory {
            typing: self.typing.learnt(),
            ..self.pacer.memory()
        }
    }

    /// Starts with what an earlier run has learnt.
    pub(crate) fn restart(&mut self, now: Duration, memory: &Memory) {
        self.pacer.restart(now, memory);
        self.typing.recall(memory.typing);
        self.refresh(now);
    }

    /// Hears at once what the pacer would decide.
    fn refresh(&mut self, now: Duration) {
        let nothing = Inputs::default();
        self.outputs = self.pacer.step(now, &nothing);
    }

    /// How many pupils to release now.
    pub(crate) fn release(&mut self, now: Duration, scene: &Scene) -> u64 {
        if self.silent() {
            let owed = scene.buffered as u64 + self.arrivals.coming(now);
            return self.pulse.call(now, scene.free, owed, scene.waiting);
        }
        let typing = self.typing.outstanding(now);
        let flow = Flow {
            capacity: self.capacity().map(|c| c * scene.portion + scene.help),
            proven: self.outputs.proven.map(|c| c * scene.portion),
            seen: self.outputs.seen.map(|c| c * scene.portion),
            depth: scene.depth.as_secs_f64(),
            buffered: scene.buffered,
            coming: part(self.arrivals.coming(now), scene.shows) + typing,
            typing,
            lead: self.typing.lead(),
            cap: scene.cap,
            free: scene.free,
            waiting: scene.waiting,
            settled: self.settled(),
            show_rate: self.arrivals.show_rate_lately(now).or(self.heard.show_rate),
            ceiling: scene.ceiling.map(|c| c * scene.portion + scene.help),
        };
        self.controller.step(now, &flow)
    }

    /// The release was carried out.
    pub(crate) fn released(&mut self, now: Duration, upto: Serving, pupils: u64) {
        self.arrivals.released(now, upto, pupils);
    }

    /// Released and still on the way.
    pub(crate) fn coming(&self, now: Duration) -> u64 {
        self.arrivals.coming(now)
    }

    /// Believed capacity of the whole pool, logins per second.
    pub(crate) fn capacity(&self) -> Option<f64> {
        self.outputs.capacity.or(self.heard.capacity)
    }

    /// The share of released pupils who come, if known.
    pub(crate) fn show_rate(&self, now: Duration) -> Option<f64> {
        self.arrivals.show_rate(now).or(self.heard.show_rate)
    }

    /// Pupils who are let in already or as good as, of whom so many are in the buffers; and for how
    /// long those type who have a gated page, in seconds.
    pub(crate) fn owed(&mut self, now: Duration, buffered: f64) -> (f64, f64) {
        let shows = self.show_rate(now).unwrap_or(1.0);
        let coming = self.arrivals.coming(now) as f64 * shows;
        let typing = self.typing.outstanding(now) as f64;
        (buffered + coming + typing, self.typing.lead())
    }

    /// Pupils released per second, by what is conducted here.
    pub(crate) fn pace_shown(&self) -> Option<f64> {
        self.controller.pace().or(self.capacity())
    }

    /// Logins that may be in flight in the whole pool.
    pub(crate) fn cap(&self) -> u32 {
        if self.silent() {
            self.outputs.cap.min(TRIALS)
        } else {
            self.outputs.cap
        }
    }

    /// What another gateway needs to go on from here.
    pub(crate) fn notice(&mut self, now: Duration) -> Notice {
        Notice {
            capacity: self.capacity(),
            pace: self.pace_shown(),
            show_rate: self.arrivals.show_rate(now).or(self.heard.show_rate),
            coming: self.arrivals.coming(now),
            integral: self.controller.integral(),
            members: 0,
            memory: self.memory(),
            typing: self.typing.outstanding(now),
            // Whoever publishes fills it in.
            promise: self.heard.promise,
            silent: self.silent(),
        }
    }

    /// Goes on from what another gateway has published, of which `portion` is conducted here.
    pub(crate) fn resume(
        &mut self,
        now: Duration,
        serving: Serving,
        notice: &Notice,
        portion: f64,
    ) {
        self.heard = *notice;
        self.pulse.hear(notice.silent);
        self.pacer.resume(now, &notice.memory);
        self.typing.recall(notice.memory.typing);
        self.forget();
        self.refresh(now);
        self.controller = Controller::resumed(notice.integral, notice.pace.map(|p| p * portion));
        self.arrivals = Arrivals::default();
        self.arrivals
            .released(now, serving, part(notice.coming, portion));
    }

    /// Remembers what the pacer has published, and knows what it knows.
    pub(crate) fn follow(&mut self, now: Duration, notice: &Notice) {
        self.heard = *notice;
        self.pulse.hear(notice.silent);
        self.pacer.resume(now, &notice.memory);
        self.typing.recall(notice.memory.typing);
        self.forget();
        self.refresh(now);
    }
}

/// A part of a number of pupils, rounded.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not more than a number of pupils"
)]
pub(crate) fn part(pupils: u64, portion: f64) -> u64 {
    (pupils as f64 * portion.clamp(0.0, 1.0)).round() as u64
}

/// A number of pupils so many times, rounded.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and a few times a number of pupils"
)]
pub(crate) fn times(pupils: u64, times: f64) -> u64 {
    (pupils as f64 * times.max(1.0)).round() as u64
}
