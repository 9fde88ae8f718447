//! Own answers: always with a length, always leaving the connection open.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, LOCATION, SET_COOKIE, TRANSFER_ENCODING,
};
use http::{HeaderName, StatusCode, Version};
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tokio::time::timeout;

use crate::forwarding::of_one_hop;
use crate::login::Answer;

/// The most that is read of a request body nobody wants, to keep the connection.
const DRAIN: usize = 64 << 10;
/// How long an answer waits for it.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// An answer of our own.
pub(crate) struct Reply {
    status: StatusCode,
    content_type: &'static str,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
}

impl Reply {
    pub(crate) fn new(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub(crate) fn html(status: StatusCode, body: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", body)
    }

    pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Self {
        // Our JSON types have string keys and finite numbers, which always serialize.
        let body = serde_json::to_vec(value).unwrap_or_default();
        Self::new(status, "application/json", body)
    }

    pub(crate) fn see_other(location: &str) -> Self {
        Self::new(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "")
            .with(LOCATION, location.to_owned())
    }

    /// Repeats the request, method and body included, at another path.
    pub(crate) fn again_at(location: &str) -> Self {
        Self::new(
            StatusCode::TEMPORARY_REDIRECT,
            "text/plain; charset=utf-8",
            "",
        )
        .with(LOCATION, location.to_owned())
    }

    pub(crate) fn with(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn cookies(mut self, cookies: impl IntoIterator<Item = String>) -> Self {
        let fields = cookies.into_iter().map(|value| (SET_COOKIE, value));
        self.headers.extend(fields);
        self
    }

    /// Sends it. `Ok(true)` is what a request filter returns: the request has been answered.
    pub(crate) async fn send(self, session: &mut Session) -> Result<bool> {
        drain(session).await;
        let mut header = ResponseHeader::build(self.status, Some(4 + self.headers.len()))?;
        header.insert_header(CONTENT_TYPE, self.content_type)?;
        header.insert_header(CONTENT_LENGTH, self.body.len())?;
        header.insert_header(CACHE_CONTROL, "no-store")?;
        for (name, value) in self.headers {
            header.append_header(name, value)?;
        }
        let head_only = session.req_header().method == http::Method::HEAD || self.body.is_empty();
        session
            .write_response_header(Box::new(header), head_only)
            .await?;
        if !head_only {
            session.write_response_body(Some(self.body), true).await?;
        }
        Ok(true)
    }
}

/// Reads what is left of a small body that comes at once. With anything unread the connection
/// ends after the answer.
async fn drain(session: &mut Session) {
    // Who waits for leave to send the body sends none.
    let expects = session.req_header().headers.contains_key(EXPECT);
    let withheld = expects && session.body_bytes_read() == 0;
    let reading = async {
        let mut seen = 0;
        while seen < DRAIN {
            match session.read_request_body().await {
                Ok(Some(part)) => seen += part.len(),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    };
    let patience = if withheld { Duration::ZERO } else { DRAIN_TIME };
    if !timeout(patience, reading).await.unwrap_or(false) {
        session.set_keepalive(None);
    }
}

/// Passes on a backend's answer to a login, with our cookies.
pub(crate) async fn relay(
    session: &mut Session,
    answer: Answer,
    cookies: Vec<String>,
) -> Result<bool> {
    let mut header = answer.header;
    // A backend that speaks HTTP/2 is no reason to speak it to a browser that does not.
    header.set_version(Version::HTTP_11);
    for name in of_one_hop(&header.headers) {
        header.remove_header(&name);
    }
    let bodiless = header.status == StatusCode::NO_CONTENT
        || header.status == StatusCode::NOT_MODIFIED
        || session.req_header().method == http::Method::HEAD;
    match &answer.rest {
        None if !bodiless => header.insert_header(CONTENT_LENGTH, answer.body.len())?,
        Some(_) if header.headers.contains_key(CONTENT_LENGTH) => {}
        // A client that does not know chunks reads until the end of the connection.
        Some(_) if session.req_header().version != Version::HTTP_11 => {}
        Some(_) => header.insert_header(TRANSFER_ENCODING, "chunked")?,
        None => {}
    }
    for cookie in cookies {
        header.append_header(SET_COOKIE, cookie)?;
    }
    let empty = bodiless || (answer.rest.is_none() && answer.body.is_empty());
    session
        .write_response_header(Box::new(header), empty)
        .await?;
    if empty {
        return Ok(true);
    }
    let Some(mut rest) = answer.rest else {
        session.write_response_body(Some(answer.body), true).await?;
        return Ok(true);
    };
    session
        .write_response_body(Some(answer.body), false)
        .await?;
    while let Some(part) = rest.recv().await {
        let Ok(part) = part else {
            return Error::e_explain(ErrorType::ReadError, "the backend broke off its answer");
        };
        session.write_response_body(Some(part), false).await?;
    }
    session.write_response_body(None, true).await?;
    Ok(true)
}
