//! The application with the edge's limits around it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::H2Options;
use pingora_core::server::ShutdownWatch;

use super::counters::{EdgeCounters, Event};

/// Streams of one connection at once. Browsers are content with 100.
const MAX_STREAMS: u32 = 128;
/// Decoded size of a head, in bytes.
const MAX_HEADER_LIST: u32 = 64 * 1024;
/// Reset streams the connection remembers or lets wait: a rapid-reset client (CVE-2023-44487) is cut off.
const MAX_RESET_STREAMS: usize = 32;
/// Streams reset because of the client's own errors before the connection ends.
const MAX_ERROR_RESETS: usize = 64;
/// What one stream may send before it has to wait for us: uploads need some to be fast.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all streams of a connection together: the memory one client can take.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Response bytes buffered for one stream that its client does not fetch.
const SEND_BUFFER: usize = 64 * 1024;

/// Passes each request on with the edge's limits set, for HTTP/1.1 and HTTP/2 alike.
pub(super) struct LimitedApp<A> {
    app: Arc<A>,
    options: HttpServerOptions,
    stall_timeout: Duration,
    counters: Arc<EdgeCounters>,
}

impl<A: HttpServerApp> LimitedApp<A> {
    pub(super) fn new(
        app: A,
        keepalive_timeout: Duration,
        stall_timeout: Duration,
        counters: Arc<EdgeCounters>,
    ) -> Self {
        let mut options = app.server_options().cloned().unwrap_or_default();
        // The stream says itself whether it is HTTP/2: see `EdgeStream::speaks_http2`.
        options.h2c = false;
        options.h2_idle_timeout = Some(keepalive_timeout);
        Self {
            app: Arc::new(app),
            options,
            stall_timeout,
            counters,
        }
    }
}

#[async_trait]
impl<A> HttpServerApp for LimitedApp<A>
where
    A: HttpServerApp + Send + Sync + 'static,
{
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let _guard = PanicGuard(&self.counters);
        session.set_read_timeout(Some(self.stall_timeout));
        session.set_write_timeout(Some(self.stall_timeout));
        session.set_total_drain_timeout(Some(self.stall_timeout));
        self.app.process_new_http(session, shutdown).await
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = H2Options::new();
        options
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_LIST)
            .max_concurrent_reset_streams(MAX_RESET_STREAMS)
            .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
            .max_local_error_reset_streams(Some(MAX_ERROR_RESETS))
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER);
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    async fn http_cleanup(&self) {
        self.app.http_cleanup().await;
    }
}

/// The runtime swallows a request's panic; this one counts it.
struct PanicGuard<'a>(&'a EdgeCounters);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.count(Event::Panic);
        }
    }
}
