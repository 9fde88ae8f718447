//! Mornings that were made up after the pacer had been tuned: the same as in `benches/scenarios/fresh/`, number
//! by number.
//!
//! The figures are exact: the same on every machine.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod mornings;

use std::time::Duration;

use einlass_simulator::{Backend, Fleet, School, Shape, Size, Steps, Wave};
use mornings::{holds, play, play_seeded, pool, pool_of, secs};

/// Schools of 200 to 1,400 pupils, in no order: the golden ratio's multiples, as in scenario files.
fn schools(count: u32) -> Vec<School> {
    let part = |number: u32| (f64::from(number) * 0.618_033_988_749_895).fract();
    (1..=count)
        .map(|number| School {
            name: format!("north-{number}"),
            pupils: 200 + mornings::whole(1_201.0 * part(number)),
        })
        .collect()
}

fn steps(steps: &[(f64, f64)]) -> Steps {
    Steps::new(steps.iter().map(|(at, is)| (secs(*at), *is)).collect()).unwrap()
}

/// One login in a hundred takes longer than so many medians without any load, at such a spread of
/// the costs.
fn slowest(spread: f64) -> f64 {
    (2.326 * spread).exp()
}

#[test]
fn some_logins_cost_twenty_times_as_much_as_others() {
    let backend = Backend {
        spread: 0.8,
        refused: 0.2,
        ..Backend::steady(100.0, secs(0.2))
    };
    let pool = pool_of(schools(60), backend, vec![Wave::everybody(secs(60.0))]);
    for seed in [103, 1] {
        let outcome = play_seeded("heavy tail", seed, pool.clone(), &Fleet::default());
        assert!(outcome.used >= 0.95, "{}", outcome.used);
        assert!(outcome.used_least >= 0.9, "{}", outcome.used_least);
        assert!(outcome.slowdown.p99 <= 3.0 * slowest(0.8));
        assert!(outcome.buffered.p99 <= 3.0, "{}", outcome.buffered.p99);
        assert_eq!((outcome.errors, outcome.gave_up), (0, 0));
    }
}

#[test]
fn a_tail_that_nobody_has_told_of_is_found_on_the_first_day() {
    for (cores, hash, spread) in [(16.0, 0.25, 0.5), (100.0, 0.25, 0.8), (16.0, 1.0, 0.5)] {
        let name = format!("first day, {cores} cores, {hash} s, spread {spread}");
        let mut first = pool(cores, hash, 3.0, 90.0);
        first.backend.spread = spread;
        first.backend.refused = 0.1;
        first.admission.first_day = true;
        let outcome = play(&name, first, &Fleet::default());
        assert!(outcome.used_settled >= 0.95, "{name}");
        assert!(outcome.slowdown.p99 <= 3.0 * slowest(spread), "{name}");
        assert_eq!(outcome.errors, 0, "{name}");
    }
}

#[test]
fn a_capacity_that_saws() {
    let sawed = [100.0, 80.0, 60.0].into_iter().cycle().take(10);
    let cores: Vec<_> = sawed
        .zip(0..)
        .map(|(cores, n)| (15.0 * f64::from(n), cores))
        .collect();
    let backend = Backend {
        cores: steps(&cores),
        ..Backend::steady(100.0, secs(0.25))
    };
    let pool = pool_of(schools(60), backend, vec![Wave::everybody(secs(80.0))]);
    for seed in [101, 1] {
        let outcome = play_seeded("sawtooth", seed, pool.clone(), &Fleet::default());
        holds("sawtooth", &outcome);
        assert!(outcome.settled_after.iter().all(|after| *after <= 5.0));
        assert!(outcome.slowdown.p99 <= 2.5, "{}", outcome.slowdown.p99);
        assert!(outcome.buffered.p99 <= 3.0, "{}", outcome.buffered.p99);
    }
}

#[test]
fn two_lessons_begin_and_a_third_of_the_cores_is_gone_for_the_second() {
    let backend = Backend {
        cores: steps(&[(0.0, 60.0), (1_800.0, 40.0)]),
        ..Backend::steady(60.0, secs(0.25))
    };
    let waves = vec![
        Wave {
            size: Size::Enrolled(0.7),
            shape: Shape::Bell,
            ..Wave::everybody(secs(60.0))
        },
        Wave {
            size: Size::Enrolled(0.5),
            from: Duration::from_mins(45),
            no_shows: Steps::constant(0.05),
            patience: Some(Duration::from_mins(20)),
            ..Wave::everybody(secs(120.0))
        },
    ];
    let pool = pool_of(schools(40), backend, waves);
    for seed in [102, 1] {
        let outcome = play_seeded("two waves", seed, pool.clone(), &Fleet::default());
        holds("two waves", &outcome);
        assert!(outcome.settled_after[0] <= 5.0);
        assert!(outcome.buffered.p99 <= 3.0, "{}", outcome.buffered.p99);
    }
}

#[test]
fn a_capacity_that_creeps_away_from_gateways_that_are_cut_off() {
    let cores: Vec<_> = (0..7)
        .map(|n| (20.0 * f64::from(n), 160.0 - 10.0 * f64::from(n)))
        .collect();
    let backend = Backend {
        cores: steps(&cores),
        ..Backend::steady(160.0, secs(0.4))
    };
    let fleet = Fleet {
        skew: vec![5.0, 3.0, 1.0],
        round_trip: Duration::from_millis(8),
        apart: vec![(secs(50.0), secs(70.0))],
    };
    let pool = pool_of(schools(60), backend, vec![Wave::everybody(secs(60.0))]);
    for seed in [104, 1] {
        let outcome = play_seeded("creeping", seed, pool.clone(), &fleet);
        holds("creeping", &outcome);
        assert!(outcome.settled_after.iter().all(|after| *after <= 5.0));
    }
}
