//! A gateway sees only a part of the room's browsers: which part that is, and what a gateway makes of
//! it that is cut off from the others.
//!
//! Of the slots it has a part as well, but that is another number: slots are whole and move to and fro,
//! and at the moment of a cut it may be half or twice the part of the browsers. Who takes the one for
//! the other gives turns that are too far apart, and at the end of the line calls many who are not there.
//! So the part of the browsers is counted: of the turns that are given in the room, so many are given here.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::room::SchoolIndex;

/// So many turns count, the latest most: whoever spreads the browsers may do it differently some day.
const COUNTED: f64 = 2_000.0;
/// At first the part of the slots counts as so many turns.
const ASSUMED: f64 = 50.0;
/// The least part of a room that a gateway takes itself for.
const LEAST: f64 = 1.0 / 64.0;
/// How much of what other gateways have called counts for one's own, in seconds of the pace.
const CALLED_AHEAD: f64 = 2.0;
/// How fast a cut-off gateway may call the room, as a part of the pace before. More than 1: whoever it
/// has called comes to another gateway first as often as not, and is told to wait there. Only as it
/// gets ahead of the others do enough of the browsers that happen to come to it have their turn; its
/// own buffer ends that. At the pace before, a gateway with a twentieth of the browsers and a twelfth
/// of the slots used half of them.
const OWN_PACE: f64 = 1.3;
/// Fewer of the called than this part is not believed: it would call faster still.
const LEAST_SHOW: f64 = 0.5;

/// The part of the browsers that comes to one gateway, and what it does for them alone.
#[derive(Debug)]
pub(super) struct Crowd {
    /// Turns given here, and in the whole room, while all are heard of as they are given.
    ours: f64,
    all: f64,
    hears: bool,
    /// The part of the slots.
    slots: f64,
    /// While cut off: how far each school's line goes if the other gateways give as many turns for
    /// their part, in teeth of its comb. Tickets of others that are further do not count here:
    /// as each gateway went on from the furthest, a line of eight of them grew by half as much again.
    lines: BTreeMap<SchoolIndex, f64>,
    /// Pupils who may be called over the whole room; less than 0 if others have called more.
    calls: f64,
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            ours: 0.0,
            all: 0.0,
            hears: false,
            slots: 1.0,
            lines: BTreeMap::new(),
            calls: 0.0,
        }
    }
}

impl Crowd {
    /// Turns were given, so many of them here and so many at other gateways.
    pub(super) fn joined(&mut self, ours: u64, elsewhere: u64) {
        if !self.hears {
            return;
        }
        self.ours += ours as f64;
        self.all += (ours + elsewhere) as f64;
        if self.all > COUNTED {
            let keep = COUNTED / self.all;
            self.ours *= keep;
            self.all *= keep;
        }
    }

    /// Whether the ledger has told of all turns for some time. What it tells at first, and after an
    /// outage, are those of a long time.
    pub(super) fn hears(&mut self, of_all: bool) {
        self.hears = of_all;
    }

    /// Another gateway has come, or one has gone: what was counted says nothing.
    pub(super) fn recount(&mut self) {
        (self.ours, self.all) = (0.0, 0.0);
    }

    /// This gateway has such a part of the slots.
    pub(super) fn has_slots(&mut self, part: f64) {
        self.slots = part;
    }

    /// The part of the browsers that comes here, above 0 up to 1.
    pub(super) fn part(&self) -> f64 {
        let part = (self.ours + ASSUMED * self.slots) / (self.all + ASSUMED);
        part.clamp(LEAST, 1.0)
    }

    /// From now on this gateway is alone.
    pub(super) fn cut_off(&mut self) {
        self.lines.clear();
        self.calls = 0.0;
    }

