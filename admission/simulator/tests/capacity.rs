//! The pacer finds the capacity nobody knows, follows it, uses it, and shares it.
//!
//! The figures are exact: the same on every machine.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail, and draws numbers"
)]

mod mornings;

use std::time::Duration;

use einlass_simulator::{
    Calls, Fleet, Gate, Policy, Pool, PoolOutcome, School, SchoolOutcome, Size, Steps, Wave,
};
use mornings::{gateways, never_idle, play, play_seeded, pool, secs, settling};

const SIZES: [(f64, f64); 9] = [
    (4.0, 0.02),
    (4.0, 0.25),
    (4.0, 2.0),
    (40.0, 0.02),
    (40.0, 0.25),
    (40.0, 2.0),
    (400.0, 0.02),
    (400.0, 0.25),
    (400.0, 2.0),
];

#[test]
fn from_4_to_400_cores_and_20_ms_to_2_s_at_twice_to_ten_times_the_load() {
    for (cores, hash) in SIZES {
        for load in [2.0, 10.0] {
            let name = format!("{cores} cores, {hash} s, load {load}");
            let lasting = if cores * hash < 10.0 && cores > 100.0 {
                40.0
            } else {
                120.0
            };
            let outcome = play(&name, pool(cores, hash, load, lasting), &Fleet::default());
            assert!(outcome.used >= 0.95, "{name}: {}", outcome.used);
            assert!(outcome.used_settled >= 0.95, "{name}");
            never_idle(&name, &outcome);
            assert!(outcome.slowdown.p99 <= 3.0, "{name}");
            assert_eq!(outcome.errors, 0, "{name}");
        }
    }
}

#[test]
fn on_the_first_day_it_takes_some_seconds_to_find_out() {
    for (number, cores, hash, load) in [
        (1, 4.0, 0.25, 2.0),
        (1, 4.0, 0.25, 10.0),
        (8, 4.0, 0.02, 4.0),
        (8, 4.0, 2.0, 4.0),
        (1, 40.0, 0.25, 2.0),
        (8, 40.0, 0.25, 10.0),
        (8, 40.0, 0.02, 2.0),
        (1, 400.0, 0.25, 2.0),
    ] {
        let name = format!("first day, {number} gateways, {cores} cores, {hash} s, load {load}");
        let mut first = pool(cores, hash, load, 120.0);
        first.admission.first_day = true;
        let outcome = play(&name, first, &gateways(number));
        assert!(outcome.used_settled >= 0.95, "{name}");
        never_idle(&name, &outcome);
        assert!(outcome.slowdown.p99 <= 3.0, "{name}");
        assert_eq!(outcome.errors, 0, "{name}");
    }
}

/// With costs spread by 0.8 the first few logins say little, and on some mornings it takes twenty seconds longer to find
/// out.
#[test]
fn a_tail_that_nobody_has_told_of_is_found_on_the_first_day() {
    for (cores, hash, spread) in [(16.0, 0.25, 0.5), (100.0, 0.25, 0.8), (16.0, 1.0, 0.5)] {
        let mut used = Vec::new();
        for seed in 1..=12 {
            let name = format!("first day, {cores} cores, {hash} s, spread {spread}, seed {seed}");
            let mut first = pool(cores, hash, 3.0, 90.0);
            first.backend.spread = spread;
            first.backend.refused = 0.1;
            first.admission.first_day = true;
            let outcome = play_seeded(&name, seed, first, &Fleet::default());
            let least = if spread > 0.5 { 0.89 } else { 0.95 };
            assert!(outcome.used_settled >= least, "{name}");
            used.push(outcome.used_settled);
            // One login in a hundred takes longer than so many medians without any load.
            let slowest = (2.326 * spread).exp();
            assert!(outcome.slowdown.p99 <= 3.0 * slowest, "{name}");
            assert_eq!(outcome.errors, 0, "{name}");
        }
        let mean = used.iter().sum::<f64>() / used.len() as f64;
        println!("{cores} cores, {hash} s: settled {mean:.4} {used:.3?}");
        assert!(mean >= 0.98, "{cores} cores, {hash} s: {mean} {used:.3?}");
    }
}

