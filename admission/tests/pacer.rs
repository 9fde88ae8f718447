//! The adaptive pacer by itself: what it takes for loss, and what it hands on.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail, and counts small numbers"
)]

use std::time::Duration;

use einlass_admission::{
    Adaptive, Bounds, Fixed, Gatekeeper, Inputs, Memory, Outputs, Pacer, Room, SchoolKey, Settings,
    Weight,
};

const TICK: Duration = Duration::from_millis(50);

/// A pacer and its clock.
struct Pace {
    pacer: Adaptive,
    now: Duration,
    cap: u32,
    /// In seconds.
    overdue: Option<f64>,
    /// A part of a login that the backend has done.
    owed: f64,
}

impl Pace {
    fn new() -> Self {
        let bounds = Bounds { min: 4, max: 500 };
        Self {
            pacer: Adaptive::new(bounds, None),
            now: Duration::ZERO,
            cap: bounds.min,
            overdue: None,
            owed: 0.0,
        }
    }

    /// One that has found out that a login takes a quarter of a second and a hundred at once fit.
    fn busy() -> Self {
        let mut pace = Self::new();
        let memory = Memory {
            no_load: Some(0.25),
            cap: Some(100.0),
            rate: Some(350.0),
            ..Memory::default()
        };
        pace.pacer.resume(pace.now, &memory);
        pace
    }

    /// One step with all slots in use at a backend that shares so many cores evenly.
    fn sharing(&mut self, cores: f64) -> Outputs {
        self.hashing(cores, 0.25)
    }

    /// The same where a login takes so many seconds alone. What is overdue is lost.
    fn hashing(&mut self, cores: f64, hash: f64) -> Outputs {
        let in_flight = self.cap;
        let at_once = f64::from(in_flight).min(cores);
        self.owed += at_once / hash * TICK.as_secs_f64();
        let ended = self.owed.floor();
        self.owed -= ended;
        let latency = hash * f64::from(in_flight) / at_once;
        let late = self.overdue.is_some_and(|most| latency > most);
        let lost = if late { ended as u32 } else { 0 };
        self.step(&vec![latency; ended as usize], lost, in_flight)
    }

    fn step(&mut self, latencies: &[f64], losses: u32, in_flight: u32) -> Outputs {
        self.now += TICK;
        let inputs = Inputs {
            latencies: latencies
                .iter()
                .map(|s| Duration::from_secs_f64(*s))
                .collect(),
            losses,
            in_flight,
            ..Inputs::default()
        };
        let outputs = self.pacer.step(self.now, &inputs);
        self.cap = outputs.cap;
        self.overdue = outputs.overdue_after.map(|after| after.as_secs_f64());
        outputs
    }

    /// Half a minute in which now and then somebody logs in. One login in five takes `slow` seconds,
    /// the others a quarter of one.
    fn quiet(&mut self, slow: f64) -> Outputs {
        let mut outputs = self.step(&[], 0, 0);
        for _ in 0..60 {
            self.step(&[], 0, 1);
            self.step(&[0.24, 0.26, slow, 0.25, 0.25], 0, 1);
            for _ in 0..8 {
                outputs = self.step(&[], 0, 0);
            }
        }
        outputs
    }
}

fn overdue(outputs: Outputs) -> f64 {
    outputs.overdue_after.unwrap().as_secs_f64()
}

#[test]
fn without_a_tail_three_no_load_latencies_are_loss() {
    let overdue = overdue(Pace::new().quiet(0.26));
    assert!((0.74..=0.76).contains(&overdue), "{overdue}");
}

#[test]
fn a_tail_seen_in_quiet_is_no_loss_and_the_next_pacer_knows_it() {
    let mut pace = Pace::new();
    let learnt = overdue(pace.quiet(0.9));
    assert!((2.0..=2.4).contains(&learnt), "2.5 times 0.9 s: {learnt}");

    let memory = pace.pacer.memory();
    let text = serde_json::to_string(&memory).unwrap();
    let mut next = Pace::new();
    next.pacer
        .restart(TICK, &serde_json::from_str(&text).unwrap());
    assert!((overdue(next.step(&[], 0, 0)) - learnt).abs() < 0.01);
    let mut next = Pace::new();
    next.pacer.resume(TICK, &memory);
    assert!((overdue(next.step(&[], 0, 0)) - learnt).abs() < 0.01);
}

