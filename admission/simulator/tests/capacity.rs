//! The pacer finds the capacity nobody knows, follows it, and uses it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may fail")]

use std::time::Duration;

use einlass_simulator::{
    Admission, Backend, Fleet, Outcome, Policy, Pool, PoolOutcome, Scenario, School, Steps, Wave,
    simulate,
};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Ten schools, and so much more than `cores` can do for a while.
fn pool(cores: f64, hash: f64, load: f64, lasting: f64) -> Pool {
    let backend = Backend::steady(cores, secs(hash));
    let capacity = backend.capacity(Duration::ZERO);
    let pupils = capacity * lasting;
    let schools = (0..10)
        .map(|i| School {
            name: format!("school-{i}.example"),
            pupils: ((pupils * f64::from(i + 1) / 55.0) as u32).max(1),
        })
        .collect();
    Pool {
        name: "north".to_owned(),
        region: "north".to_owned(),
        admission: Admission::default(),
        backend,
        schools,
        waves: vec![Wave::everybody(secs(lasting / load))],
    }
}

fn play(name: &str, pool: Pool, fleet: Fleet) -> PoolOutcome {
    let scenario = Scenario {
        name: name.to_owned(),
        seed: 7,
        longest: Duration::from_secs(3_600),
        fleet,
        pools: vec![pool],
    };
    let Outcome { mut pools, .. } = simulate(&scenario);
    let o = pools.remove(0);
    println!(
        "{name:30} {}/{} end {:5.1} used {:.3} {:.3} least {:.3} after {:.1?} slow {:.2} {:.2} buf {:.2} {:.2} jain {:.3?} cover {:.2} of {} ratio {:.2} up {:.3} err {}",
        o.admitted, o.came, o.ended, o.used, o.used_settled, o.used_least, o.settled_after, o.slowdown.p50, o.slowdown.p99,
        o.buffered.p50, o.buffered.p99, o.jain, o.covered, o.promises, o.eta_ratio, o.revised_up as f64 / o.polls.max(1) as f64, o.errors,
    );
    if std::env::var("SERIES").is_ok_and(|n| name.contains(&n)) {
        for (i, s) in o.series.iter().enumerate() {
            println!(
                "{i:4} came {:5} logins {:5} waiting {:6} inflight {:7.1} cap {:5} cores {:.1} busy {:.2}",
                s.came, s.logins, s.waiting, s.in_flight, s.cap, s.cores, s.busy
            );
        }
    }
    o
}

#[test]
fn any_size() {
    for (cores, hash) in [
        (4.0, 0.02),
        (4.0, 0.25),
        (4.0, 2.0),
        (40.0, 0.25),
        (400.0, 0.25),
        (400.0, 2.0),
    ] {
        for load in [2.0, 10.0] {
            play(
                &format!("{cores} cores {hash} s x{load}"),
                pool(cores, hash, load, 120.0),
                Fleet::default(),
            );
        }
    }
}

#[test]
fn changes() {
    for (cores, hash) in [(16.0, 0.25), (100.0, 0.25), (8.0, 1.0), (40.0, 0.05)] {
        let mut half = pool(cores, hash, 3.0, 120.0);
        half.backend.cores =
            Steps::new(vec![(secs(0.0), cores), (secs(40.0), cores / 2.0)]).unwrap();
        play(&format!("halved {cores} {hash}"), half, Fleet::default());
        let mut triple = pool(cores, hash, 3.0, 240.0);
        triple.backend.cores =
            Steps::new(vec![(secs(0.0), cores), (secs(40.0), cores * 3.0)]).unwrap();
        play(&format!("tripled {cores} {hash}"), triple, Fleet::default());
        let mut steps = pool(cores, hash, 3.0, 150.0);
        steps.backend.cores = Steps::new(vec![
            (secs(0.0), cores),
            (secs(30.0), cores / 2.0),
            (secs(60.0), cores * 1.5),
            (secs(90.0), cores * 0.75),
        ])
        .unwrap();
        play(&format!("steps {cores} {hash}"), steps, Fleet::default());
    }
}

#[test]
fn fleets() {
    for n in [1, 3, 8] {
        for cores in [4.0, 40.0] {
            let skew = (0..n).map(|i| if i == 0 { 5.0 } else { 1.0 }).collect();
            let fleet = Fleet {
                skew,
                ..Fleet::default()
            };
            play(
                &format!("{n} gateways {cores}"),
                pool(cores, 0.25, 3.0, 120.0),
                fleet.clone(),
            );
            let apart = Fleet {
                apart: vec![(secs(20.0), secs(1000.0))],
                ..fleet
            };
            play(
                &format!("{n} gateways {cores} apart"),
                pool(cores, 0.25, 3.0, 120.0),
                apart,
            );
        }
    }
}

#[test]
fn no_shows() {
    for share in [0.0, 0.1, 0.4] {
        let mut p = pool(40.0, 0.25, 3.0, 120.0);
        p.waves[0].no_shows = Steps::constant(share);
        play(&format!("no shows {share}"), p.clone(), Fleet::default());
        p.admission.gate = einlass_simulator::Gate::Page { typing: secs(6.0) };
        play(&format!("no shows {share} page"), p.clone(), Fleet::default());
        play(&format!("no shows {share} page fleet"), p, Fleet { skew: vec![3.0, 2.0, 1.0], ..Fleet::default() });
    }
}

#[test]
fn one() {
    let f: Vec<f64> = std::env::var("ONE")
        .unwrap_or("40,0.25,2,120".into())
        .split(',')
        .map(|x| x.parse().unwrap())
        .collect();
    play("one", pool(f[0], f[1], f[2], f[3]), Fleet::default());
}