/// Six cores, ten logins a second, each of which costs another time: by chance a window of twenty is off by a tenth,
/// and the first few logins say how long one takes to a fifth. On one such morning in three there are ten seconds
/// with a core idle, and hardly ever with more.
#[test]
fn a_small_pool_whose_logins_cost_differently_is_used_from_the_first_day() {
    let mut least = Vec::new();
    for seed in 1..=12 {
        let name = format!("first day, small and uneven, seed {seed}");
        let mut town = pool(6.0, 0.6, 3.0, 300.0);
        town.backend.spread = 0.4;
        town.backend.refused = 0.1;
        town.admission.first_day = true;
        let outcome = play_seeded(&name, seed, town, &Fleet::default());
        assert!(outcome.used_settled >= 0.98, "{name}");
        let slowest = (2.326_f64 * 0.4).exp();
        assert!(outcome.slowdown.p99 <= 3.0 * slowest, "{name}");
        least.push(outcome.used_least.unwrap());
    }
    let mean = least.iter().sum::<f64>() / least.len() as f64;
    let one_idle = least.iter().all(|least| *least >= 0.83);
    assert!(mean >= 0.93 && one_idle, "{least:.3?}");
}

/// Eight logins whose cost differs say how long one takes to a sixth or a fourth, and on one morning in ten they were
/// short ones by chance. Whatever comes next looks delayed then: that must not end the search at a few slots.
#[test]
fn short_logins_at_the_start_do_not_end_the_search() {
    for (number, cores, hash, spread) in [
        (3, 24.0, 0.3, 0.4),
        (3, 60.0, 0.2, 0.6),
        (1, 16.0, 0.25, 0.5),
    ] {
        let mut least = Vec::new();
        for seed in 1..=20 {
            let name = format!("first day, {cores} cores, {hash} s, spread {spread}, seed {seed}");
            let mut first = pool(cores, hash, 3.0, 90.0);
            first.backend.spread = spread;
            first.admission.first_day = true;
            let outcome = play_seeded(&name, seed, first, &gateways(number));
            assert!(outcome.used_settled >= 0.93, "{name}");
            least.push(outcome.used_least.unwrap());
        }
        let mean = least.iter().sum::<f64>() / least.len() as f64;
        println!("{cores} cores, spread {spread}: least {mean:.4} {least:.3?}");
        assert!(mean >= 0.95, "{cores} cores: {mean} {least:.3?}");
    }
}

/// Schools' own servers: 800 ms for a hash, and twice as many in flight would take twice as long.
#[test]
fn a_server_of_one_or_two_cores_is_used_and_not_crowded() {
    for (cores, seed) in [(1.0, 1), (1.0, 2), (1.0, 3), (2.0, 1), (2.0, 2)] {
        let name = format!("own server, {cores} cores, seed {seed}");
        let mut own = pool(cores, 0.8, 3.0, 900.0);
        own.admission.policy = Policy::Adaptive { min: 1, max: 512 };
        let outcome = play_seeded(&name, seed, own, &Fleet::default());
        assert!(outcome.used >= 0.95, "{name}: {}", outcome.used);
        assert!(
            outcome.slowdown.p99 <= 3.0,
            "{name}: {:?}",
            outcome.slowdown
        );
    }
}

/// Two logins at once on one core take twice as long, and that is no login's own latency.
#[test]
fn a_small_server_that_is_hardly_used_up_does_not_learn_from_logins_that_share_a_core() {
    let mut slow = Vec::new();
    for (cores, seed) in [(1.0, 1), (1.0, 2), (1.0, 3), (2.0, 1), (2.0, 2)] {
        let name = format!("own server, hardly used up, {cores} cores, seed {seed}");
        let mut own = pool(cores, 0.8, 0.8, 600.0);
        own.admission.policy = Policy::Adaptive { min: 1, max: 512 };
        slow.push(
            play_seeded(&name, seed, own, &Fleet::default())
                .slowdown
                .p99,
        );
    }
    // One in a hundred of a few hundred logins is chance.
    let mean = slow.iter().sum::<f64>() / slow.len() as f64;
    assert!(
        mean <= 3.0 && slow.iter().all(|p99| *p99 <= 3.5),
        "{slow:?}"
    );
}