#[test]
fn a_login_that_takes_thirty_seconds_is_loss_whatever_was_seen_in_quiet() {
    let mut pace = Pace::new();
    let outputs = pace.quiet(30.0);
    assert!(overdue(outputs) <= 3.2, "five medians, times 2.5");
    assert!(overdue(outputs) >= 2.0);

    // All of them hang, and are answered after 30 s: each is counted when it is overdue.
    pace.pacer.resume(
        pace.now,
        &einlass_admission::Memory {
            cap: Some(100.0),
            ..pace.pacer.memory()
        },
    );
    let mut cap = 100;
    for second in 0..60 {
        for _ in 0..20 {
            let late = if second >= 30 { vec![30.0] } else { Vec::new() };
            cap = pace.step(&late, 1, cap).cap;
        }
    }
    assert_eq!(cap, 4, "the cap is cut as far as it may be");
}

/// They end before the hash with an error that says nothing about the backend's speed.
#[test]
fn logins_that_fail_without_a_hash_raise_no_cap() {
    let mut pace = Pace::busy();
    let before = pace.step(&[], 0, 100).cap;
    for _ in 0..60 * 20 {
        pace.step(&[], 0, pace.cap);
    }
    assert_eq!(pace.cap, before);
}

#[test]
fn what_is_lost_while_the_cap_is_lower_for_a_moment_teaches_nothing() {
    let mut pace = Pace::busy();
    let (mut before, mut steps) = (0, 0);
    // Every two minutes the pacer looks whether fewer in flight complete less.
    while steps < 200 * 20 && f64::from(pace.cap) > 0.82 * f64::from(before) {
        before = pace.cap;
        pace.sharing(85.0);
        steps += 1;
    }
    assert!(steps < 200 * 20, "it has never looked");
    let known = overdue(pace.step(&[], 0, pace.cap));
    // Just then half of the logins get no answer, and the others take twice as long.
    for _ in 0..5 * 20 {
        let learnt = overdue(pace.step(&[0.55, 0.55], 2, pace.cap));
        assert!(learnt <= 1.05 * known, "{learnt} instead of {known}");
    }
    assert!(pace.cap < before / 2, "{} of {before}", pace.cap);
}

#[test]
fn after_an_outage_it_starts_from_half_of_what_fitted_and_not_of_what_was_left() {
    let mut pace = Pace::busy();
    for _ in 0..20 * 20 {
        pace.sharing(85.0);
    }
    let good = f64::from(pace.cap);
    assert!((85.0..=110.0).contains(&good), "{good}");
    // It stops to answer: one login after the other is lost, until it is known to be down.
    for _ in 0..3 * 20 {
        pace.step(&[], 5, pace.cap);
    }
    assert!(f64::from(pace.cap) < 0.3 * good, "{}", pace.cap);
    for down in [true, false] {
        pace.now += Duration::from_secs(20);
        let inputs = Inputs {
            down,
            ..Inputs::default()
        };
        pace.cap = pace.pacer.step(pace.now, &inputs).cap;
        let memory = pace.pacer.memory();
        if down {
            assert_eq!(memory.cap.map(f64::round), Some(good), "for the next run");
        }
    }
    let first = f64::from(pace.cap);
    assert!(
        (0.45 * good..=0.55 * good).contains(&first),
        "{first} of {good}"
    );
    for _ in 0..5 * 20 {
        pace.sharing(85.0);
    }
    let found = f64::from(pace.cap);
    assert!(
        (0.9 * good..=1.1 * good).contains(&found),
        "{found} of {good}"
    );
}

#[test]
fn a_memory_that_makes_no_sense_does_no_harm() {
    for value in [0.0, -1.0, 1e-30, 1e30, f64::INFINITY, f64::NAN] {
        let memory = Memory {
            no_load: Some(value),
            tail: Some(value),
            mean: Some(value),
            cap: Some(value),
            rate: Some(value),
            fresh: true,
            typing: Some(value),
        };
        for restart in [true, false] {
            let mut pace = Pace::new();
            if restart {
                pace.pacer.restart(TICK, &memory);
            } else {
                pace.pacer.resume(TICK, &memory);
            }
            for _ in 0..60 * 20 {
                let outputs = pace.sharing(16.0);
                assert!((4..=500).contains(&outputs.cap), "{value}: {outputs:?}");
                let sound = outputs.capacity.is_none_or(f64::is_finite);
                assert!(sound, "{value}: {outputs:?}");
                let sane = outputs
                    .overdue_after
                    .is_none_or(|after| after.as_secs() <= 180);
                assert!(sane, "{value}: {outputs:?}");
            }
        }
    }
}

