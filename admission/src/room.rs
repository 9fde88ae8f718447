//! The room's registers: `serving`, and for every school the turn given last.
//!
//! The turns a school can give form a comb on the number line: `phase + n * step`. A join takes
//! the first tooth above both the watermark and the school's last turn. So a busy school's turns
//! are exactly one step apart (self-clocked weighted fair queueing), no tooth is ever given
//! twice, counting who waits is a division, and schools of one size do not tie, because their
//! phases differ. All of it only ever grows, so two views of a room merge by taking the larger.

use std::collections::HashMap;

use crate::staff::StaffShare;
use crate::turn::{SCALE, SchoolKey, Serving, Step, Turn, Weight};
use crate::waterfill;

/// A pupil costs more once so many times as many wait as are enrolled, and more than so many in all:
/// a small school may have entered a wrong number.
const BOUND: u64 = 3;
const LEAST_BOUND: u64 = 300;
/// What a pupil costs then, in teeth.
const MOST_COST: u64 = 2;

/// A school's position in its room's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchoolIndex(pub u32);

/// One school's register.
#[derive(Clone, Debug)]
pub struct School {
    key: SchoolKey,
    weight: Weight,
    step: u64,
    phase: u64,
    last: u64,
    /// Pupils who came, as far as it was seen here.
    joined: u64,
    empty: Empty,
}

/// Where in a line there are teeth that nobody holds: behind each pupil of a flood.
#[derive(Clone, Copy, Debug, Default)]
struct Empty {
    /// Above this turn and up to that one.
    from: u64,
    upto: u64,
    /// So many.
    teeth: u64,
}

impl School {
    fn new(key: SchoolKey, weight: Weight) -> Self {
        Self::with_step(key, weight, weight.step())
    }

    fn with_step(key: SchoolKey, weight: Weight, Step(step): Step) -> Self {
        Self {
            key,
            weight,
            step,
            // The key is a digest already; multiplying by 2^64/phi spreads its low bits.
            phase: key.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) % step,
            last: 0,
            joined: 0,
            empty: Empty::default(),
        }
    }

    /// The line of its staff.
    fn staff(&self, share: StaffShare) -> Self {
        let weight = share.weight(self.weight);
        Self::with_step(self.key.staff(), weight, share.step(Step(self.step)))
    }

    /// The school's name for ever.
    pub fn key(&self) -> SchoolKey {
        self.key
    }

    /// Its share of the room.
    pub fn weight(&self) -> Weight {
        self.weight
    }

    /// The turn given last, 0 if none.
    pub fn last(&self) -> Turn {
        Turn(self.last)
    }

    /// Which tooth of the comb is the last one at or below `value`, counted from 1; 0 if none is.
    pub(crate) fn tooth(&self, value: u64) -> u64 {
        match value.checked_sub(self.phase) {
            Some(above) => above / self.step + 1,
            None => 0,
        }
    }

    /// The turn of a tooth, counted from 1.
    pub(crate) fn turn_of(&self, tooth: u64) -> u64 {
        self.phase
            .saturating_add(self.step.saturating_mul(tooth.saturating_sub(1)))
    }

    /// Pupils of this school with `serving < turn <= upto`.
    pub(crate) fn between(&self, serving: Serving, upto: u64) -> u64 {
        if self.last <= serving.0 {
            return 0;
        }
        self.tooth(upto.min(self.last))
            .saturating_sub(self.tooth(serving.0))
    }

    pub(crate) fn step(&self) -> u64 {
        self.step
    }

    /// Pupils who came since this room was made, as far as it was seen here: at another gateway several
    /// may come and go in between.
    pub(crate) fn joined(&self) -> u64 {
        self.joined
    }

    /// The line beyond `serving` in pieces: the turn up to which each goes, and the part of its teeth that
    /// somebody holds.
    pub(crate) fn pieces(&self, serving: Serving) -> [(u64, f64); 3] {
        let Empty { from, upto, teeth } = self.empty;
        let upto = upto.min(self.last);
        if upto <= serving.0 {
            return [(self.last, 1.0); 3];
        }
        let all = self.tooth(upto).saturating_sub(self.tooth(from)).max(1);
        let held = 1.0 - (teeth as f64 / all as f64).min(1.0);
        [(from, 1.0), (upto, held), (self.last, 1.0)]
    }

    /// So many wait that the next costs more.
    fn bound(&self) -> u64 {
        (BOUND * u64::from(self.weight.pupils())).max(LEAST_BOUND)
    }

    /// The line has become longer, up to a turn.
    fn extend(&mut self, serving: Serving, last: u64) {
        if last <= self.last {
            return;
        }
        let served = self.tooth(serving.0);
        let before = self.tooth(self.last.max(serving.0));
        let upto = self.tooth(last);
        let dear = upto.saturating_sub(before.max(served + self.bound()));
        let empty = dear - dear.div_ceil(MOST_COST);
        // Whoever came elsewhere and was called before it was heard of here is one at least.
        self.joined += (upto.saturating_sub(before) - empty).max(1);
        if empty > 0 {
            if self.empty.upto <= serving.0 {
                self.empty = Empty {
                    from: self.turn_of(upto - dear),
                    ..Empty::default()
                };
            }
            self.empty.upto = last;
            self.empty.teeth += empty;
        }
        self.last = last;
    }
}

