//! The edge: the public listener.
//!
//! The stock listeners know no connection cap, no bound on handshakes, no session tickets, a fixed
//! handshake timeout of a minute and no deadline for a request's head on a connection that is used again.
//! On the morning this gateway is built for each of these would matter, so the edge accepts, shakes hands
//! and keeps the deadlines itself, and hands what is left, one request at a time, to any
//! [`HttpServerApp`](pingora_core::apps::HttpServerApp).
//!
//! A connection passes through these files in this order: `listener` (accept, cap), `connection` (its
//! life), `proxy_protocol` (whom a proxy speaks for), `tls` and [`certificates`] (handshake), `stream` (what the application reads and writes),
//! `head` (deadlines of HTTP/1.1), `app` (limits of HTTP/2). [`boot`] runs the services and stops them.

mod app;
pub mod boot;
pub mod certificates;
mod connection;
mod counters;
mod error;
mod head;
mod listener;
mod proxy_protocol;
mod service;
mod settings;
mod stream;
mod tls;

pub use certificates::Certificates;
pub use counters::{EdgeCounters, EdgeCounts};
pub use error::EdgeError;
pub use service::Edge;
pub use settings::{CertificateFiles, EdgeSettings};
