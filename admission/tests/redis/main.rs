//! The ledger in Redis against a real server: it answers as the one in memory does.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test may fail"
)]

mod calls;
mod pair;
mod reaching;
mod rights;
mod saying;
#[path = "../server/mod.rs"]
mod server;
mod trouble;
