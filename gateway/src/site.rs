//! The whole house: every host with its school, every school with its pool and room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use einlass_admission::{
    Adaptive, Bounds, Fixed, Gatekeeper, Membership, Pacer, Room, SchoolIndex, SchoolKey, Settings,
    StaffShare, Step, Ticket, Weight,
    ledger::MemberId,
    state::{RoomState, State},
};
use einlass_config::{Admission, Affinity, Config, Gate, HostTable, Mode, Platform, Priorities};

use crate::backends::{Backends, UpstreamError};
use crate::clock::Clock;
use crate::flights::Flights;
use crate::overflow::Outlet;
use crate::room::LiveRoom;

/// A pool with its room.
pub(crate) struct Pool {
    pub(crate) name: String,
    /// Whose schools it serves.
    pub(crate) region: String,
    pub(crate) room: Arc<LiveRoom>,
    pub(crate) backends: Backends,
    pub(crate) flights: Flights,
    pub(crate) gate: Gate,
    pub(crate) platform: Platform,
    pub(crate) affinity: Affinity,
    pub(crate) priorities: Option<Priorities>,
    pub(crate) limits: Limits,
}

/// The times and sizes of a pool's gate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) hold: Duration,
    pub(crate) ticket_lifetime: Duration,
    pub(crate) seal_lifetime: Duration,
    pub(crate) pass_lifetime: Duration,
    pub(crate) max_body: usize,
    pub(crate) login_timeout: Duration,
}

/// A school, found by its host.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) pool: Arc<Pool>,
    pub(crate) school: SchoolIndex,
    pub(crate) key: SchoolKey,
    pub(crate) step: Step,
    /// The line of its staff, and what a place in it costs.
    pub(crate) staff: Option<(SchoolIndex, Step)>,
}

impl Seat {
    /// The line a ticket stands in, and what a place in it costs: the pupils' or the staff's.
    pub(crate) fn line(&self, ticket: &Ticket) -> (SchoolIndex, Step) {
        let staff = self.staff.filter(|_| ticket.staff);
        staff.unwrap_or((self.school, self.step))
    }
}

/// Everything a request can belong to.
pub(crate) struct Site {
    pub(crate) hosts: HostTable<Seat>,
    pub(crate) pools: Vec<Arc<Pool>>,
    /// Ways from one region's room to another's backends; those of one room stand together.
    pub(crate) outlets: Vec<Arc<Outlet>>,
}

impl Site {
    /// Builds the house, and takes over what an earlier run left.
    /// `member` names this run among several gateways.
    pub(crate) fn build(
        config: &Config,
        clock: Clock,
        epoch: u32,
        member: Option<MemberId>,
        state: Option<State>,
    ) -> Result<Self, UpstreamError> {
        let mut earlier: BTreeMap<String, RoomState> =
            state.map(|state| state.rooms).unwrap_or_default();
        let mut pools = Vec::new();
        let mut hosts = Vec::new();
        for pool in config.pools() {
            let schools: Vec<_> = pool
                .schools
                .iter()
                // The configuration allows 1 to 1,000,000 pupils, which is what a weight is.
                .filter_map(|s| {
                    Some((
                        SchoolKey::of(s.host.as_str()),
                        Weight::new(s.pupils)?,
                        &s.host,
                    ))
                })
                .collect();
            let mut room = Room::new(schools.iter().map(|(key, weight, _)| (*key, *weight)));
            if let Some(share) = StaffShare::new(pool.admission.staff_share) {
                room = room.with_staff(share);
            }
            let settings = Settings {
                closed: pool.admission.mode == Mode::Closed,
                page_gate: !pool.gate.page.is_empty(),
                observe: pool.admission.mode == Mode::Observe,
                // Who only looks on sets no ceiling.
                ceiling: pool
                    .admission
                    .logins_per_second
                    .filter(|_| pool.admission.mode != Mode::Observe),
                ticket_lifetime: pool.admission.ticket_lifetime,
                pass_tries: u8::try_from(pool.admission.pass_tries).unwrap_or(u8::MAX),
            };
            let pacer = pacer(&pool.admission, settings.ceiling);
            let mut gatekeeper = Gatekeeper::new(room, epoch, settings, pacer);
            if let Some(member) = member {
                gatekeeper = gatekeeper.in_fleet(Membership {
                    member,
                    share_unheard: pool.admission.in_flight.min,
                });
            }
            if let Some(state) = earlier.remove(&pool.name) {
                gatekeeper.restore(state);
            }
            let index: Vec<_> = schools
                .iter()
                .filter_map(|(key, ..)| gatekeeper.room().index(*key))
                .map(|school| (school, gatekeeper.room().staff(school)))
                .collect();
            let live = Arc::new(Pool {
                room: LiveRoom::new(&pool.name, clock, gatekeeper),
                flights: Flights::default(),
                backends: Backends::new(clock, &pool)?,
                limits: Limits {
                    hold: pool.admission.hold,
                    ticket_lifetime: pool.admission.ticket_lifetime,
                    seal_lifetime: pool.admission.seal_lifetime,
                    pass_lifetime: pool.admission.pass_lifetime,
                    max_body: pool.admission.max_body,
                    login_timeout: pool.upstream.login_timeout,
                },
                gate: pool.gate,
                platform: pool.platform,
                affinity: pool.affinity,
                priorities: pool.priorities,
                name: pool.name,
                region: pool.region,
            });
            for ((key, weight, host), (school, staff)) in schools.into_iter().zip(index) {
                let seat = Seat {
                    pool: Arc::clone(&live),
                    school,
                    key,
                    step: weight.step(),
                    staff,
                };
                hosts.push((host.clone(), seat));
            }
            pools.push(live);
        }
        Ok(Self {
            hosts: hosts.into_iter().collect(),
            outlets: Outlet::all(config, &pools),
            pools,
        })
    }

    /// What the next run needs: after a clean stop, or if this one is killed within `interval`.
    pub(crate) fn state(&self, killed_within: Option<Duration>) -> State {
        let rooms = self.pools.iter().map(|pool| {
            let room = &pool.room;
            let state =
                killed_within.map_or_else(|| room.state(), |within| room.state_ahead(within));
            (pool.name.clone(), state)
        });
        State::new(rooms.collect())
    }
}

/// Who decides how many logins may be in flight.
fn pacer(admission: &Admission, ceiling: Option<f64>) -> Box<dyn Pacer> {
    let einlass_config::InFlight { min, max } = admission.in_flight;
    match admission.mode {
        Mode::Adaptive | Mode::Observe => Box::new(Adaptive::new(Bounds { min, max }, ceiling)),
        Mode::Fixed | Mode::Closed => Box::new(Fixed::new(max, ceiling)),
    }
}
