//! The edge, over real sockets: what it serves, whom it closes, how it stops.

#![allow(clippy::expect_used, reason = "a helper that fails fails its test")]

mod client;
mod deadlines;
mod pki;
mod server;
mod serving;
mod stopping;
mod tls;
