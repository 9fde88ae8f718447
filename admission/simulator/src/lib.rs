//! Eight o'clock in virtual time: the gateway's own room and pacer in front of modelled backends.
//!
//! [`Scenario`] says what the morning is like, [`simulate`] plays it, [`Outcome`] says what came of
//! it. Nothing sleeps and nothing is random but by the scenario's seed: the same scenario has the
//! same outcome on every machine. What decides is not a model: [`einlass_admission::Gatekeeper`]
//! and the registers of the ledger are the very code that runs in a gateway. Modelled are the
//! backends (processor sharing over cores whose number nobody tells the gateway), the network
//! between gateways and ledger, and the pupils.

mod aimd;
mod backend;
mod baseline;
mod crowd;
mod einlass;
mod outcome;
mod policy;
mod record;
mod scenario;
mod ways;
mod wheel;
mod world;

pub use baseline::Calls;
pub use outcome::{Outcome, PoolOutcome, Quantiles, SchoolOutcome, Second};
pub use scenario::{
    Admission, Backend, Fleet, Gate, Policy, Pool, Scenario, School, Shape, Size, Steps, Wave,
};

/// Plays a morning. Pools share nothing, so each is played by itself, two at a time.
pub fn simulate(scenario: &Scenario) -> Outcome {
    let play = |number: usize| {
        // Pools of one scenario must not draw the same numbers.
        let seed = scenario.seed.wrapping_add(0x9E37_79B9 * number as u64);
        world::World::new(scenario, &scenario.pools[number], seed).play()
    };
    let pools = std::thread::scope(|scope| {
        let half = |first: usize| {
            let numbers = (first..scenario.pools.len()).step_by(2);
            numbers.map(|n| (n, play(n))).collect::<Vec<_>>()
        };
        let other = scope.spawn(move || half(1));
        let mut pools = half(0);
        // A panic over there is one here.
        pools.extend(
            other
                .join()
                .unwrap_or_else(|p| std::panic::resume_unwind(p)),
        );
        pools.sort_by_key(|(number, _)| *number);
        pools.into_iter().map(|(_, pool)| pool).collect()
    });
    Outcome {
        scenario: scenario.name.clone(),
        pools,
    }
}
