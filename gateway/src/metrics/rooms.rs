//! How each room is, and its ledger.

use std::sync::atomic::AtomicU64;

use einlass_admission::Mode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::labels::Pool;
use super::register::{register, register_seconds};
use crate::room::Gauges;
use crate::site;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolMode {
    pool: String,
    mode: &'static str,
}

/// Gauges of each room.
pub(super) struct Rooms {
    capacity: Family<Pool, Gauge<f64, AtomicU64>>,
    waiting: Family<Pool, Gauge>,
    staff_waiting: Family<Pool, Gauge>,
    buffered: Family<Pool, Gauge>,
    in_flight: Family<Pool, Gauge>,
    cap: Family<Pool, Gauge>,
    serving: Family<Pool, Gauge>,
    down: Family<Pool, Gauge>,
    ledger: Family<PoolMode, Gauge>,
    ledger_seconds: Family<Pool, Gauge<f64, AtomicU64>>,
}

impl Rooms {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let capacity: Family<Pool, Gauge<f64, AtomicU64>> = Family::default();
        registry.register_with_unit(
            "capacity_logins",
            "What the pool is believed to complete with its cap used up",
            Unit::Other("per_second".to_owned()),
            capacity.clone(),
        );
        Self {
            capacity,
            waiting: register(registry, "waiting_pupils", "Pupils waiting in the room"),
            staff_waiting: register(
                registry,
                "waiting_staff",
                "Of the pupils waiting, those in the lines of staff",
            ),
            buffered: register(
                registry,
                "buffered_logins",
                "Released logins waiting for a slot",
            ),
            in_flight: register(registry, "in_flight_logins", "Logins in flight at the pool"),
            cap: register(
                registry,
                "in_flight_cap_logins",
                "Logins that may be in flight",
            ),
            serving: register(registry, "serving", "The watermark"),
            down: register(
                registry,
                "pool_down",
                "1 while no backend of the pool can be reached, or none answers",
            ),
            ledger: register(registry, "ledger_mode", "1 for how the room's ledger is"),
            ledger_seconds: register_seconds(
                registry,
                "ledger_mode_age",
                "How long the room's ledger has been as it is",
            ),
        }
    }

    /// What is known of one room now.
    pub(super) fn read(&self, pool: &site::Pool, gauges: &Gauges) {
        let label = Pool::of(&pool.name);
        let set = |family: &Family<Pool, Gauge>, value: u64| {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            family.get_or_create(&label).set(value);
        };
        set(&self.waiting, gauges.waiting);
        set(&self.staff_waiting, gauges.staff);
        set(&self.buffered, gauges.buffered as u64);
        set(&self.in_flight, gauges.in_flight.into());
        set(&self.cap, gauges.cap.into());
        set(&self.serving, pool.room.serving().0);
        let down = pool.room.is_down() || pool.backends.down();
        set(&self.down, down.into());
        let (mode, since) = pool.room.mode();
        for each in Mode::ALL {
            let label = PoolMode {
                pool: pool.name.clone(),
                mode: each.name(),
            };
            let is = i64::from(each == mode);
            self.ledger.get_or_create(&label).set(is);
        }
        self.ledger_seconds
            .get_or_create(&label)
            .set(since.as_secs_f64());
        if let Some(capacity) = gauges.capacity {
            self.capacity.get_or_create(&label).set(capacity);
        }
    }
}