/// A short morning, or one at a very large pool, is where slow start costs most: with one slot at first it
/// takes nine doublings to five hundred.
#[test]
fn told_nothing_at_all_it_begins_with_one_slot_and_loses_few_seconds() {
    for (min, cores, hash, load, lasting, used) in [
        (1, 2.0, 0.25, 3.0, 16.0, 0.9),
        (1, 4.0, 0.25, 3.0, 16.0, 0.85),
        (1, 40.0, 0.25, 3.0, 16.0, 0.73),
        (4, 40.0, 0.25, 3.0, 16.0, 0.86),
        (1, 40.0, 0.25, 10.0, 40.0, 0.87),
        (1, 400.0, 0.25, 10.0, 40.0, 0.82),
        (1, 400.0, 0.02, 10.0, 40.0, 0.79),
    ] {
        let name = format!("first day from {min}, {cores} cores, {hash} s, load {load}");
        let mut first = pool(cores, hash, load, lasting);
        first.admission.first_day = true;
        first.admission.policy = Policy::Adaptive { min, max: 2_000 };
        let outcome = play(&name, first, &Fleet::default());
        assert!(outcome.used >= used, "{name}: {}", outcome.used);
        assert!(outcome.slowdown.p99 <= 3.0, "{name}");
        assert!(outcome.covered >= 0.85, "{name}: {}", outcome.covered);
        assert_eq!(outcome.errors, 0, "{name}");
    }
}

/// Cores, seconds for a hash, when the capacity changes, and how much work there is, in seconds.
const CHANGES: [(f64, f64, f64, f64); 10] = [
    (16.0, 0.25, 40.0, 120.0),
    (100.0, 0.25, 40.0, 120.0),
    (8.0, 1.0, 40.0, 120.0),
    (40.0, 0.05, 40.0, 120.0),
    (4.0, 0.25, 40.0, 120.0),
    (400.0, 0.25, 30.0, 80.0),
    (4.0, 0.02, 40.0, 120.0),
    (400.0, 0.02, 15.0, 40.0),
    (4.0, 2.0, 60.0, 180.0),
    (400.0, 2.0, 60.0, 180.0),
];

/// The same with that many times the cores from the time on. There is work for as long after it as before.
fn changed((cores, hash, at, lasting): (f64, f64, f64, f64), factor: f64) -> Pool {
    let lasting = if factor > 1.0 { 2.0 * lasting } else { lasting };
    let mut pool = pool(cores, hash, 3.0, lasting);
    let steps = vec![(secs(0.0), cores), (secs(at), cores * factor)];
    pool.backend.cores = Steps::new(steps).unwrap();
    pool
}

#[test]
fn it_follows_a_capacity_that_is_halved() {
    for change in CHANGES {
        let (cores, hash, ..) = change;
        let name = format!("halved, {cores} cores, {hash} s");
        let outcome = play(&name, changed(change, 0.5), &Fleet::default());
        assert!(outcome.settled_after[0] <= settling(hash), "{name}");
        never_idle(&name, &outcome);
        // Half of four cores is less than the four slots that there are at least.
        if cores > 4.0 {
            assert!(outcome.slowdown.p99 <= 3.0, "{name}");
        }
        assert_eq!(outcome.errors, 0, "{name}");
    }
}

/// With slower logins it takes eight logins' time.
#[test]
fn it_follows_a_capacity_that_is_tripled() {
    for change in CHANGES {
        let (cores, hash, ..) = change;
        let name = format!("tripled, {cores} cores, {hash} s");
        let outcome = play(&name, changed(change, 3.0), &Fleet::default());
        let within = f64::max(8.0, 8.0 * hash);
        assert!(outcome.settled_after[0] <= within, "{name}");
        assert!(outcome.slowdown.p99 <= 3.0, "{name}");
        if within <= 10.0 {
            never_idle(&name, &outcome);
        }
        assert_eq!(outcome.errors, 0, "{name}");
    }
}

