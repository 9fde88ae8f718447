//! Every default and every range, in one place.
//!
//! The fields that these settings fill repeat them in their documentation.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::admission::{InFlight, Mode};
use crate::platform::Platform;
use crate::size::Size;

/// A key with one value, what holds when it is not written, and what is possible.
#[derive(Clone, Debug)]
pub(crate) struct Setting<T> {
    pub(crate) key: &'static str,
    pub(crate) default: T,
    pub(crate) range: RangeInclusive<T>,
}

const fn setting<T: Copy>(key: &'static str, default: T, range: RangeInclusive<T>) -> Setting<T> {
    Setting {
        key,
        default,
        range,
    }
}

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn mins(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

const fn hours(count: u64) -> Duration {
    Duration::from_secs(3600 * count)
}

// [edge]
pub(crate) const EDGE_LISTEN: [SocketAddr; 1] =
    [SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080)];
pub(crate) const PROXY_PROTOCOL: bool = false;
pub(crate) const MAX_CONNECTIONS: Setting<u32> =
    setting("max_connections", 200_000, 1..=10_000_000);
pub(crate) const HANDSHAKE_TIMEOUT: Setting<Duration> =
    setting("handshake_timeout", secs(10), secs(1)..=mins(1));
pub(crate) const HEADER_TIMEOUT: Setting<Duration> =
    setting("header_timeout", secs(10), secs(1)..=mins(5));
pub(crate) const KEEPALIVE_TIMEOUT: Setting<Duration> =
    setting("keepalive_timeout", secs(75), secs(1)..=hours(1));
pub(crate) const STOP_DELAY: Setting<Duration> =
    setting("stop_delay", Duration::ZERO, Duration::ZERO..=mins(5));

// [desk]
pub(crate) const DESK_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

// [state]
pub(crate) const STATE_DIRECTORY: &str = "/var/lib/einlass";

// [store]
pub(crate) const STORE_TIMEOUT: Setting<Duration> = setting("timeout", ms(250), ms(50)..=secs(2));
pub(crate) const STORE_PREFIX: &str = "einlass";
pub(crate) const STORE_REQUIRED: bool = false;

// [region.NAME]
pub(crate) const PLATFORM: Platform = Platform::Generic;

// [region.NAME.admission]
pub(crate) const IN_FLIGHT: InFlight = InFlight { min: 4, max: 512 };
pub(crate) const IN_FLIGHT_RANGE: RangeInclusive<u32> = 1..=100_000;
/// More than 0; the smallest rate is one login in a bit over a quarter of an hour.
pub(crate) const LOGINS_PER_SECOND: RangeInclusive<f64> = 0.001..=1_000_000.0;
pub(crate) const MODE: Mode = Mode::Adaptive;
pub(crate) const HOLD: Setting<Duration> = setting("hold", secs(2), Duration::ZERO..=secs(30));
pub(crate) const TICKET_LIFETIME: Setting<Duration> =
    setting("ticket_lifetime", hours(4), mins(10)..=hours(24));
pub(crate) const SEAL_LIFETIME: Setting<Duration> =
    setting("seal_lifetime", mins(30), mins(1)..=hours(4));
pub(crate) const PASS_LIFETIME: Setting<Duration> =
    setting("pass_lifetime", mins(5), secs(10)..=hours(1));
pub(crate) const PASS_TRIES: Setting<u32> = setting("pass_tries", 3, 1..=20);
pub(crate) const STAFF_SHARE: Setting<f64> = setting("staff_share", 0.0, 0.0..=0.5);
pub(crate) const MAX_BODY: Setting<Size> =
    setting("max_body", Size::kib(64), Size::kib(1)..=Size::mib(1));

// [region.NAME.upstream]
pub(crate) const CONNECT_TIMEOUT: Setting<Duration> =
    setting("connect_timeout", secs(2), ms(100)..=mins(1));
pub(crate) const LOGIN_TIMEOUT: Setting<Duration> =
    setting("login_timeout", secs(30), secs(1)..=mins(10));
pub(crate) const READ_TIMEOUT: Setting<Duration> =
    setting("read_timeout", secs(60), secs(1)..=hours(1));
pub(crate) const WRITE_TIMEOUT: Setting<Duration> =
    setting("write_timeout", secs(60), secs(1)..=hours(1));
pub(crate) const IDLE_TIMEOUT: Setting<Duration> =
    setting("idle_timeout", secs(60), secs(1)..=hours(1));
pub(crate) const MAX_IDLE: Setting<u32> = setting("max_idle", 512, 0..=100_000);

// [region.NAME.balancing]
pub(crate) const MAX_IN_FLIGHT: Setting<u32> = setting("max_in_flight", 1_024, 1..=100_000);
pub(crate) const SLOW_START: Setting<Duration> =
    setting("slow_start", secs(15), Duration::ZERO..=mins(10));
