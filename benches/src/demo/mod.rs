//! What can be watched: a small school platform with several regions, the gateway in front of it, and a crowd.

mod balance;
mod calibration;
mod campaign;
mod capacity;
mod fairness;
mod fleet;
mod gateway;
mod grounds;
mod isolation;
mod machine;
mod memory;
mod outcome;
mod progress;
mod show;
mod stop;
mod streams;
mod ways;

use std::io;
use std::path::PathBuf;

use einlass_config::Mistakes;

use crate::platform::PlatformError;
use crate::rush::RushError;

pub use balance::{Balance, balance};
pub use campaign::{Campaign, compare};
pub use capacity::{Capacity, capacity};
pub use fairness::{Fairness, fairness};
pub use isolation::{Isolation, isolation};
pub use memory::{Memory, memory};
pub use show::{Ended, show};
pub use streams::{Streams, streams};
pub use ways::{Ways, ways};

/// The configuration of the demo.
pub const DEMO_CONFIG: &str = include_str!("../../../deploy/demo/einlass.toml");
/// The configuration of the comparison.
pub const COMPARE_CONFIG: &str = include_str!("../../../deploy/demo/compare.toml");
/// The configuration of the fairness campaign.
pub const FAIRNESS_CONFIG: &str = include_str!("../../../deploy/demo/fairness.toml");
/// The configuration of the isolation campaign.
pub const ISOLATION_CONFIG: &str = include_str!("../../../deploy/demo/isolation.toml");
/// The configuration of the memory campaign.
pub const MEMORY_CONFIG: &str = include_str!("../../../deploy/demo/memory.toml");
/// The configuration of the balancing campaign.
pub const BALANCE_CONFIG: &str = include_str!("../../../deploy/demo/balance.toml");
/// The configuration of the campaign with long bodies and open connections.
pub const STREAMS_CONFIG: &str = include_str!("../../../deploy/demo/streams.toml");

/// Why there is nothing to watch.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The demo's own configuration is wrong: mend it.
    #[error("{0}")]
    Config(#[from] Mistakes),
    /// It names no address for pupils: give `[edge]` one.
    #[error("the configuration has no address in [edge] listen")]
    NoEdge,
    /// A platform does not start.
    #[error("the platform does not start: {0}")]
    Platform(#[from] PlatformError),
    /// A number of gateways that cannot be shown.
    #[error("GATEWAYS must be a number from 1 to {0}")]
    Gateways(usize),
    /// Several gateways need a Redis: install it, or leave out `GATEWAYS`.
    #[error("redis-server does not start: is it installed?")]
    NoRedis,
    /// The gateway was not built: build the whole workspace.
    #[error("there is no gateway at {0}: run `cargo build --workspace` first")]
    NoGateway(PathBuf),
    /// The gateway does not do what it should: its log says why.
    #[error("the gateway is gone: {what}\n{log}")]
    Gateway {
        /// What happened to the process.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// A scenario that the gateway does not play; it has said why.
    #[error("{} cannot be played: {reason}", scenario.display())]
    Unplayable {
        /// Its file.
        scenario: PathBuf,
        /// How the gateway ended, or what is wrong with its report.
        reason: String,
    },
    /// The crowd cannot be sent.
    #[error("the crowd cannot come: {0}")]
    Rush(#[from] RushError),
    /// The system refuses a file, a port or a process.
    #[error(transparent)]
    Io(#[from] io::Error),
}
