//! A gateway of the fleet, and what it begins the morning with.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use einlass_admission::ledger::MemberId;
use einlass_admission::state::RoomState;
use einlass_admission::{
    Adaptive, Bands, Bounds, Fixed, Gatekeeper, Membership, Memory, Pacer, Room, Serving, Settings,
    Turn, View,
};

use crate::aimd::Aimd;
use crate::policy::Pupil;
use crate::scenario::{Gate, Policy, Pool};

pub(super) struct Gateway {
    pub(super) keeper: Gatekeeper<Pupil>,
    pub(super) view: View,
    /// Requests that are held, by turn.
    pub(super) held: BTreeSet<(Turn, Pupil)>,
    pub(super) joins: Vec<Pupil>,
    pub(super) joining: Option<Vec<Pupil>>,
}

impl Gateway {
    /// They are numbered from 1; `alone`, there is no other.
    pub(super) fn new(number: u64, pool: &Pool, room: Room, alone: bool) -> Self {
        let epoch = u32::try_from(number).unwrap_or(u32::MAX);
        let mut keeper = Gatekeeper::new(room, epoch, settings(pool), pacer(pool));
        if !pool.admission.first_day {
            keeper.restore(earlier_day(pool));
        }
        if !alone {
            keeper = keeper.in_fleet(Membership {
                member: MemberId(number),
                share_unheard: 1,
            });
        }
        Self {
            view: keeper.view(),
            keeper,
            held: BTreeSet::new(),
            joins: Vec::new(),
            joining: None,
        }
    }
}

fn settings(pool: &Pool) -> Settings {
    Settings {
        closed: false,
        observe: false,
        page_gate: matches!(pool.admission.gate, Gate::Page { .. }),
        ceiling: pool.admission.ceiling,
        ticket_lifetime: Duration::from_hours(4),
        pass_tries: 3,
    }
}

/// What a gateway has in its state file from a day on which the backend was as it is at the start.
fn earlier_day(pool: &Pool) -> RoomState {
    let backend = &pool.backend;
    let cores = backend.cores.at(Duration::ZERO);
    RoomState {
        serving: Serving::START,
        last: BTreeMap::new(),
        used: BTreeMap::new(),
        pacer: Memory {
            no_load: Some(backend.hash.as_secs_f64()),
            // Quantiles and mean of a log-normal cost, over its median.
            tail: Some((1.282 * backend.spread).exp()),
            mean: Some((backend.spread * backend.spread / 2.0).exp()),
            cap: Some(1.15 * cores),
            rate: None,
            fresh: false,
            typing: match pool.admission.gate {
                Gate::Page { typing } => Some(typing.as_secs_f64()),
                Gate::Submit => None,
            },
        },
        forecast: Bands::default(),
    }
}

fn pacer(pool: &Pool) -> Box<dyn Pacer> {
    let ceiling = pool.admission.ceiling;
    match pool.admission.policy {
        Policy::Adaptive { min, max } | Policy::Fifo { min, max } => {
            Box::new(Adaptive::new(Bounds { min, max }, ceiling))
        }
        Policy::Aimd { min, max } => Box::new(Aimd::new(min, max)),
        Policy::Fixed { cap } => Box::new(Fixed::new(cap, ceiling)),
        // Those have no pacer, and no room either.
        Policy::Counter { .. } | Policy::PerAddress { .. } => Box::new(Fixed::new(1, ceiling)),
    }
}
