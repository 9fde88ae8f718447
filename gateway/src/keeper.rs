//! The housekeeper: moves the rooms on, writes the state file, looks after the backends.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use einlass_admission::ledger::redis::StoreSettings;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use tokio::time::{MissedTickBehavior, interval};

use crate::backends::{self, Checker};
use crate::clock::wall;
use crate::metrics::Metrics;
use crate::overflow;
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
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) state_file: PathBuf,
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
        let ledger = self.store.clone().and_then(|settings| {
            store::open(&self.site, settings)
                .inspect_err(|error| tracing::error!(%error, "Rooms are not shared"))
                .ok()
        });
        let checker = Checker::new();
        for pool in &self.site.pools {
            backends::follow(pool);
        }
        let mut told = None;
        let mut failing = false;
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
                self.save(Some(TICK * SECOND), &mut failing).await;
                for pool in &self.site.pools {
                    pool.flights.expire();
                }
                if let Some(ledger) = &ledger {
                    store::tell(&mut told, ledger.status());
                }
            }
            if count.is_multiple_of(EXPIRE) {
                let wall = wall();
                for pool in &self.site.pools {
                    pool.room.expire(wall);
                }
            }
        }
        self.save(None, &mut failing).await;
    }
}

impl Keeper {
    /// Writes the state file. Says once that it cannot, and once that it can again: a full disk
    /// shall not get a line a second on top.
    async fn save(&self, killed_within: Option<Duration>, failing: &mut bool) {
        let (site, path) = (Arc::clone(&self.site), self.state_file.clone());
        let saved =
            tokio::task::spawn_blocking(move || site.state(killed_within).save(&path)).await;
        match saved {
            Ok(Err(error)) => {
                self.metrics.state_error();
                if !std::mem::replace(failing, true) {
                    tracing::error!(%error, "State file not written; a restart now would forget the places");
                }
            }
            Ok(Ok(())) if std::mem::take(failing) => {
                tracing::info!("State file is written again");
            }
            Ok(Ok(())) | Err(_) => {}
        }
    }
}
