//! The adaptive pacer by itself: what it takes for loss, and what it hands on.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail, and counts small numbers"
)]

use std::time::Duration;

use einlass_admission::{Adaptive, Bounds, Inputs, Outputs, Pacer};

const TICK: Duration = Duration::from_millis(50);

/// A pacer and its clock.
struct Pace {
    pacer: Adaptive,
    now: Duration,
}

impl Pace {
    fn new() -> Self {
        let bounds = Bounds { min: 4, max: 500 };
        Self {
            pacer: Adaptive::new(bounds, None),
            now: Duration::ZERO,
        }
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
        self.pacer.step(self.now, &inputs)
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
