//! The proxy: one file per phase of a request.

mod failure;
mod request;
mod route;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use einlass_admission::Keyring;
use einlass_config::IpNet;
use http::StatusCode;
use http::header::{CONNECTION, TRAILER, TRANSFER_ENCODING};
use pingora_core::connectors::http::Connector;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use crate::backends::{Busy, Rank, Stay};
use crate::fault::Fault;
use crate::forwarding::of_one_hop;
use crate::metrics::Metrics;
use crate::site::Site;

pub(crate) use request::Request;
pub(crate) use route::hear;

/// What all requests share.
pub(crate) struct Gateway {
    pub(crate) site: Arc<Site>,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// For logins only; never reuses a connection.
    pub(crate) logins: Arc<Connector>,
}

/// What one request carries from phase to phase.
#[derive(Default)]
pub(crate) struct Context {
    request: Option<Request>,
    busy: Option<Busy>,
    tried: Vec<SocketAddr>,
    stay: Option<Stay>,
    /// It got no backend, because others go first.
    shed: Option<Rank>,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::default()
    }

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        route::answer(self, session, context).await
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        context: &mut Context,
    ) -> Result<Box<HttpPeer>> {
        upstream::peer(self, session, context).await
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        header: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        match &context.request {
            Some(request) => crate::gate::prepare(header, request),
            None => Ok(()),
        }
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        header: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        upstream::answered(context, header);
        if header.status == StatusCode::SWITCHING_PROTOCOLS {
            // From here on a browser's silence is no fault: a WebSocket may have nothing to say. When
            // the backend says nothing either, the upstream's read timeout ends it.
            session.set_read_timeout(None);
        } else {
            // How long the answer is, and where it ends, pingora goes by.
            let framing = [TRANSFER_ENCODING, TRAILER, CONNECTION];
            let names = of_one_hop(&header.headers).into_iter();
            for name in names.filter(|name| !framing.contains(name)) {
                header.remove_header(&name);
            }
        }
        Ok(())
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        _reused: bool,
        _: &HttpPeer,
        socket: std::os::unix::io::RawFd,
        _: Option<&pingora_core::protocols::Digest>,
        context: &mut Context,
    ) -> Result<()> {
        upstream::connected(context, socket);
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        context: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        upstream::connect_failed(context, &mut error);
        error
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        context: &mut Context,
        reused: bool,
    ) -> Box<Error> {
        upstream::broke_off(session, context, &mut error, reused);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Context,
    ) -> FailToProxy {
        failure::answer(session, error, context).await
    }

    fn request_summary(&self, session: &Session, _: &Context) -> String {
        // Neither the query nor the path's tail: they may name a pupil.
        let header = session.req_header();
        let path = header.uri.path();
        let first = path.split('/').nth(1).unwrap_or_default();
        format!("{} /{first}", header.method)
    }

    fn suppress_error_log(&self, _: &Session, _: &Context, error: &Error) -> bool {
        // Counted in the metrics; a backend that is gone must not fill a disk with one line a request.
        tracing::debug!(error = %Fault(error), "Request failed");
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Context,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    async fn logging(&self, _: &mut Session, error: Option<&Error>, context: &mut Context) {
        if let Some(request) = &context.request {
            let failed = error.is_some() && context.shed.is_none();
            self.metrics.request(&request.seat.pool.name, failed);
        }
        if error.is_none() {
            upstream::whole(context);
        }
    }
}