#[test]
fn several_gateways_are_as_good_as_one() {
    let shared = |(number, cores, hash, load, lasting, seed)| {
        let name = format!("{number} gateways, {cores} cores, {hash} s, load {load}, seed {seed}");
        let morning = pool(cores, hash, load, lasting);
        let outcome = play_seeded(&name, seed, morning, &gateways(number));
        assert!(outcome.used >= 0.95, "{name}: {}", outcome.used);
        assert!(outcome.used_settled >= 0.95, "{name}");
        never_idle(&name, &outcome);
        assert!(outcome.slowdown.p99 <= 3.0, "{name}");
        assert_eq!(outcome.errors, 0, "{name}");
    };
    for number in [1, 3, 8] {
        for (cores, hash) in SIZES {
            // The largest is played for a moment below.
            for load in [2.0, 4.0, 10.0].into_iter().filter(|_| cores < 100.0) {
                shared((number, cores, hash, load, 60.0, 1_913));
            }
        }
    }
    shared((8, 400.0, 0.25, 4.0, 60.0, 7));
    shared((8, 400.0, 2.0, 4.0, 120.0, 7));
    shared((8, 400.0, 0.02, 4.0, 25.0, 7));
}

#[test]
fn several_gateways_follow_as_one_does_however_far_the_ledger_is() {
    for number in [1, 3, 8] {
        for millis in [2, 25, 100] {
            for (what, factor) in [("halved", 0.5), ("tripled", 3.0)] {
                let name = format!("{number} gateways, {millis} ms, {what}");
                let fleet = Fleet {
                    round_trip: Duration::from_millis(millis),
                    ..gateways(number)
                };
                let change = (40.0, 0.25, 40.0, 120.0);
                let outcome = play(&name, changed(change, factor), &fleet);
                let within = if factor > 1.0 { 8.0 } else { settling(0.25) };
                assert!(outcome.used_settled >= 0.95, "{name}");
                assert!(outcome.settled_after[0] <= within, "{name}");
                assert!(outcome.slowdown.p99 <= 3.0, "{name}");
                never_idle(&name, &outcome);
                assert_eq!(outcome.errors, 0, "{name}");
            }
        }
    }
}

#[test]
fn gateways_that_are_cut_off_from_each_other_go_on() {
    for (number, cores, hash, seed) in [
        (1, 40.0, 0.25, 7),
        (3, 40.0, 0.25, 7),
        (8, 40.0, 0.25, 7),
        (3, 8.0, 0.25, 5),
        (3, 400.0, 0.25, 7),
        (8, 40.0, 0.02, 7),
        (8, 100.0, 2.0, 7),
    ] {
        let name = format!("{number} gateways apart, {cores} cores, {hash} s");
        let apart = Fleet {
            apart: vec![(secs(20.0), Duration::from_hours(1))],
            ..gateways(number)
        };
        let outcome = play_seeded(&name, seed, pool(cores, hash, 3.0, 120.0), &apart);
        assert!(outcome.used >= 0.97, "{name}: {}", outcome.used);
        assert_eq!(outcome.errors, 0, "{name}");
    }
}

/// Twice as many gateways as cores, and as many browsers at each, or five times as many at the first. It
/// cannot let in more than its slots: whoever finds it full comes to another gateway.
#[test]
fn more_gateways_than_cores_that_are_cut_off_from_each_other_go_on() {
    let even = Fleet {
        skew: vec![1.0; 8],
        ..Fleet::default()
    };
    for (what, fleet) in [("even", even), ("five times", gateways(8))] {
        for (seed, from, load) in [
            (3, 20.0, 3.0),
            (8, 20.0, 3.0),
            (9, 5.0, 1.3),
            (10, 40.0, 3.0),
        ] {
            let name = format!("8 gateways apart, 4 cores, {what}, seed {seed}");
            let apart = Fleet {
                apart: vec![(secs(from), Duration::from_hours(1))],
                ..fleet.clone()
            };
            let outcome = play_seeded(&name, seed, pool(4.0, 0.25, load, 120.0), &apart);
            assert!(outcome.used >= 0.93, "{name}: {}", outcome.used);
            assert_eq!(outcome.errors, 0, "{name}");
            // The share each had, and one slot for whoever had none.
            let cut = from as usize;
            let others = fleet.skew.len() as u32 - 1;
            let frozen = outcome.series[cut - 1].cap + others;
            let later = outcome.series[cut + 1..].iter().map(|second| second.cap);
            let most = later.max().unwrap();
            assert!(most <= frozen, "{name}: {most} of {frozen}");
        }
    }
}

