//! What happens at the edge, and how many connections and files are open.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::register::register;
use crate::edge::EdgeCounters;
use crate::open_files;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EdgeEvent {
    event: &'static str,
}

/// What the edge has counted.
pub(super) struct Edge {
    open: Gauge,
    files: Gauge,
    files_limit: Gauge,
    events: Family<EdgeEvent, Gauge>,
}

impl Edge {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            open: register(
                registry,
                "edge_open_connections",
                "Connections open at the edge",
            ),
            files: register(
                registry,
                "open_files",
                "Files and connections open in this process",
            ),
            files_limit: register(
                registry,
                "open_files_limit",
                "How many may be open; 0 without a limit",
            ),
            events: register(
                registry,
                "edge_events",
                "What happened at the edge since the start",
            ),
        }
    }

    /// What has been counted so far.
    pub(super) fn read(&self, edge: &EdgeCounters) {
        let counts = edge.counts();
        let number = |value| i64::try_from(value).unwrap_or(i64::MAX);
        self.open.set(number(counts.open));
        self.files.set(number(open_files::open().unwrap_or(0)));
        self.files_limit
            .set(number(open_files::limit().unwrap_or(0)));
        for (event, value) in [
            ("accepted", counts.accepted),
            ("refused", counts.refused),
            ("accept_error", counts.accept_errors),
            ("handshake_failure", counts.handshake_failures),
            ("handshake_timeout", counts.handshake_timeouts),
            ("head_timeout", counts.head_timeouts),
            ("head_too_long", counts.heads_too_long),
            ("proxy_header", counts.proxy_headers),
            ("panic", counts.panics),
        ] {
            self.events
                .get_or_create(&EdgeEvent { event })
                .set(number(value));
        }
    }
}
