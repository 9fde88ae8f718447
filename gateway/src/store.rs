//! The ledger that several gateways share: from its settings to the couriers of all rooms.

use std::sync::Arc;
use std::time::Duration;

use einlass_admission::ledger::redis::{
    Address, LedgerError, Login, RedisLedger, Server, Status, StoreSettings,
};
use einlass_config::{RedisAddress, Secret, Store, Topology};

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::courier;
use crate::random;
use crate::site::Site;

/// How long a start waits for a ledger that it may not do without.
const REACH: Duration = Duration::from_secs(5);

/// How long all rooms together may take for their last words.
const GOOD_BYE: Duration = Duration::from_secs(1);

/// The ledger, and who carries words to it.
pub(crate) struct Shared {
    pub(crate) ledger: RedisLedger,
    exchanges: JoinSet<()>,
}

impl Shared {
    /// Tells the other gateways that this one stops. What is said here must be the last.
    pub(crate) async fn leave(self, site: &Site) {
        for pool in &site.pools {
            pool.room.leave();
        }
        if timeout(GOOD_BYE, self.exchanges.join_all()).await.is_err() {
            tracing::warn!(
                "Redis does not answer: the other gateways get the slots when the lease has run out"
            );
        }
    }
}

/// What the ledger needs to know of the configuration.
pub(crate) fn settings(store: &Store) -> StoreSettings {
    let addresses = |all: &[RedisAddress]| all.iter().map(address).collect();
    StoreSettings {
        server: match &store.topology {
            Topology::Single {
                address: one,
                database,
            } => Server::Single {
                address: address(one),
                database: *database,
            },
            Topology::Sentinel {
                sentinels,
                master,
                database,
            } => Server::Sentinel {
                sentinels: addresses(sentinels),
                master: master.clone(),
                database: *database,
                login: login(
                    store.sentinel_user.as_ref(),
                    store.sentinel_password.as_ref(),
                ),
            },
            Topology::Cluster { nodes } => Server::Cluster {
                nodes: addresses(nodes),
            },
        },
        login: login(store.user.as_ref(), store.password.as_ref()),
        ca: store.ca.clone(),
        timeout: store.timeout,
        prefix: store.prefix.clone(),
    }
}

/// Tries once, before anything else is started.
pub(crate) fn reach(settings: StoreSettings) -> Result<(), LedgerError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| LedgerError::Setting(error.to_string()))?;
    runtime.block_on(async {
        RedisLedger::open(settings, Duration::ZERO, seed())?
            .connected(REACH)
            .await
    })
}

/// Connects, and sets the couriers of all rooms to work on the runtime it is called on.
pub(crate) fn open(site: &Arc<Site>, settings: StoreSettings) -> Result<Shared, LedgerError> {
    let lifetimes = site.pools.iter().map(|pool| pool.limits.ticket_lifetime);
    let lifetime = lifetimes.max().unwrap_or_default();
    let ledger = RedisLedger::open(settings, lifetime, seed())?;
    let mut exchanges = JoinSet::new();
    for pool in &site.pools {
        let room = ledger.room(pool.room.key);
        exchanges.spawn(courier::exchange(Arc::clone(&pool.room), room.clone()));
        tokio::spawn(courier::join(Arc::clone(&pool.room), room));
    }
    Ok(Shared { ledger, exchanges })
}

/// Says once what changed.
pub(crate) fn tell(before: &mut Option<Status>, now: Status) {
    if before.as_ref() == Some(&now) {
        return;
    }
    match &now {
        Status::Up => tracing::info!("Redis answers: rooms are shared"),
        Status::Down(trouble) => {
            tracing::warn!(%trouble, "Redis does not serve: this gateway goes on with the share it has");
        }
    }
    *before = Some(now);
}

fn address(address: &RedisAddress) -> Address {
    Address {
        host: address.host.clone(),
        port: address.port,
        tls: address.tls,
    }
}

fn login(user: Option<&String>, password: Option<&Secret>) -> Option<Login> {
    password.map(|password| Login {
        user: user.cloned(),
        password: password.expose().to_owned(),
    })
}

fn seed() -> u64 {
    u64::from_be_bytes(random::bytes())
}
