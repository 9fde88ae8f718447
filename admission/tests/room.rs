//! The room against an exact queue: order, counts, water-filling.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use einlass_admission::{Curve, Room, SchoolIndex, SchoolKey, Serving, Turn, Weight};
use proptest::prelude::*;

fn room(weights: &[u32]) -> Room {
    Room::new(weights.iter().enumerate().map(|(i, w)| {
        let key = SchoolKey::of(&format!("school-{i}.example"));
        (key, Weight::new(*w).expect("a weight in range"))
    }))
}

/// What the room stands for: every pupil on a list, served lowest turn first.
#[derive(Default)]
struct Exact {
    waiting: Vec<(Turn, SchoolIndex)>,
}

impl Exact {
    fn release(&mut self, pupils: usize) -> Vec<(Turn, SchoolIndex)> {
        self.waiting.sort();
        let mut count = pupils.min(self.waiting.len());
        while count > 0 && self.waiting.get(count).map(|w| w.0) == Some(self.waiting[count - 1].0) {
            count += 1; // the very same turn goes too
        }
        self.waiting.drain(..count).collect()
    }

    fn of(&self, school: SchoolIndex) -> u64 {
        self.waiting.iter().filter(|w| w.1 == school).count() as u64
    }
}

#[derive(Clone, Debug)]
enum Event {
    Join(u32, u16),
    Release(u16),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let join = (0..12_u32, 1..60_u16).prop_map(|(s, n)| Event::Join(s, n));
    let release = (0..80_u16).prop_map(Event::Release);
    proptest::collection::vec(prop_oneof![3 => join, 2 => release], 1..60)
}

