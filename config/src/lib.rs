//! What operators write: one TOML file (and, for thousands of schools, CSV files beside it).
//!
//! [`load`] reads it into types that cannot hold nonsense, and reports *every* mistake it finds, each with
//! file, line and column. Every key has a default, documented at the field it fills; unknown keys are errors.
//!
//! ```
//! let config = einlass_config::load_str(
//!     "einlass.toml",
//!     r#"
//!     [region.hannover]
//!     backends = ["10.1.0.11:8080", "10.1.0.12:8080"]
//!
//!     [[region.hannover.school]]
//!     host = "gym.example"
//!     pupils = 900
//!     "#,
//! )?;
//! let pools = config.pools();
//! assert_eq!(pools[0].name, "hannover");
//! assert_eq!(pools[0].schools[0].host.as_str(), "gym.example");
//! # Ok::<(), einlass_config::Mistakes>(())
//! ```
//!
//! The way through the crate: `source` knows lines and columns, `syntax` parses the TOML, `section` takes keys out of a TOML table,
//! `settings` holds every default and range, one module per table of the file reads it, and `claims` watches over
//! what must be unique across all of them.

mod address;
mod admission;
mod affinity;
mod backend;
mod balancing;
mod claims;
mod config;
mod credentials;
mod desk;
mod edge;
mod file;
mod gate;
mod health;
mod host;
mod host_table;
mod mistake;
mod overflow;
mod path;
mod pem;
mod place;
mod platform;
mod pool;
mod priorities;
mod redis_address;
mod region;
mod report;
mod scalar;
pub mod scenario;
mod school;
mod schools_csv;
mod secret;
mod section;
mod settings;
mod size;
mod source;
mod state;
mod store;
mod suggest;
mod syntax;
mod topology;
mod upstream;
mod upstream_tls;

pub use admission::{Admission, InFlight, Mode};
pub use affinity::Affinity;
pub use backend::{Backend, Endpoint, NotABackend};
pub use balancing::{Balancing, Policy};
pub use config::{Config, load, load_str};
pub use desk::Desk;
pub use edge::{Certificate, Edge};
pub use gate::{Gate, RequestMatch, RequestMatchError};
pub use health::{Check, Health};
pub use host::{Host, HostError, normalise};
pub use host_table::HostTable;
pub use ipnet::IpNet;
pub use mistake::{Mistake, Mistakes};
pub use overflow::Overflow;
pub use platform::Platform;
pub use pool::Pool;
pub use priorities::Priorities;
pub use redis_address::RedisAddress;
pub use region::{OwnServer, Region};
pub use school::School;
pub use secret::Secret;
pub use state::State;
pub use store::Store;
pub use topology::Topology;
pub use upstream::{Http, Upstream};
pub use upstream_tls::UpstreamTls;