pub(crate) const CONSECUTIVE_FAILURES: Setting<u32> = setting("consecutive_failures", 5, 1..=1_000);
pub(crate) const SUCCESS_RATE: Setting<f64> = setting("success_rate", 0.7, 0.0..=1.0);
pub(crate) const SUCCESS_SAMPLES: Setting<u32> = setting("success_samples", 20, 1..=100_000);
pub(crate) const SILENCE: Setting<Duration> = setting("silence", secs(2), ms(500)..=mins(10));
pub(crate) const EJECTION: Setting<Duration> = setting("ejection", secs(5), secs(1)..=mins(10));
pub(crate) const RETRY_BUDGET: Setting<f64> = setting("retry_budget", 0.1, 0.0..=1.0);

// [region.NAME.priorities]
pub(crate) const PAGES: Setting<f64> = setting("pages", 0.7, 0.1..=1.0);
pub(crate) const LOGINS: Setting<f64> = setting("logins", 0.9, 0.1..=1.0);

// [region.NAME.health]
pub(crate) const HEALTH_INTERVAL: Setting<Duration> =
    setting("interval", secs(2), ms(200)..=mins(10));
pub(crate) const HEALTH_TIMEOUT: Setting<Duration> = setting("timeout", secs(1), ms(50)..=mins(1));
pub(crate) const RISE: Setting<u32> = setting("rise", 2, 1..=100);
pub(crate) const FALL: Setting<u32> = setting("fall", 2, 1..=100);
pub(crate) const JITTER: Setting<f64> = setting("jitter", 0.2, 0.0..=1.0);
pub(crate) const HEALTH_PATH: &str = "/";
pub(crate) const HEALTH_STATUS: Setting<u32> = setting("status", 200, 100..=599);

// [region.NAME.overflow]
pub(crate) const OVERFLOW_MAX: Setting<u32> = setting("max", 64, 1..=100_000);

// A backend
pub(crate) const WEIGHT: Setting<u32> = setting("weight", 1, 1..=1_000);
pub(crate) const DRAIN: bool = false;

// [[region.NAME.school]]
pub(crate) const PUPILS: Setting<u32> = setting("pupils", 500, 1..=1_000_000);

// A scenario.
pub(crate) const SEED: Setting<u32> = setting("seed", 1, 0..=u32::MAX);
pub(crate) const LONGEST: Setting<Duration> = setting("longest", hours(2), secs(10)..=hours(24));
/// Of all waves together: the memory of a small machine.
pub(crate) const MOST_PUPILS: u32 = 20_000_000;

// [gateways]
pub(crate) const COUNT: Setting<u32> = setting("count", 1, 1..=64);
pub(crate) const SKEW: RangeInclusive<f64> = 0.001..=1_000.0;
pub(crate) const ROUND_TRIP: Setting<Duration> =
    setting("round_trip", ms(2), Duration::ZERO..=ms(200));

// [backends], [region.NAME], [own_servers], [pool.NAME]
pub(crate) const CORES: RangeInclusive<f64> = 0.01..=100_000.0;
pub(crate) const CORES_BETWEEN: RangeInclusive<u32> = 1..=1_000;
pub(crate) const HASH: RangeInclusive<Duration> = ms(1)..=mins(1);
pub(crate) const SPREAD: RangeInclusive<f64> = 0.0..=3.0;
pub(crate) const REFUSED: RangeInclusive<f64> = 0.0..=0.95;
pub(crate) const QUEUE: RangeInclusive<u32> = 1..=10_000_000;
pub(crate) const SCHOOLS: RangeInclusive<u32> = 1..=65_535;
pub(crate) const SHARE: Setting<f64> = setting("share", 0.0, 0.0..=1.0);
pub(crate) const TYPING: RangeInclusive<Duration> = Duration::ZERO..=mins(5);

// [[wave]]
pub(crate) const ENROLLED: RangeInclusive<f64> = 0.001..=1_000.0;
pub(crate) const COME: RangeInclusive<u32> = 1..=MOST_PUPILS;
pub(crate) const FROM: Setting<Duration> =
    setting("from", Duration::ZERO, Duration::ZERO..=hours(24));
pub(crate) const OVER: Setting<Duration> = setting("over", mins(5), Duration::ZERO..=hours(24));
pub(crate) const NO_SHOWS: RangeInclusive<f64> = 0.0..=1.0;
pub(crate) const PATIENCE: RangeInclusive<Duration> = secs(1)..=hours(24);
/// A time of the morning.
pub(crate) const TIME: RangeInclusive<Duration> = Duration::ZERO..=hours(24);
