//! Other ways to let logins in, each set as somebody would who knows what the backends can do at the start.

use std::time::Duration;

use einlass_simulator::{Calls, Policy, Pool, Scenario};

use super::change::Change;

/// What operators of waiting rooms are advised to set: this part of what the backends can do.
const ADVISED: f64 = 0.75;
/// Logins in flight per core where the number is fixed: enough that no core waits for the next login.
const PER_CORE: f64 = 1.25;
/// How often the pages of other waiting rooms look: every 20 s where the browser reloads them, every
/// 5 s where a script asks.
const RELOAD: Duration = Duration::from_secs(20);
const ASK: Duration = Duration::from_secs(5);
/// How long an absentee counts as present where whole minutes are let in.
const GRACE: Duration = Duration::from_mins(5);
/// After this time somebody who was called and does not come is replaced.
const EXPIRY: Duration = Duration::from_mins(1);
/// Requests per second from one address, as web servers are told to limit logins.
const PER_ADDRESS: f64 = 1.0;

/// Its name, and how it is set for a pool.
type Way = (&'static str, fn(&Pool) -> Policy);

/// The morning with each of them.
pub(super) fn all(scenario: &Scenario) -> Vec<Change> {
    let ways: [Way; 7] = [
        ("fixed cap", |pool| Policy::Fixed {
            cap: whole(pool.backend.cores_at(Duration::ZERO) * PER_CORE),
        }),
        ("AIMD cap", |pool| {
            let (min, max) = bounds(pool);
            Policy::Aimd { min, max }
        }),
        ("one line for all", |pool| {
            let (min, max) = bounds(pool);
            Policy::Fifo { min, max }
        }),
        ("fixed rate", |pool| Policy::Counter {
            calls: Calls::Rate(ADVISED * rate(pool)),
            poll: ASK,
        }),
        ("whole minutes", |pool| Policy::Counter {
            calls: Calls::Minute {
                numbers: ADVISED * rate(pool) * 60.0,
                grace: GRACE,
            },
            poll: RELOAD,
        }),
        ("replaced on expiry", |pool| Policy::Counter {
            // Little's law: from the call to the answer it takes half a poll interval and the login.
            calls: Calls::Places {
                places: rate(pool) * (ASK / 2 + pool.backend.hash).as_secs_f64(),
                expiry: EXPIRY,
            },
            poll: ASK,
        }),
        ("rate per address", |_| Policy::PerAddress {
            rate: PER_ADDRESS,
        }),
    ];
    let play = |(what, policy): Way| {
        let mut scenario = scenario.clone();
        for pool in &mut scenario.pools {
            pool.admission.policy = policy(pool);
        }
        Change { what, scenario }
    };
    ways.into_iter().map(play).collect()
}

/// Logins per second at the start.
fn rate(pool: &Pool) -> f64 {
    pool.backend.capacity(Duration::ZERO)
}

/// The bounds of the pool's own pacer.
fn bounds(pool: &Pool) -> (u32, u32) {
    match pool.admission.policy {
        Policy::Adaptive { min, max } => (min, max),
        Policy::Fixed { cap } => (cap.min(4), cap),
        _ => (4, 2_000),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of logins, at least one"
)]
fn whole(logins: f64) -> u32 {
    logins.ceil().max(1.0) as u32
}
