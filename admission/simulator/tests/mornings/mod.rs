//! Mornings to test with, and what came of them in a line each.
#![allow(
    dead_code,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not every test needs all"
)]

use std::time::Duration;

use einlass_simulator::{
    Admission, Backend, Fleet, Outcome, Pool, PoolOutcome, Scenario, School, Wave, simulate,
};

pub(crate) fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Ten schools whose pupils are `lasting` seconds of work, and come `load` times as fast as that.
pub(crate) fn pool(cores: f64, hash: f64, load: f64, lasting: f64) -> Pool {
    let backend = Backend::steady(cores, secs(hash));
    let pupils = backend.capacity(Duration::ZERO) * lasting;
    let schools = (1..=10).map(|part| School {
        name: format!("school-{part}.example"),
        pupils: whole(pupils * f64::from(part) / 55.0),
    });
    let waves = vec![Wave::everybody(secs(lasting / load))];
    pool_of(schools.collect(), backend, waves)
}

/// A pool that is as usual in everything else.
pub(crate) fn pool_of(schools: Vec<School>, backend: Backend, waves: Vec<Wave>) -> Pool {
    Pool {
        name: "north".to_owned(),
        region: "north".to_owned(),
        admission: Admission::default(),
        backend,
        schools,
        waves,
    }
}

pub(crate) fn whole(pupils: f64) -> u32 {
    (pupils as u32).max(1)
}

/// So many gateways; the first gets most of the browsers.
pub(crate) fn gateways(number: usize) -> Fleet {
    let mut skew = vec![1.0; number];
    skew[0] = 5.0;
    Fleet {
        skew,
        ..Fleet::default()
    }
}

pub(crate) fn play(name: &str, pool: Pool, fleet: &Fleet) -> PoolOutcome {
    play_seeded(name, 7, pool, fleet)
}

pub(crate) fn play_seeded(name: &str, seed: u64, pool: Pool, fleet: &Fleet) -> PoolOutcome {
    let scenario = Scenario {
        name: name.to_owned(),
        seed,
        longest: Duration::from_hours(1),
        fleet: fleet.clone(),
        pools: vec![pool],
    };
    let Outcome { mut pools, .. } = simulate(&scenario);
    let outcome = pools.remove(0);
    println!(
        "{name:34} {}/{} in {:5.1} s, used {:.3} settled {:.3} least {:.3?} after {:.1?}, slowdown {:.2} {:.2}, \
         buffer {:.2} {:.2}, jain {:.4?}, covered {:.3} of {} sooner {:.3} later {:.3} width {:.2} ratio {:.2} up {:.4} silent {:.4}, errors {}",
        outcome.admitted,
        outcome.came,
        outcome.ended,
        outcome.used,
        outcome.used_settled,
        outcome.used_least,
        outcome.settled_after,
        outcome.slowdown.p50,
        outcome.slowdown.p99,
        outcome.buffered.p50,
        outcome.buffered.p99,
        outcome.jain,
        outcome.covered,
        outcome.promises,
        outcome.sooner,
        outcome.later,
        outcome.eta_width,
        outcome.eta_ratio,
        outcome.revised_up as f64 / outcome.polls.max(1) as f64,
        outcome.revised_unexplained as f64 / outcome.polls.max(1) as f64,
        outcome.errors,
    );
    if std::env::var("SERIES").is_ok_and(|wanted| name.contains(&wanted)) {
        for (second, at) in outcome.series.iter().zip(0..) {
            println!("{at:4} {second:?}");
        }
    }
    assert_eq!(
        outcome.admitted + outcome.gave_up,
        outcome.came,
        "{name}: somebody is waiting still"
    );
    outcome
}

/// Never under 90 % in any 10 s, of which there are some.
pub(crate) fn never_idle(name: &str, outcome: &PoolOutcome) {
    let least = outcome.used_least;
    assert!(least.is_some_and(|least| least >= 0.9), "{name}: {least:?}");
}

/// Seconds that the pacer may take to settle once the capacity has become lower: ten logins' time and two
/// windows.
pub(crate) fn settling(hash: f64) -> f64 {
    10.0 * hash + 2.0 * f64::max(2.0 * hash, 1.0)
}
