//! One pupil's browser: cookies, and at most one connection, closed soon after use.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE, USER_AGENT,
};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::jar::Jar;
use super::plan::Connections;
use super::socket;
use super::trouble::Trouble;
use crate::platform::TAG_HEADER;

/// The smallest that hyper allows.
const READ_BUFFER: usize = 8192;
const LONGEST_BODY: usize = 1024 * 1024;
pub(super) const HTML: &str = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";
pub(super) const JSON: &str = "application/json";

/// A browser of one pupil at one school.
pub(super) struct Browser {
    host: Box<str>,
    tag: u32,
    source: Ipv4Addr,
    connections: Connections,
    patience: Duration,
    jar: Jar,
    connection: Option<Connection>,
}

/// An open connection, and where it leads.
pub(super) type Connection = (SocketAddr, SendRequest<Full<Bytes>>);

/// A whole answer, and when.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) body: Bytes,
    pub(super) sent: Instant,
    pub(super) received: Instant,
}

impl Browser {
    /// `patience` bounds each request; `tag` is told to the platform.
    pub(super) fn new(
        host: &str,
        tag: u32,
        source: Ipv4Addr,
        connections: Connections,
        patience: Duration,
    ) -> Self {
        Self {
            host: host.into(),
            tag,
            source,
            connections,
            patience,
            jar: Jar::default(),
            connection: None,
        }
    }

    /// Exchanges this browser's connection, if any, for another's.
    pub(super) fn swap_connection(&mut self, other: &mut Option<Connection>) {
        std::mem::swap(&mut self.connection, other);
    }

    /// Whether there is a cookie of that name.
    pub(super) fn has_cookie(&self, name: &str) -> bool {
        self.jar.has(name)
    }

    pub(super) async fn get(
        &mut self,
        target: SocketAddr,
        path: &str,
        accept: &str,
    ) -> Result<Answer, Trouble> {
        self.within(target, Method::GET, path, accept, Bytes::new())
            .await
    }

    /// Submits a form.
    pub(super) async fn post(
        &mut self,
        target: SocketAddr,
        path: &str,
        form: String,
    ) -> Result<Answer, Trouble> {
        self.within(target, Method::POST, path, HTML, Bytes::from(form))
            .await
    }

    /// Does nothing until then; the connection is closed when it has been idle long enough.
    pub(super) async fn pause(&mut self, until: Instant) {
        if let (Connections::KeepAlive(idle), Some(_)) = (self.connections, &self.connection)
            && Instant::now() + idle < until
        {
            sleep(idle).await;
            self.connection = None;
        }
        sleep_until(until).await;
    }

    async fn within(
        &mut self,
        target: SocketAddr,
        method: Method,
        path: &str,
        accept: &str,
        body: Bytes,
    ) -> Result<Answer, Trouble> {
        let patience = self.patience;
        // Boxed: most of the time most pupils wait, and a waiting pupil should not carry the room for a request.
        let exchange = Box::pin(timeout(
            patience,
            self.exchange(target, method, path, accept, body),
        ));
        exchange.await.unwrap_or(Err(Trouble::TimedOut))
    }

    async fn exchange(
        &mut self,
        target: SocketAddr,
        method: Method,
        path: &str,
        accept: &str,
        body: Bytes,
    ) -> Result<Answer, Trouble> {
        let cookies = self.jar.header(path);
        let sent = Instant::now();
        loop {
            let (mut sender, reused) = match self.connection.take() {
                Some((there, sender)) if there == target && !sender.is_closed() => (sender, true),
                _ => (self.connect(target).await?, false),
            };
            let request = self.request(&method, path, accept, cookies.as_deref(), body.clone())?;
            let response = match sender.try_send_request(request).await {
                Ok(response) => response,
                Err(mut error) => {
                    // The server closed an idle connection at the same moment. A submit that may have been sent is
                    // never sent twice.
                    let unsent = error.take_message().is_some();
                    if reused && (unsent || method == Method::GET) {
                        continue;
                    }
                    return Err(Trouble::Closed);
                }
            };
            let (head, body) = response.into_parts();
            let body = Limited::new(body, LONGEST_BODY)
                .collect()
                .await
                .map_err(|_| Trouble::Closed)?
                .to_bytes();
            for field in head.headers.get_all(SET_COOKIE) {
                self.jar.set(field.to_str().unwrap_or_default(), path);
            }
            if self.connections != Connections::PerRequest {
                self.connection = Some((target, sender));
            }
            let location = head
                .headers
                .get(LOCATION)
                .and_then(|location| location.to_str().ok())
                .map(str::to_owned);
            return Ok(Answer {
                status: head.status.as_u16(),
                location,
                body,
                sent,
                received: Instant::now(),
            });
        }
    }

    async fn connect(&self, target: SocketAddr) -> Result<SendRequest<Full<Bytes>>, Trouble> {
        let stream = socket::connect(self.source, target).await?;
        let handshake = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = handshake.map_err(|_| Trouble::Closed)?;
        tokio::spawn(async move {
            // Whoever waits for the answer is told.
            let _ = connection.await;
        });
        Ok(sender)
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        accept: &str,
        cookies: Option<&str>,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Trouble> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &*self.host)
            .header(USER_AGENT, "Mozilla/5.0 (rush)")
            .header(ACCEPT, accept)
            .header(TAG_HEADER, self.tag);
        if let Some(cookies) = cookies {
            request = request.header(COOKIE, cookies);
        }
        if method == Method::POST {
            request = request
                .header(ORIGIN, format!("http://{}", self.host))
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(CONTENT_LENGTH, body.len());
        }
        // Only a redirect or a cookie that is no valid header value can make this fail.
        request.body(Full::new(body)).map_err(|_| Trouble::LostWay)
    }
}
