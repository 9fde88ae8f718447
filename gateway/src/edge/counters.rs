//! What the edge has seen, for the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shared counters of the edge. Cheap to bump, read together by [`EdgeCounters::counts`].
#[derive(Debug, Default)]
pub struct EdgeCounters {
    open: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    accept_errors: AtomicU64,
    handshake_failures: AtomicU64,
    handshake_timeouts: AtomicU64,
    head_timeouts: AtomicU64,
    heads_too_long: AtomicU64,
    proxy_headers: AtomicU64,
    panics: AtomicU64,
}

/// The counters at one moment. All but `open` only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeCounts {
    /// Connections open now, handshakes included.
    pub open: u64,
    /// Connections accepted, those refused not counted.
    pub accepted: u64,
    /// Connections closed at once because `max_connections` were open.
    pub refused: u64,
    /// Times the operating system could not hand out a connection (file descriptors, memory).
    pub accept_errors: u64,
    /// Handshakes that failed: scanners, plain text, no common version, wrong first bytes of HTTP/2.
    pub handshake_failures: u64,
    /// Handshakes that missed their deadline.
    pub handshake_timeouts: u64,
    /// Connections closed because the head of a request did not come in time.
    pub head_timeouts: u64,
    /// Connections closed because the head of a request was too long.
    pub heads_too_long: u64,
    /// Connections closed for want of a good PROXY header from a trusted proxy.
    pub proxy_headers: u64,
    /// Requests that ended in a panic.
    pub panics: u64,
}

/// What can happen at the edge.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Refused,
    AcceptError,
    HandshakeFailure,
    HandshakeTimeout,
    HeadTimeout,
    HeadTooLong,
    ProxyHeader,
    Panic,
}

impl EdgeCounters {
    /// All counters now. They are read one after the other, not at one instant.
    pub fn counts(&self) -> EdgeCounts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        EdgeCounts {
            open: load(&self.open),
            accepted: load(&self.accepted),
            refused: load(&self.refused),
            accept_errors: load(&self.accept_errors),
            handshake_failures: load(&self.handshake_failures),
            handshake_timeouts: load(&self.handshake_timeouts),
            head_timeouts: load(&self.head_timeouts),
            heads_too_long: load(&self.heads_too_long),
            proxy_headers: load(&self.proxy_headers),
            panics: load(&self.panics),
        }
    }

    pub(super) fn count(&self, event: Event) {
        let counter = match event {
            Event::Refused => &self.refused,
            Event::AcceptError => &self.accept_errors,
            Event::HandshakeFailure => &self.handshake_failures,
            Event::HandshakeTimeout => &self.handshake_timeouts,
            Event::HeadTimeout => &self.head_timeouts,
            Event::HeadTooLong => &self.heads_too_long,
            Event::ProxyHeader => &self.proxy_headers,
            Event::Panic => &self.panics,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection as accepted, and as open for as long as the guard lives.
    pub(super) fn opened(self: &Arc<Self>) -> OpenGuard {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenGuard(Arc::clone(self))
    }
}

/// One open connection.
#[derive(Debug)]
pub(super) struct OpenGuard(Arc<EdgeCounters>);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