/// One room's registers. Size: one number per school, however many wait.
#[derive(Clone, Debug)]
pub struct Room {
    serving: Serving,
    schools: Vec<School>,
    by_key: HashMap<SchoolKey, SchoolIndex>,
    /// Where the lines of the staff begin, one for each school before.
    staff_from: Option<usize>,
}

impl Room {
    /// A room nobody has used, for these schools. A key given twice keeps its first weight.
    pub fn new(schools: impl IntoIterator<Item = (SchoolKey, Weight)>) -> Self {
        let mut room = Self {
            serving: Serving::START,
            schools: Vec::new(),
            by_key: HashMap::new(),
            staff_from: None,
        };
        for (key, weight) in schools {
            let index = SchoolIndex(u32::try_from(room.schools.len()).unwrap_or(u32::MAX));
            if let std::collections::hash_map::Entry::Vacant(free) = room.by_key.entry(key) {
                free.insert(index);
                room.schools.push(School::new(key, weight));
            }
        }
        room
    }

    /// The same room with a second line for each school: that of its staff, who have this share of what
    /// is released of the school. To be called once, before anybody joins.
    #[must_use]
    pub fn with_staff(mut self, share: StaffShare) -> Self {
        let schools = self.schools.len();
        let lines: Vec<School> = self.schools.iter().map(|s| s.staff(share)).collect();
        for (index, line) in (schools..).zip(&lines) {
            let index = SchoolIndex(u32::try_from(index).unwrap_or(u32::MAX));
            self.by_key.insert(line.key, index);
        }
        self.schools.extend(lines);
        self.staff_from = Some(schools);
        self
    }

    /// The line of a school's staff, and what a place in it costs; `None` if they have none.
    pub fn staff(&self, school: SchoolIndex) -> Option<(SchoolIndex, Step)> {
        let from = self.staff_from.filter(|from| (school.0 as usize) < *from)?;
        let index = SchoolIndex(school.0.checked_add(u32::try_from(from).ok()?)?);
        let line = self.schools.get(index.0 as usize)?;
        Some((index, Step(line.step)))
    }

    /// Staff of all schools waiting in their lines.
    pub fn staff_waiting(&self) -> u64 {
        let from = self.staff_from.unwrap_or(self.schools.len());
        let lines = self.schools.iter().skip(from);
        lines.map(|s| s.between(self.serving, u64::MAX)).sum()
    }

    /// The watermark.
    pub fn serving(&self) -> Serving {
        self.serving
    }

    /// All schools, in the order of their indices; after them, if they have such, the lines of their
    /// staff in the same order.
    pub fn schools(&self) -> &[School] {
        &self.schools
    }

    /// Where a school stands in this room, or `None` if it belongs to another.
    pub fn index(&self, key: SchoolKey) -> Option<SchoolIndex> {
        self.by_key.get(&key).copied()
    }

    /// Gives the next turn of a school: the first tooth above `max(serving, last)`, or in a flood a
    /// [later](Self::cost) one.
    ///
    /// `None` if the index is not one of this room's.
    pub fn join(&mut self, school: SchoolIndex) -> Option<Turn> {
        let turn = self.next(school)?;
        self.merge_last(school, turn);
        Some(turn)
    }

    /// The line in which somebody of this school's staff comes in soonest: theirs, or the pupils' if
    /// there is no other or the turn there comes no later. So being staff makes nobody wait longer.
    pub fn soonest(&self, school: SchoolIndex) -> SchoolIndex {
        match self.staff(school) {
            Some((staff, _)) if self.next(staff) < self.next(school) => staff,
            _ => school,
        }
    }

    /// Whether the next turn of this school's staff comes before this one.
    pub fn staff_before(&self, school: SchoolIndex, turn: Turn) -> bool {
        let next = self.staff(school).and_then(|(staff, _)| self.next(staff));
        next.is_some_and(|next| next < turn)
    }