fn weights() -> impl Strategy<Value = Vec<u32>> {
    let weight = prop_oneof![Just(1), 2..30_u32, 100..2_500_u32, Just(1_000_000)];
    proptest::collection::vec(weight, 12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_room_counts_and_orders_like_an_exact_queue(weights in weights(), events in events()) {
        let mut room = room(&weights);
        let mut exact = Exact::default();
        for event in events {
            match event {
                Event::Join(school, pupils) => for _ in 0..pupils {
                    let school = SchoolIndex(school);
                    // A flood pays with places that nobody holds, and an exact queue knows none.
                    if room.cost(school) > 1 {
                        break;
                    }
                    let before = room.schools()[school.0 as usize].last();
                    let turn = room.join(school).expect("a school of this room");
                    prop_assert!(turn > before, "turns of a school only grow");
                    prop_assert!(!room.serving().admits(turn), "a fresh turn has to wait");
                    exact.waiting.push((turn, school));
                },
                Event::Release(pupils) => {
                    let before = room.serving();
                    let released = room.release(u64::from(pupils));
                    let gone = exact.release(pupils.into());
                    prop_assert!(room.serving() >= before);
                    prop_assert_eq!(released, gone.len() as u64);
                    prop_assert!(gone.iter().all(|(turn, _)| room.serving().admits(*turn)));
                    prop_assert!(exact.waiting.iter().all(|(turn, _)| !room.serving().admits(*turn)));
                }
            }
            prop_assert_eq!(room.waiting(), exact.waiting.len() as u64);
            for school in 0..12 {
                prop_assert_eq!(room.waiting_in(SchoolIndex(school)), exact.of(SchoolIndex(school)));
            }
            let curve = Curve::of(&room);
            for (turn, school) in exact.waiting.iter().step_by(17) {
                let ahead = exact.waiting.iter().filter(|w| w.0 <= *turn).count() as u64;
                prop_assert_eq!(room.ahead(*turn), ahead);
                prop_assert!((curve.ahead(*turn) - ahead as f64).abs() <= 13.0);
                let place = exact.waiting.iter().filter(|w| w.1 == *school && w.0 <= *turn).count();
                prop_assert_eq!(room.place(*school, *turn), place as u64);
            }
        }
    }

    #[test]
    fn merging_two_views_never_loses_a_turn_or_moves_back(weights in weights(), events in events()) {
        let mut ours = room(&weights);
        let mut theirs = room(&weights);
        for (i, event) in events.into_iter().enumerate() {
            let room = if i % 2 == 0 { &mut ours } else { &mut theirs };
            match event {
                Event::Join(school, pupils) => for _ in 0..pupils {
                    room.join(SchoolIndex(school));
                },
                Event::Release(pupils) => { room.release(pupils.into()); }
            }
        }
        let mut merged = ours.clone();
        merged.merge_serving(theirs.serving());
        for (i, school) in (0..).zip(theirs.schools()) {
            merged.merge_last(SchoolIndex(i), school.last());
        }
        prop_assert_eq!(merged.serving(), ours.serving().max(theirs.serving()));
        for (i, school) in merged.schools().iter().enumerate() {
            prop_assert_eq!(school.last(), ours.schools()[i].last().max(theirs.schools()[i].last()));
        }
    }
}

#[test]
fn backlogged_schools_are_served_by_weight() {
    // As many wait everywhere, and nowhere so many that it is a flood.
    let weights = [20, 200, 2_000, 700, 1_300].map(|w| w * 50);
    let mut room = room(&weights);
    for (i, _) in weights.iter().enumerate() {
        for _ in 0..3_000 {
            room.join(SchoolIndex(u32::try_from(i).unwrap()));
        }
    }
    room.release(4_000);
    let per_weight: Vec<f64> = weights
        .iter()
        .enumerate()
        .map(|(i, w)| {
            let left = room.waiting_in(SchoolIndex(u32::try_from(i).unwrap()));
            (3_000 - left) as f64 / f64::from(*w)
        })
        .collect();
    let sum: f64 = per_weight.iter().sum();
    let squares: f64 = per_weight.iter().map(|x| x * x).sum();
    let jain = sum * sum / (per_weight.len() as f64 * squares);
    assert!(
        jain >= 0.99,
        "Jain {jain}, served per weight {per_weight:?}"
    );
}

#[test]
fn a_flood_on_one_school_does_not_delay_another() {
    let wait_of_the_last = |flood: u32| {
        let mut room = room(&[800; 40]);
        for school in 1..40 {
            for _ in 0..100 {
                room.join(SchoolIndex(school));
            }
        }
        for _ in 0..flood {
            room.join(SchoolIndex(0));
        }
        let last = room.schools()[17].last();
        room.ahead(last)
    };
    let quiet = wait_of_the_last(100);
    let flooded = wait_of_the_last(120_000);
    assert!(flooded <= quiet + 1, "quiet {quiet}, flooded {flooded}");
}

/// A school of ten may have entered a wrong number: it pays from three hundred on.
#[test]
fn beyond_three_times_the_enrolment_a_place_costs_two_steps() {
    for (weight, bound) in [(200, 600), (10, 300)] {
        let mut room = room(&[weight, 1_000]);
        room.join(SchoolIndex(1));
        let school = SchoolIndex(0);
        let first = room.join(school).unwrap();
        let mut last = room.join(school).unwrap();
        let step = last.0 - first.0;
        for pupil in 3..=bound + 50 {
            let turn = room.join(school).unwrap();
            let steps = if pupil > bound { 2 } else { 1 };
            assert_eq!(
                turn.0 - last.0,
                steps * step,
                "{pupil} of {weight} enrolled"
            );
            last = turn;
        }
        assert_eq!(room.waiting_in(school), bound + 2 * 50);
        // As soon as fewer wait the next one pays what everybody pays.
        room.release(200);
        assert_eq!(room.cost(school), 1);
    }
}

#[test]
fn an_idle_school_does_not_save_up_turns() {
    let mut room = room(&[100, 100]);
    for _ in 0..1_000 {
        room.join(SchoolIndex(0));
    }
    room.release(900);
    let late = room.join(SchoolIndex(1)).unwrap();
    assert!(late.0 > room.serving().0);
    assert!(room.ahead(late) <= 3, "one step of its own weight, no more");
}

#[test]
fn a_room_nobody_has_used_admits_no_turn_it_gives() {
    let mut room = room(&[1, 7, 1_000_000]);
    assert_eq!(room.serving(), Serving::START);
    for school in 0..3 {
        let turn = room.join(SchoolIndex(school)).unwrap();
        assert!(!room.serving().admits(turn));
    }
    assert_eq!(room.join(SchoolIndex(3)), None);
}

#[test]
fn releasing_from_two_thousand_schools_is_exact() {
    let mut room = room(&vec![800; 2_000]);
    for school in 0..2_000 {
        for _ in 0..=(school % 90) {
            room.join(SchoolIndex(school));
        }
    }
    let mut left = room.waiting();
    for pupils in [1, 7, 1_999, 2_000, 2_001, 30_000, 5, 1_000_000] {
        let released = room.release(pupils);
        assert!(
            released >= pupils.min(left) && released <= pupils + 2,
            "{pupils}: {released}"
        );
        left -= released;
        assert_eq!(room.waiting(), left);
    }
}