/// An operator who sets a cap, or closes the room, does not throw away what was learnt.
#[test]
fn what_was_learnt_outlives_a_run_that_learns_nothing() {
    let learnt = Memory {
        no_load: Some(0.25),
        tail: Some(1.5),
        mean: Some(1.1),
        cap: Some(80.0),
        rate: Some(300.0),
        fresh: true,
        typing: Some(15.0),
    };
    let school = (SchoolKey::of("gym.example"), Weight::new(900).unwrap());
    let settings = Settings {
        closed: true,
        observe: false,
        page_gate: false,
        ceiling: None,
        ticket_lifetime: Duration::from_hours(1),
        pass_tries: 3,
    };
    let pacer = Box::new(Fixed::new(30, None));
    let mut room: Gatekeeper<()> = Gatekeeper::new(Room::new([school]), 1, settings, pacer);
    let mut state = room.state();
    state.pacer = learnt;
    room.restore(state);
    for tick in 1..100 {
        let _ = room.tick(TICK * tick);
    }
    let kept = room.state().pacer;
    let confirmed_long_ago = Memory {
        fresh: false,
        ..learnt
    };
    assert_eq!(kept, confirmed_long_ago);
    assert_eq!(room.in_flight().1, 30, "the operator's number");
}

/// Somebody has chosen a dearer hash: four times as long as it took yesterday is neither a loss nor a delay.
#[test]
fn a_dearer_hash_is_told_from_a_weaker_backend() {
    for (cores, hash) in [(40.0, 1.0), (40.0, 0.5), (400.0, 1.0), (6.0, 1.0)] {
        let mut pace = Pace::busy();
        for _ in 0..120 * 20 {
            pace.hashing(cores, hash);
        }
        let used = f64::from(pace.cap) / cores;
        println!("{cores} cores, {hash} s: {} in flight", pace.cap);
        assert!(
            (0.9..=2.0).contains(&used),
            "{cores} cores, {hash} s: {used}"
        );
    }
    for cores in [25.0, 12.0, 6.0] {
        let mut pace = Pace::busy();
        for _ in 0..120 * 20 {
            pace.sharing(cores);
        }
        let used = f64::from(pace.cap) / cores;
        assert!((0.9..=2.0).contains(&used), "{cores} cores: {used}");
    }
}

/// Sixty-four in flight at sixteen cores, and the operator wants no fewer: they take four times as long, but a
/// login does not.
#[test]
fn what_waits_at_the_lowest_cap_is_not_taken_for_the_latency() {
    let mut pace = Pace::new();
    let bounds = Bounds { min: 64, max: 500 };
    pace.pacer = Adaptive::new(bounds, None);
    let memory = Memory {
        no_load: Some(0.25),
        cap: Some(100.0),
        ..Memory::default()
    };
    pace.pacer.resume(pace.now, &memory);
    pace.cap = 100;
    let mut at_lowest = 0;
    for _ in 0..300 * 20 {
        let outputs = pace.sharing(16.0);
        assert!(overdue(outputs) <= 0.8, "{outputs:?}");
        at_lowest += u32::from(outputs.cap == 64);
    }
    assert!(at_lowest > 270 * 20, "{at_lowest}");
}

/// At 20 ms the headroom's own delay is a few milliseconds, which may as well be the network's. Were it learnt, the
/// cap would grow by it, and the delay with the cap.
#[test]
fn a_small_delay_is_not_learnt_as_the_latency_window_after_window() {
    let mut pace = Pace::new();
    let memory = Memory {
        no_load: Some(0.02),
        cap: Some(46.0),
        rate: Some(2_000.0),
        ..Memory::default()
    };
    pace.pacer.resume(pace.now, &memory);
    pace.cap = 46;
    let mut most = 0;
    for _ in 0..20 * 60 {
        most = most.max(pace.hashing(40.0, 0.02).cap);
    }
    let learnt = pace.pacer.memory().no_load.unwrap();
    assert!((0.019..=0.0205).contains(&learnt), "{learnt}");
    assert!(most <= 60, "{most}");
}

/// The hours in which nobody came would say that the slots were not used up, and the first logins would be waited
/// for twice.
#[test]
fn how_long_nobody_came_before_says_nothing_about_the_first_logins() {
    for seconds in 60..70 {
        let mut pace = Pace::new();
        for _ in 0..20 * seconds {
            pace.step(&[], 0, 0);
        }
        let began = pace.now;
        while pace.cap <= 4 {
            pace.hashing(40.0, 2.0);
            let waited = pace.now.saturating_sub(began).as_secs_f64();
            assert!(waited <= 7.0, "after {seconds} s: {waited}");
        }
    }
}

/// A crowd that ends while fewer are let in for a moment: the next one finds the cap that fitted.
#[test]
fn a_dip_that_nobody_comes_to_any_more_is_called_off() {
    let mut pace = Pace::busy();
    let mut fitted = 0;
    let dipped = (0..8_000).any(|_| {
        let before = pace.cap;
        pace.sharing(80.0);
        let dips = f64::from(pace.cap) < 0.8 * f64::from(before);
        if dips {
            fitted = before;
        }
        dips
    });
    assert!(dipped, "it looks every two minutes");
    for _ in 0..60 {
        pace.step(&[], 0, 0);
    }
    assert_eq!(pace.cap, fitted);
}