    /// A turn that costs so many teeth is given without the ledger, in a line that is served up to a
    /// certain tooth and goes up to another as far as is known here. How many teeth to leave out, so
    /// that those who come to other gateways meanwhile have their place.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small non-negative number"
    )]
    pub(super) fn leave_out(
        &mut self,
        school: SchoolIndex,
        (served, last): (u64, u64),
        cost: u64,
    ) -> u64 {
        let step = cost as f64 / self.part();
        // One's own pupils stand in the middle of those of others.
        let half = step / 2.0;
        let line = self.lines.entry(school).or_insert(last as f64 - half);
        *line = line.max(served as f64 - half) + step;
        (*line - (last + cost) as f64).round().max(0.0) as u64
    }

    /// How many of the called who should come here really do, as this gateway sees it. Fewer than
    /// usual where others have given fewer turns than was assumed.
    pub(super) fn shows(seen: Option<f64>) -> f64 {
        seen.map_or(1.0, |rate| rate.clamp(LEAST_SHOW, 1.0))
    }

    /// How many may be called over the whole room within `dt`: not many more than the room was called
    /// before, however much this gateway would like to have. With a small part of the browsers it
    /// sees too little to know better, and the others call too. Of places where nobody stands it may
    /// call as many more: of the called so many come.
    pub(super) fn allow_calls(&mut self, dt: Duration, pace: f64, shows: f64) {
        let calls = self.calls + pace * OWN_PACE / shows * dt.as_secs_f64();
        self.calls = calls.min((pace / shows).max(1.0));
    }

    /// How many to call over the whole room so that so many come here.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small non-negative number"
    )]
    pub(super) fn call_for(&mut self, pupils: u64) -> u64 {
        let wanted = pupils as f64 / self.part();
        let calls = wanted.min(self.calls).max(0.0).floor();
        self.calls -= calls;
        calls as u64
    }

    /// So many were called by others.
    pub(super) fn called_elsewhere(&mut self, pupils: u64, pace: f64) {
        let least = -CALLED_AHEAD * pace.max(1.0);
        self.calls = (self.calls - pupils as f64).max(least);
    }
}

#[cfg(test)]
mod tests {
    use super::Crowd;
    use crate::room::SchoolIndex;

    const SCHOOL: SchoolIndex = SchoolIndex(0);

    fn near(value: f64, wanted: f64) -> bool {
        (value / wanted - 1.0).abs() < 0.05
    }

    #[test]
    fn the_part_of_the_browsers_is_counted_and_not_that_of_the_slots() {
        let mut crowd = Crowd::default();
        crowd.has_slots(0.25);
        assert!(near(crowd.part(), 0.25));
        crowd.joined(0, 100_000);
        assert!(near(crowd.part(), 0.25), "that was the whole line");
        crowd.hears(true);
        for _ in 0..200 {
            crowd.joined(1, 9);
        }
        assert!(near(crowd.part(), 0.1), "{}", crowd.part());
        for _ in 0..2_000 {
            crowd.joined(3, 7);
        }
        assert!(near(crowd.part(), 0.3), "{}", crowd.part());
        crowd.recount();
        assert!(near(crowd.part(), 0.25));
    }

    /// Four gateways give turns in one school's line and see each other's tickets at once.
    #[test]
    fn a_line_does_not_grow_because_every_gateway_goes_on_from_the_furthest() {
        let mut crowds: Vec<Crowd> = (0..4).map(|_| Crowd::default()).collect();
        for crowd in &mut crowds {
            crowd.has_slots(0.25);
            crowd.cut_off();
        }
        let (mut last, pupils) = (100, 400);
        for number in 0..pupils {
            let crowd = &mut crowds[number % 4];
            last += crowd.leave_out(SCHOOL, (0, last), 1) + 1;
        }
        let line = usize::try_from(last).unwrap() - 100;
        assert!((pupils..pupils + 8).contains(&line), "{line}");
    }

    #[test]
    fn a_gateway_that_hears_of_no_other_leaves_out_their_turns() {
        let mut crowd = Crowd::default();
        crowd.has_slots(0.25);
        crowd.cut_off();
        let mut last = 100;
        for _ in 0..100 {
            last += crowd.leave_out(SCHOOL, (0, last), 1) + 1;
        }
        assert!((496..=500).contains(&last), "{last}");
    }
}
