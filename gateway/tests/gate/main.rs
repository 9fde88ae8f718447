//! The gate, end to end: a real gateway process in front of a platform that really hashes.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test may fail, and gauges of 0 and 1 are exact"
)]

#[path = "../common/mod.rs"]
mod common;
mod connections;
mod entering;
mod operators;
mod tickets;
