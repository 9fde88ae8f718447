//! The life of one connection: handshake, protocol, request after request, end.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use pingora_core::apps::{HttpServerApp, ReusedHttpStream, ServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use pingora_core::protocols::{ALPN, GetSocketDigest, SocketDigest, Stream};
use pingora_core::server::ShutdownWatch;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{error::Elapsed, timeout};
use tracing::debug;

use super::app::LimitedApp;
use super::counters::{EdgeCounters, Event};
use super::head::{GivenUp, Phase, Watch};
use super::proxy_protocol::{Client, Proxies};
use super::stream::EdgeStream;
use super::tls::Tls;

/// What all connections of an edge share.
pub(super) struct Shared<A> {
    pub(super) app: Arc<LimitedApp<A>>,
    pub(super) tls: Option<Tls>,
    /// Those that say whom they speak for, if clients come through such.
    pub(super) proxies: Option<Proxies>,
    pub(super) handshakes: Semaphore,
    pub(super) counters: Arc<EdgeCounters>,
    pub(super) handshake_timeout: Duration,
    pub(super) header_timeout: Duration,
    pub(super) keepalive_timeout: Duration,
}

/// Whether an address speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Plain,
    Tls,
}

impl<A> Shared<A>
where
    A: HttpServerApp + Send + Sync + 'static,
{
    /// Serves one client until it, or we, have had enough. `stop` turns true when the edge stops; while
    /// any copy of it lives, the edge counts something as in flight.
    pub(super) async fn serve(
        &self,
        tcp: TcpStream,
        peer: SocketAddr,
        transport: Transport,
        stop: ShutdownWatch,
    ) {
        let mut stopping = stop.clone();
        let opening = self.open(tcp, peer, transport);
        let opened = tokio::select! {
            opened = opening => opened,
            // Nothing has been asked for yet, so nothing is lost.
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        drop(stopping);
        match opened {
            Some((stream, Protocol::Http2)) => {
                self.app.process_new(Box::new(stream), &stop).await;
            }
            Some((stream, Protocol::Http1)) => self.serve_http1(stream, &stop).await,
            None => {}
        }
    }

    /// From the bare socket to a stream whose protocol is known.
    async fn open(
        &self,
        mut tcp: TcpStream,
        peer: SocketAddr,
        transport: Transport,
    ) -> Option<(EdgeStream, Protocol)> {
        let client = match &self.proxies {
            None => Client::At(peer),
            Some(proxies) => {
                let within = self.header_timeout;
                proxies
                    .client(&mut tcp, peer, within, &self.counters)
                    .await?
            }
        };
        let client = match client {
            Client::At(address) => Some(address),
            Client::Proxy => Some(peer),
            Client::Unknown => None,
        };
        let stream = match transport {
            Transport::Plain => Box::new(with_addresses(tcp, client)),
            Transport::Tls => self.shake_hands(tcp, client).await?,
        };
        let agreed = stream.selected_alpn_proto();
        let mut stream = EdgeStream::new(stream);
        if transport == Transport::Tls && !matches!(agreed, Some(ALPN::H2)) {
            return Some((stream, Protocol::Http1));
        }
        match timeout(self.header_timeout, stream.speaks_http2()).await {
            Ok(Ok(true)) => Some((stream, Protocol::Http2)),
            Ok(Ok(false)) if transport == Transport::Plain => Some((stream, Protocol::Http1)),
            Ok(Ok(false)) => {
                debug!("Client agreed on HTTP/2 and speaks something else");
                self.counters.count(Event::HandshakeFailure);
                None
            }
            Ok(Err(error)) => {
                debug!(%error, "Client left before its first request");
                None
            }
            Err(Elapsed { .. }) => {
                self.counters.count(Event::HeadTimeout);
                None
            }
        }
    }

    async fn shake_hands(&self, tcp: TcpStream, client: Option<SocketAddr>) -> Option<Stream> {
        // Sockets for TLS are accepted only where TLS is set up.
        let tls = self.tls.as_ref()?;
        let handshake = async {
            // A client that says nothing must not take the place of one that does.
            if tcp.peek(&mut [0]).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // Never closed, so it fails never.
            let _turn = self.handshakes.acquire().await.map_err(io::Error::other)?;
            let stream = with_addresses(tcp, client);
            tls.acceptor
                .tls_handshake(stream)
                .await
                .map_err(io::Error::other)
        };
        match timeout(self.handshake_timeout, handshake).await {
            Ok(Ok(stream)) => Some(Box::new(stream)),
            Ok(Err(error)) => {
                debug!(%error, "TLS handshake failed");
                self.counters.count(Event::HandshakeFailure);
                None
            }
            Err(Elapsed { .. }) => {
                debug!("TLS handshake took too long");
                self.counters.count(Event::HandshakeTimeout);
                None
            }
        }
    }

    /// Request after request on one connection. Any number of them: a browser that polls for half an
    /// hour keeps its connection.
    async fn serve_http1(&self, stream: EdgeStream, stop: &ShutdownWatch) {
        let mut watch = Watch::new(
            stream.progress(),
            self.header_timeout,
            self.keepalive_timeout,
        );
        let mut stopping = stop.clone();
        let mut stopping = pin!(stopping.wait_for(|stop| *stop));
        let mut session = self.http1_session(Box::new(stream));
        session.set_keepalive_reuses_remaining(
            self.app
                .server_options()
                .and_then(|options| options.keepalive_request_limit),
        );
        loop {
            let reused = tokio::select! {
                // The application first: it reads what is there, and only then is the client late.
                biased;
                reused = self.app.process_new_http(session, stop) => reused,
                why = std::future::poll_fn(|cx| {
                    if watch.phase() == Phase::Quiet && stopping.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(GivenUp::Idle);
                    }
                    watch.poll(cx)
                }) => return self.give_up(why),
            };
            let Some((mut stream, settings)) = reused.map(ReusedHttpStream::consume) else {
                return;
            };
            if *stop.borrow() {
                watch.next_request();
                stream.shutdown().await;
                return;
            }
            watch.next_request();
            session = self.http1_session(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
                session.set_keepalive(Some(self.patience()));
            }
            if session.pipelining_enabled() {
                watch.hand_over();
            }
        }
    }

    fn http1_session(&self, stream: Stream) -> ServerSession {
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive(Some(self.patience()));
        session
    }

    /// Whole seconds one read of a head may take, as a second line behind [`Watch`].
    fn patience(&self) -> u64 {
        self.keepalive_timeout.max(self.header_timeout).as_secs() + 1
    }

    fn give_up(&self, why: GivenUp) {
        match why {
            GivenUp::Idle => {}
            GivenUp::HeadTimeout => self.counters.count(Event::HeadTimeout),
            GivenUp::HeadTooLong => self.counters.count(Event::HeadTooLong),
        }
        debug!(?why, "Closed a connection");
    }
}

/// What the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// The stream of a client, whose address may be unknown.
///
/// Unbuffered: a buffer per connection costs 64 KiB by default, and both parsers and TLS have their own.
fn with_addresses(tcp: TcpStream, client: Option<SocketAddr>) -> L4Stream {
    if let Err(error) = tcp.set_nodelay(true) {
        debug!(%error, "Cannot switch Nagle's algorithm off");
    }
    // A listener for both families reports IPv4 clients as ::ffff:a.b.c.d.
    let client = client.map(|client| SocketAddr::new(client.ip().to_canonical(), client.port()));
    let digest = SocketDigest::from_raw_fd(tcp.as_raw_fd());
    // Fails only if set before, and it was just made.
    let _ = digest.peer_addr.set(client.map(Into::into));
    let mut stream = L4Stream::from(tcp);
    stream.set_socket_digest(digest);
    stream
}
