//! The gateway with the pacer's lease conducts the room for all: what they report goes in, the next
//! watermark and everybody's share come out.

use std::time::Duration;

use super::company::{Company, Sight};
use crate::conductor::{Scene, part, times};
use crate::flow::TARGET_SHARED;
use crate::gatekeeper::Gatekeeper;
use crate::ledger::{Conduct, Events, MemberId, Notice, Publish, Report};
use crate::pacer::Verdict;
use crate::shares::Shares;
use crate::turn::Serving;

/// What a gateway remembers that conducts, or has.
#[derive(Default)]
pub(super) struct Conducting {
    /// Whether it has the pacer's lease.
    is_pacer: bool,
    shares: Shares,
    /// What it remembers of the others.
    company: Company,
    /// Pupils in the buffers of all gateways, as it last heard.
    buffered: u32,
}

impl Conducting {
    /// Whether it has the pacer's lease.
    pub(super) fn is_pacer(&self) -> bool {
        self.is_pacer
    }

    /// Whether it has it from now on. Returns whether it had it before.
    pub(super) fn set_pacer(&mut self, is_pacer: bool) -> bool {
        std::mem::replace(&mut self.is_pacer, is_pacer)
    }

    /// It does not conduct for others any more.
    pub(super) fn resign(&mut self) {
        self.is_pacer = false;
    }

    /// Pupils in the buffers of all gateways, as last heard while it conducted.
    pub(super) fn buffered(&self) -> u32 {
        self.buffered
    }
}

/// What all gateways have together.
struct Sums {
    members: usize,
    in_flight: u32,
    buffered: u32,
    down: bool,
}

impl Sums {
    fn of(members: &[(MemberId, u32, Report)]) -> Self {
        let sum = |of: fn(&Report) -> u32| {
            let reports = members.iter().map(|(_, _, report)| of(report));
            reports.fold(0, u32::saturating_add)
        };
        Self {
            members: members.len(),
            in_flight: sum(|r| r.in_flight),
            buffered: sum(|r| r.buffered),
            // One gateway that reaches no backend does not close the room for the others.
            down: members.iter().all(|(_, _, report)| report.down),
        }
    }
}

impl<W> Gatekeeper<W> {
    /// One step of the pacer for all gateways; `complete` if the ledger knows all there are.
    pub(super) fn conduct(
        &mut self,
        now: Duration,
        epoch: u32,
        conduct: Conduct,
        complete: bool,
    ) -> Option<Publish> {
        let mut left = 0;
        for events in conduct.events {
            left += events.left as usize;
            self.hear_events(now, events);
        }
        let sums = Sums::of(&conduct.members);
        self.conductor.pace(now, sums.in_flight, 1.0, sums.down);
        let cap = self.conductor.cap();
        let serving = if sums.down {
            self.room.serving()
        } else if self.settings.observe {
            self.room.after(self.waiting).0
        } else if self.settings.closed {
            self.room.serving()
        } else {
            self.call(now, &sums, left, complete)?
        };
        let wants = conduct.members.iter();
        let wants: Vec<_> = wants.map(|(id, _, report)| (*id, report.want())).collect();
        let fleet = self.fleet.as_mut()?;
        Some(Publish {
            member: fleet.member,
            epoch,
            fence: conduct.fence,
            serving,
            cap,
            notice: Notice {
                members: u32::try_from(fleet.conducting.company.known()).unwrap_or(u32::MAX),
                promise: self.forecast.word(now),
                ..self.conductor.notice(now)
            },
            shares: fleet.conducting.shares.divide(now, cap, &wants),
        })
    }

    /// What happened at one of the gateways.
    fn hear_events(&mut self, now: Duration, events: Events) {
        for micros in events.latencies {
            let latency = Duration::from_micros(micros.into());
            self.conductor.ended(now, Verdict::Hashed(latency));
        }
        self.conductor.served(now, events.pages.into());
        self.conductor.typed(now, events.typed.into());
        self.conductor.lost(events.losses);
        self.conductor.answered(events.refused);
        for turn in events.arrived {
            self.conductor.arrived(now, turn);
        }
    }

    /// How far the room is called in this step. So many gateways have said good-bye since the last one.
    fn call(&mut self, now: Duration, sums: &Sums, left: usize, complete: bool) -> Option<Serving> {
        let &Sums {
            in_flight,
            buffered,
            ..
        } = sums;
        let cap = self.conductor.cap();
        let pupils = self.conductor.release(
            now,
            &Scene {
                portion: 1.0,
                depth: TARGET_SHARED,
                buffered: buffered as usize,
                cap,
                free: cap.saturating_sub(in_flight).saturating_sub(buffered),
                waiting: self.waiting,
                ceiling: self.settings.ceiling,
                // What others take shows in the buffers, which are filled again.
                help: 0.0,
                shows: 1.0,
            },
        );
        let pace = self.pace_before();
        let fleet = self.fleet.as_mut()?;
        fleet.conducting.buffered = buffered;
        let full = u64::from(cap).saturating_add(work(pace));
        let at_work = u64::from(in_flight) + u64::from(buffered);
        let sight = Sight {
            members: sums.members,
            before: fleet.notice.members as usize,
            left,
            missing: complete.then(|| full.saturating_sub(at_work)),
        };
        let pupils = fleet.conducting.company.bound(now, sight, pace, pupils);
        let places = times(pupils, self.room.places_per_pupil());
        Some(self.room.after(places).0)
    }

    /// Whether a publication was accepted. If not, somebody else is the pacer, and nothing happened.
    pub fn published(&mut self, now: Duration, publish: &Publish, accepted: bool) {
        if !accepted {
            return;
        }
        let waiting = self.room.waiting();
        let places = self.room.places_per_pupil();
        self.room.merge_serving(publish.serving);
        self.waiting = self.room.waiting();
        let released = waiting.saturating_sub(self.waiting);
        let pupils = part(released, 1.0 / places);
        self.conductor.released(now, publish.serving, pupils);
    }
}

/// How many pupils make up the work that the buffers should hold, at a pace in pupils per second.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and a number of pupils is positive"
)]
fn work(pace: f64) -> u64 {
    (pace * TARGET_SHARED.as_secs_f64()) as u64
}
