//! The ledger that the gateways share, a round trip away from each of them.

use std::collections::HashMap;
use std::time::Duration;

use einlass_admission::ledger::{Exchange, Exchanged, Join, Joined, Merge, Publish, Registers};

use crate::policy::Effects;
use crate::scenario::Fleet;

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_millis(250);

/// What comes back from a call.
pub(super) enum Reply {
    /// With when it was asked.
    Exchanged(Duration, Box<Exchanged>),
    ExchangeFailed,
    Published(Box<Publish>, bool),
    Merged(bool),
    Joined(Option<Joined>),
}

/// The registers, and the answers that are on their way back. Gateways are named by their place in the fleet.
pub(super) struct Ledger {
    registers: Registers,
    round_trip: Duration,
    apart: Vec<(Duration, Duration)>,
    replies: HashMap<u64, (usize, Reply)>,
    calls: u64,
}

impl Ledger {
    pub(super) fn of(fleet: &Fleet) -> Self {
        Self {
            registers: Registers::default(),
            round_trip: fleet.round_trip,
            apart: fleet.apart.clone(),
            replies: HashMap::new(),
            calls: 0,
        }
    }

    pub(super) fn exchange(
        &mut self,
        now: Duration,
        gateway: usize,
        call: &Exchange,
        effects: &mut Effects,
    ) {
        let reply = if self.reaches(now) {
            let exchanged = self.registers.exchange(wall(now), call);
            Reply::Exchanged(now, Box::new(exchanged))
        } else {
            Reply::ExchangeFailed
        };
        self.answer(now, gateway, reply, effects);
    }

    pub(super) fn publish(
        &mut self,
        now: Duration,
        gateway: usize,
        publish: Publish,
        effects: &mut Effects,
    ) {
        if self.reaches(now) {
            let accepted = self.registers.publish(&publish);
            let reply = Reply::Published(Box::new(publish), accepted);
            self.answer(now, gateway, reply, effects);
        }
    }

    pub(super) fn merge(
        &mut self,
        now: Duration,
        gateway: usize,
        merges: &[Merge],
        effects: &mut Effects,
    ) {
        if merges.is_empty() {
            return;
        }
        let mut all = merges.iter();
        let accepted = self.reaches(now) && all.all(|merge| self.registers.merge(wall(now), merge));
        self.answer(now, gateway, Reply::Merged(accepted), effects);
    }

    pub(super) fn join(
        &mut self,
        now: Duration,
        gateway: usize,
        call: &Join,
        effects: &mut Effects,
    ) {
        let reaches = self.reaches(now);
        let joined = reaches.then(|| self.registers.join(wall(now), call));
        self.answer(now, gateway, Reply::Joined(joined), effects);
    }

    /// The answer that [`Effects::later`] asked to be given back, and whose it is.
    pub(super) fn take(&mut self, token: u64) -> Option<(usize, Reply)> {
        self.replies.remove(&token)
    }

    /// On its way until the call has come back, or has taken too long.
    fn answer(&mut self, now: Duration, gateway: usize, reply: Reply, effects: &mut Effects) {
        let trip = if self.reaches(now) {
            self.round_trip
        } else {
            TIMEOUT
        };
        self.calls += 1;
        self.replies.insert(self.calls, (gateway, reply));
        effects.later.push((now + trip, self.calls));
    }

    fn reaches(&self, now: Duration) -> bool {
        let mut apart = self.apart.iter();
        !apart.any(|(from, until)| (*from..*until).contains(&now))
    }
}

/// The ledger's own clock, in milliseconds.
fn wall(now: Duration) -> u64 {
    1_000_000 + u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