    /// The turn that [`Room::join`] would give.
    pub(crate) fn next(&self, school: SchoolIndex) -> Option<Turn> {
        let cost = self.cost(school);
        let school = self.schools.get(school.0 as usize)?;
        let taken = school.tooth(self.serving.0.max(school.last));
        Some(Turn(school.turn_of(taken + cost)))
    }

    /// How many teeth the next pupil of a school costs: one, but two once three times as
    /// many wait as are enrolled. No school has so many pupils, so
    /// that is a flood, and it pays with its own line: what the teeth in between would have got goes
    /// to everybody.
    pub fn cost(&self, school: SchoolIndex) -> u64 {
        let Some(register) = self.schools.get(school.0 as usize) else {
            return 1;
        };
        if self.waiting_in(school) < register.bound() {
            return 1;
        }
        MOST_COST
    }

    /// Leaves out the next turns of a school, for pupils who join elsewhere.
    pub(crate) fn skip(&mut self, school: SchoolIndex, turns: u64) {
        let serving = self.serving;
        if turns > 0
            && let Some(school) = self.schools.get_mut(school.0 as usize)
        {
            let last = school.turn_of(school.tooth(serving.0.max(school.last)) + turns);
            school.extend(serving, last);
        }
    }

    /// Pupils waiting, over all schools.
    pub fn waiting(&self) -> u64 {
        self.ahead(Turn(u64::MAX))
    }

    /// Pupils of one school waiting.
    pub fn waiting_in(&self, school: SchoolIndex) -> u64 {
        self.schools
            .get(school.0 as usize)
            .map_or(0, |s| s.between(self.serving, u64::MAX))
    }

    /// Pupils who go no later than this turn, the turn's own pupil among them.
    pub fn ahead(&self, turn: Turn) -> u64 {
        self.schools
            .iter()
            .map(|s| s.between(self.serving, turn.0))
            .sum()
    }

    /// Moves `serving` to where the number waiting has fallen by `pupils`, and says by how many it
    /// really fell: fewer if fewer waited, more if several schools had the very same turn.
    pub fn release(&mut self, pupils: u64) -> u64 {
        let (serving, released) = waterfill::level(self.serving, &self.schools, pupils);
        self.serving = serving;
        released
    }

    /// How many places go with each pupil who is next: more than one while a flood is called, which has left
    /// places out.
    pub(crate) fn places_per_pupil(&self) -> f64 {
        let serving = self.serving;
        let waiting = self.schools.iter().filter(|s| s.last > serving.0);
        let (places, pupils) = waiting.fold((0.0, 0.0), |(places, pupils), school| {
            let pieces = school.pieces(serving);
            let next = pieces.iter().find(|(upto, _)| *upto > serving.0);
            let width = 1.0 / school.step as f64;
            let held = next.map_or(1.0, |(_, held)| *held);
            (places + width, pupils + held * width)
        });
        if pupils > 0.0 { places / pupils } else { 1.0 }
    }

    /// Where `serving` would be after releasing so many, and how many that really are.
    pub(crate) fn after(&self, pupils: u64) -> (Serving, u64) {
        waterfill::level(self.serving, &self.schools, pupils)
    }

    /// Takes over what another view of this room knows, by `max`.
    pub fn merge_serving(&mut self, serving: Serving) {
        self.serving = self.serving.max(serving);
    }

    /// Takes over a school's last turn from a ticket or another view, by `max`.
    pub fn merge_last(&mut self, school: SchoolIndex, turn: Turn) {
        if let Some(school) = self.schools.get_mut(school.0 as usize) {
            school.extend(self.serving, turn.0);
        }
    }

    /// Which tooth of its school's comb a turn is.
    pub(crate) fn tooth(&self, school: SchoolIndex, turn: Turn) -> u64 {
        self.schools
            .get(school.0 as usize)
            .map_or(0, |s| s.tooth(turn.0))
    }

    /// Takes over which tooth of its comb a school gave last, by `max`.
    pub fn merge_tooth(&mut self, school: SchoolIndex, tooth: u64) {
        if let Some(school) = self.schools.get_mut(school.0 as usize)
            && tooth > 0
        {
            school.extend(self.serving, school.turn_of(tooth));
        }
    }

    /// The place in the own school's line: 1 is next, 0 may go. It can only fall.
    pub fn place(&self, school: SchoolIndex, turn: Turn) -> u64 {
        let step = self
            .schools
            .get(school.0 as usize)
            .map_or(SCALE, School::step);
        turn.0.saturating_sub(self.serving.0).div_ceil(step)
    }
}
