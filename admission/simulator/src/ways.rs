//! The ways to let logins in, by what a scenario calls them.

use crate::baseline::{Counter, PerAddress};
use crate::einlass::Einlass;
use crate::policy::Admit;
use crate::scenario::{Fleet, Policy, Pool, School};

/// What lets the logins of a pool in. `schools` is the school of every pupil.
pub(crate) fn way_in(
    pool: &Pool,
    fleet: &Fleet,
    mut schools: Vec<u32>,
    seed: u64,
) -> Box<dyn Admit> {
    match pool.admission.policy {
        Policy::Counter { calls, poll } => Box::new(Counter::new(calls, poll, schools.len(), seed)),
        Policy::PerAddress { rate } => Box::new(PerAddress::new(rate, pool, schools)),
        Policy::Fifo { .. } => {
            schools.fill(0);
            Box::new(Einlass::new(&as_one_school(pool), fleet, schools, seed))
        }
        Policy::Adaptive { .. } | Policy::Fixed { .. } | Policy::Aimd { .. } => {
            Box::new(Einlass::new(pool, fleet, schools, seed))
        }
    }
}

/// The same pool with all its pupils in one line. They are enrolled in it: otherwise that line would pay
/// for a flood.
fn as_one_school(pool: &Pool) -> Pool {
    let pupils = pool.schools.iter().map(|school| school.pupils);
    Pool {
        schools: vec![School {
            name: pool.name.clone(),
            pupils: pupils.fold(0, u32::saturating_add),
        }],
        ..pool.clone()
    }
}
