//! What the end-to-end tests share: a real gateway process, what stands behind it, and who comes to it.
#![allow(
    dead_code,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    missing_docs,
    unreachable_pub,
    unused_imports,
    reason = "a test may fail; each test file uses a part"
)]

pub mod backend;
mod browser;
mod desk;
pub mod fleet;
mod gateway;
mod http;
pub mod judge;
mod platforms;
pub mod school;
mod setup;
pub mod steady;

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

pub use browser::Browser;
pub use desk::{drain, metric, order};
pub use gateway::{Gateway, resident};
pub use http::{Answer, get, post, send, try_send};
pub use platforms::{platform, timed_platform, uneven_platform};
pub use setup::Setup;

/// The longest any condition may take. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether a condition comes true in time.
pub async fn eventually(condition: impl AsyncFn() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if condition().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

/// An address nobody listens on at the moment.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
