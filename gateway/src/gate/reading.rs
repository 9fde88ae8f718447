//! The login in a request: its body, its address, and the headers the backend will see.

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST};
use http::{HeaderMap, HeaderValue};
use pingora_core::Result;
use pingora_proxy::Session;

use super::TICKET_FIELD;
use crate::cookies;
use crate::forwarding::of_one_hop;
use crate::proxy::Request;

/// The whole body, or `None` if it is longer than `limit`.
pub(super) async fn read_body(session: &mut Session, limit: usize) -> Result<Option<Bytes>> {
    let announced = session.req_header().headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Ok(None);
    }
    if session.req_header().headers.contains_key(EXPECT) {
        session.write_continue_response().await?;
    }
    let mut body = BytesMut::new();
    while let Some(part) = session.read_request_body().await? {
        if body.len() + part.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&part);
    }
    Ok(Some(body.freeze()))
}

/// Path and query as they came, but for what stands before the path. A browser is sent there again,
/// and would take a second slash, or a backslash, for the beginning of another host.
pub(super) fn target(session: &Session) -> String {
    let header = session.req_header();
    let raw = String::from_utf8_lossy(header.raw_path());
    let path = if raw.starts_with('/') {
        raw.as_ref()
    } else {
        // The absolute form names the host once more.
        let path = header.uri.path_and_query();
        path.map_or("/", http::uri::PathAndQuery::as_str)
    };
    format!("/{}", path.trim_start_matches(['/', '\\']))
}

/// The headers of a login as the backend will see them.
pub(super) fn login_headers(session: &Session, request: &Request) -> Result<HeaderMap> {
    let mut header = session.req_header().clone();
    for name in of_one_hop(&header.headers) {
        header.remove_header(&name);
    }
    header.remove_header(&CONTENT_LENGTH);
    prepare(&mut header, request)?;
    Ok(header.headers.clone())
}

/// What every backend request needs: our cookies out, the others in one field, the host in, and
/// the truth about the client.
pub(crate) fn prepare(header: &mut pingora_http::RequestHeader, request: &Request) -> Result<()> {
    match cookies::foreign(&header.headers) {
        Some(joined) => {
            let value = HeaderValue::from_bytes(&joined);
            header.remove_header(&http::header::COOKIE);
            if let Ok(value) = value {
                header.insert_header(http::header::COOKIE, value)?;
            }
        }
        None => {
            header.remove_header(&http::header::COOKIE);
        }
    }
    header.remove_header(&TICKET_FIELD);
    // Whoever names two hosts, in `:authority` and here, is at the one the school was found by.
    header.insert_header(HOST, request.host.as_str())?;
    request.origin.apply(header, &request.host)
}

/// An app asks for JSON and not for a page.
pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).map(HeaderValue::as_bytes);
    let accept = accept.map(String::from_utf8_lossy).unwrap_or_default();
    let json_body = headers
        .get(CONTENT_TYPE)
        .is_some_and(|t| t.as_bytes().starts_with(b"application/json"));
    let asks = accept.contains("application/json") || (json_body && !accept.contains("html"));
    asks && !accept.contains("text/html")
}