#[test]
fn whoever_does_not_come_costs_nothing() {
    let changing =
        Steps::new(vec![(secs(0.0), 0.1), (secs(15.0), 0.4), (secs(30.0), 0.0)]).unwrap();
    for (what, no_shows) in [
        ("0", Steps::constant(0.0)),
        ("0.1", Steps::constant(0.1)),
        ("0.4", Steps::constant(0.4)),
        ("changing", changing),
    ] {
        let mut submit = pool(40.0, 0.25, 3.0, 120.0);
        submit.waves[0].no_shows = no_shows;
        let name = format!("no-shows {what}");
        let outcome = play(&name, submit.clone(), &Fleet::default());
        assert!(outcome.used_settled >= 0.98, "{name}");
        assert!(outcome.buffered.p99 <= 3.0, "{name}");

        submit.admission.gate = Gate::Page { typing: secs(6.0) };
        let name = format!("no-shows {what}, page");
        let outcome = play(&name, submit, &Fleet::default());
        assert!(outcome.used >= 0.94, "{name}");
        assert!(outcome.used_settled >= 0.94, "{name}");
        assert!(outcome.buffered.p99 <= 5.0, "{name}");
    }
}

/// As in `benches/scenarios/page_gate_no_shows.toml`.
#[test]
fn a_gated_page_is_typed_in_for_long_and_a_quarter_have_gone() {
    let mut typing = pool(100.0, 0.25, 2.0, 120.0);
    typing.waves[0].no_shows = Steps::constant(0.25);
    typing.admission.gate = Gate::Page { typing: secs(8.0) };
    for seed in [8, 1] {
        let outcome = play_seeded("page, 8 s", seed, typing.clone(), &Fleet::default());
        assert!(outcome.used >= 0.94, "{}", outcome.used);
        assert!(outcome.buffered.p99 <= 5.0, "{}", outcome.buffered.p99);
        assert_eq!(outcome.errors, 0);
    }
}

/// The school that the flood is on.
const FLOODED: usize = 7;

/// 200 schools and 200 logins a second, for which the pupils come `load` times as fast as they can be let in.
fn calm(load: f64) -> Pool {
    let mut calm = pool(50.0, 0.25, 1.0, 1.0);
    calm.schools = (0..200)
        .map(|i| School {
            name: format!("school-{i}.example"),
            pupils: 100 + i * 577 % 400,
        })
        .collect();
    let pupils: u32 = calm.schools.iter().map(|school| school.pupils).sum();
    calm.waves = vec![Wave::everybody(secs(f64::from(pupils) / 200.0 / load))];
    calm
}

/// The same with 120,000 joins more at one of the schools, within half a minute.
fn flooded(calm: &Pool, no_shows: f64) -> Pool {
    let mut flooded = calm.clone();
    flooded.waves.push(Wave {
        school: Some(FLOODED),
        size: Size::Pupils(120_000),
        no_shows: Steps::constant(no_shows),
        ..Wave::everybody(secs(30.0))
    });
    flooded
}

fn others(outcome: &PoolOutcome) -> impl Iterator<Item = &SchoolOutcome> {
    let all = outcome.schools.iter().enumerate();
    all.filter(|(number, _)| *number != FLOODED)
        .map(|(_, school)| school)
}

/// The 99th percentile over the other schools of how long one waits there, at worst.
fn p99_of_others(outcome: &PoolOutcome) -> f64 {
    let mut waits: Vec<f64> = others(outcome).map(|school| school.wait.p99).collect();
    waits.sort_by(f64::total_cmp);
    waits[waits.len() * 99 / 100]
}

#[test]
fn a_flood_on_one_school_does_not_delay_the_others() {
    for (number, load) in [(1, 3.3), (3, 3.3), (8, 3.3)] {
        let usual = calm(load);
        let name = format!("{number} gateways");
        let before = play(&format!("{name}, calm"), usual.clone(), &gateways(number));
        assert!(before.jain.unwrap() >= 0.99, "{name}");
        for no_shows in [0.95, 0.0] {
            let name = format!("{name}, flood, no-shows {no_shows}");
            let after = play(&name, flooded(&usual, no_shows), &gateways(number));
            let (before, after) = (p99_of_others(&before), p99_of_others(&after));
            assert!(after <= 1.1 * before, "{name}: {before} {after}");
        }
    }
}

