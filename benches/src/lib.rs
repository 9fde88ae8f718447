//! What a gateway for logins is measured with: a school platform that really hashes, a crowd of pupils that
//! behaves like browsers, and the comparison of two mornings.
//!
//! Everything runs in-process too, so that integration tests drive the same code as the command line:
//!
//! ```no_run
//! # async fn morning() -> Result<(), Box<dyn std::error::Error>> {
//! use einlass_benches::platform::{HashCost, Platform, PlatformOptions};
//! use einlass_benches::rush::{self, Plan};
//!
//! let platform = Platform::start(PlatformOptions { cost: HashCost::QUICK, ..PlatformOptions::default() }).await?;
//! let report = rush::run(Plan { targets: platform.backends().to_vec(), pupils: 300, ..Plan::default() }).await?;
//! assert_eq!(report.got_in, 300);
//! # Ok(())
//! # }
//! ```

pub mod compare;
pub mod demo;
pub mod platform;
pub mod rush;
pub mod streams;
mod table;
