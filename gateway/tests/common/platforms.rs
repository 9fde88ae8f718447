//! Platforms with real hashes: quick ones, and ones whose logins take a time of their own.

use std::net::SocketAddr;
use std::time::Duration;

use einlass_benches::platform::{HashCost, Platform, PlatformOptions};

/// A platform with quick but real hashes and as many workers as given.
pub async fn platform(backends: usize, workers: usize, cost: HashCost) -> Platform {
    start_platform(backends, workers, cost, (Duration::ZERO, 0.0)).await
}

/// One whose worker is busy for so long with each login, a quick hash and then the wait for a database:
/// how many it completes does not depend on what else this machine does.
pub async fn timed_platform(backends: usize, workers: usize, least: Duration) -> Platform {
    start_platform(backends, workers, HashCost::QUICK, (least, 0.0)).await
}

/// The same with logins that differ by up to a quarter of that, so that those which begin together do not
/// end together.
pub async fn uneven_platform(backends: usize, workers: usize, mean: Duration) -> Platform {
    start_platform(backends, workers, HashCost::QUICK, (mean, 0.25)).await
}

async fn start_platform(
    backends: usize,
    workers: usize,
    cost: HashCost,
    (least, spread): (Duration, f64),
) -> Platform {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Platform::start(PlatformOptions {
        listen: vec![any; backends],
        control: Some(any),
        workers,
        cost,
        least,
        spread,
        ..PlatformOptions::default()
    })
    .await
    .unwrap()
}