/// Where all come just as fast as they can be let in nobody waits for long, and the flooded school takes its full share
/// for as long as the others wait: that is what they wait longer.
#[test]
fn a_flood_on_one_school_of_a_pool_that_just_keeps_up_costs_the_others_seconds() {
    let usual = calm(1.0);
    let before = play("calm, load 1", usual.clone(), &Fleet::default());
    let after = play("flood, load 1", flooded(&usual, 0.0), &Fleet::default());
    let (before, after) = (p99_of_others(&before), p99_of_others(&after));
    println!("others' p99 {before:.1} s, and {after:.1} s with the flood");
    assert!(after <= before + 12.0, "{before} {after}");
}

/// Jain's index of served over weight, with all the schools waiting and 120,000 at one of them.
#[test]
fn while_one_school_is_flooded_the_others_share_by_weight() {
    for number in [1, 3, 8] {
        let name = format!("{number} gateways, flooded");
        let outcome = play(&name, flooded(&calm(4.0), 0.0), &gateways(number));
        let got = || others(&outcome).map(|s| s.backlogged as f64 / f64::from(s.pupils));
        let schools = got().count() as f64;
        let (sum, squares) = (got().sum::<f64>(), got().map(|x| x * x).sum::<f64>());
        let least: u64 = others(&outcome).map(|s| s.backlogged).min().unwrap();
        assert!(least >= 10, "{name}: {least} are too few to say");
        let jain = sum * sum / (schools * squares);
        println!("{name}: Jain {jain:.4} among the others");
        assert!(jain >= 0.99, "{name}: {jain}");
    }
}

#[test]
fn a_backend_that_was_down_is_not_knocked_over_again() {
    let mut down = pool(40.0, 0.25, 3.0, 120.0);
    down.backend.down = vec![(secs(20.0), secs(50.0))];
    let outcome = play("down for 30 s", down, &Fleet::default());
    // What was in flight then hangs until it goes on.
    assert!(outcome.errors <= 60, "{}", outcome.errors);
    let first = outcome.series[50].in_flight;
    assert!(first <= 60.0, "{first}");
}

#[test]
fn a_fixed_cap_is_kept() {
    let mut fixed = pool(40.0, 0.25, 3.0, 60.0);
    fixed.admission.policy = Policy::Fixed { cap: 30 };
    let outcome = play("fixed", fixed, &Fleet::default());
    assert_eq!(outcome.most_in_flight, 30);
}

#[test]
fn the_same_seed_is_the_same_morning() {
    let morning = || play("again", pool(4.0, 0.25, 3.0, 30.0), &gateways(3));
    assert_eq!(format!("{:?}", morning()), format!("{:?}", morning()));
}

/// A line without schools is no worse at using the backend: it is compared for what it does to the schools.
#[test]
fn one_line_for_all_uses_the_capacity_as_well_as_the_room_does() {
    for no_shows in [0.0, 0.4] {
        let mut morning = pool(40.0, 0.25, 3.0, 120.0);
        morning.waves[0].no_shows = Steps::constant(no_shows);
        morning.admission.policy = Policy::Fifo { min: 4, max: 2_000 };
        let name = format!("one line, no-shows {no_shows}");
        let outcome = play(&name, morning, &Fleet::default());
        assert!(outcome.used_settled >= 0.98, "{name}");
        assert!(outcome.buffered.p99 <= 3.0, "{name}");
    }
}

/// The models of what else there is let everybody in, and later than the room does.
#[test]
fn what_else_there_is_takes_longer() {
    let with = |policy| {
        let mut morning = pool(40.0, 0.25, 3.0, 60.0);
        morning.admission.policy = policy;
        play(&format!("{policy:?}"), morning, &Fleet::default()).ended
    };
    let ours = with(Policy::Adaptive { min: 4, max: 2_000 });
    // Three quarters of what the backend can do, as operators are advised to set it.
    let calls = Calls::Rate(120.0);
    let poll = Duration::from_secs(5);
    for other in [
        Policy::Counter { calls, poll },
        Policy::Aimd { min: 4, max: 2_000 },
        Policy::PerAddress { rate: 1.0 },
    ] {
        let theirs = with(other);
        assert!(theirs > ours, "{other:?}: {theirs} and {ours}");
    }
}
