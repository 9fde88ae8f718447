//! The housekeeper: moves the rooms on, has the state file written, looks after the backends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use einlass_admission::ledger::redis::StoreSettings;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use tokio::time::{MissedTickBehavior, interval};

use crate::backends::{self, Checker};
use crate::clock::wall;
use crate::overflow;
use crate::scribe::Scribe;
use crate::site::Site;
use crate::store;

/// How often a room moves on.
const TICK: Duration = Duration::from_millis(50);
/// Every so many ticks polls get a new picture.
const PUBLISH: u64 = 2;
/// Every so many ticks the state is written.
const SECOND: u32 = 20;
/// Every so many ticks old tickets are forgotten.
const EXPIRE: u64 = 200;

/// Runs beside the edge, and a moment longer.
pub(crate) struct Keeper {
    pub(crate) site: Arc<Site>,
    pub(crate) scribe: Arc<Scribe>,
    /// Where the rooms are shared with other gateways, if there are any.
    pub(crate) store: Option<StoreSettings>,
}

#[async_trait]
impl BackgroundService for Keeper {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut count: u64 = 0;
        // A Redis client lives on the runtime that made it.
        let shared = self.store.clone().and_then(|settings| {
            store::open(&self.site, settings)
                .inspect_err(|error| tracing::error!(%error, "Rooms are not shared"))
                .ok()
        });
        let checker = Checker::new();
        for pool in &self.site.pools {
            backends::follow(pool);
        }
        let mut told = None;
        while !*shutdown.borrow() {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = shutdown.changed() => break,
            }
            count += 1;
            for pool in &self.site.pools {
                pool.backends.tick();
                checker.begin(pool);
                let down = pool.backends.down();
                let logins = pool.backends.room_for_logins(pool.room.in_flight());
                pool.room.tick(down, logins, count.is_multiple_of(PUBLISH));
            }
            overflow::step(&self.site.outlets);
            if count.is_multiple_of(SECOND.into()) {
                self.scribe.begin(TICK * SECOND);
                for pool in &self.site.pools {
                    pool.flights.expire();
                }
                if let Some(shared) = &shared {
                    store::tell(&mut told, shared.ledger.status());
                }
            }
            if count.is_multiple_of(EXPIRE) {
                let wall = wall();
                for pool in &self.site.pools {
                    pool.room.expire(wall);
                }
            }
        }
        if let Some(shared) = shared {
            shared.leave(&self.site).await;
        }
        self.scribe.finish().await;
    }
}
