//! How a test reaches the ledger of a server.

use std::time::{Duration, Instant};

use einlass_admission::ledger::redis::{
    Address, LedgerError, RedisLedger, Server, Status, StoreSettings, Trouble,
};

use crate::server::RedisServer;

pub(crate) fn address(port: u16) -> Address {
    Address {
        host: "127.0.0.1".to_owned(),
        port,
        tls: false,
    }
}

pub(crate) fn settings(port: u16) -> StoreSettings {
    StoreSettings {
        server: Server::Single {
            address: address(port),
            database: 0,
        },
        login: None,
        ca: None,
        timeout: Duration::from_millis(500),
        prefix: "einlass".to_owned(),
    }
}

pub(crate) fn open(settings: StoreSettings) -> RedisLedger {
    RedisLedger::open(settings, Duration::from_hours(1), 7).unwrap()
}

pub(crate) async fn connected(server: &RedisServer) -> RedisLedger {
    let ledger = open(settings(server.port));
    ledger.connected(Duration::from_secs(20)).await.unwrap();
    ledger
}

/// Waits until the connection stands, or is refused for a reason that does not pass by itself; else for
/// so long.
pub(crate) async fn settled(ledger: &RedisLedger, patience: Duration) -> Result<(), LedgerError> {
    let begun = Instant::now();
    let decided = |status: &Status| match status {
        Status::Up => true,
        Status::Down(trouble) => matches!(
            trouble,
            Trouble::Tls(_)
                | Trouble::Password(_)
                | Trouble::Permission(_)
                | Trouble::ReadOnly
                | Trouble::Memory
                | Trouble::TooOld(_)
        ),
    };
    while !decided(&ledger.status()) && begun.elapsed() < patience {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ledger.connected(Duration::ZERO).await
}
