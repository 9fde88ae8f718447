//! Third phase: the backend, and another one if the first cannot be reached.

use std::os::fd::RawFd;

use http::StatusCode;
use http::header::UPGRADE;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::{Context, Gateway};
use crate::backends::{Busy, Kind, Stay, Unplaced};
use crate::open_files::is_our_want;

/// A backend for the request, of those not tried yet.
pub(super) async fn peer(
    gateway: &Gateway,
    session: &Session,
    context: &mut Context,
) -> Result<Box<HttpPeer>> {
    let Some(request) = &context.request else {
        return Error::e_explain(ErrorType::InternalError, "a request without a school");
    };
    let pool = request.session_pool();
    let backends = &pool.backends;
    // A second try that follows a connection closed in idleness gives its place back first.
    context.busy = None;
    let kind = if session.req_header().method.is_safe() {
        Kind::Read
    } else {
        Kind::Write
    };
    let headers = &session.req_header().headers;
    let stay = context
        .stay
        .get_or_insert_with(|| Stay::of(&gateway.keys, pool, request, headers));
    let rank = || gateway.rank(session, request);
    let placed = backends.place(kind, rank, stay.home, &context.tried).await;
    match placed {
        Ok(busy) => {
            let upgrades = headers.contains_key(UPGRADE);
            let peer = backends.peer(&busy, upgrades);
            context.busy = Some(busy);
            Ok(Box::new(peer))
        }
        Err(Unplaced::Nobody) => {
            Error::e_explain(ErrorType::ConnectError, "no backend is left to try")
        }
        Err(Unplaced::Shed(rank)) => {
            gateway.metrics.shed(&pool.name, rank);
            context.shed = Some(rank);
            Error::e_explain(ErrorType::ConnectError, "others go first")
        }
    }
}

pub(super) fn connected(context: &mut Context, socket: RawFd) {
    if let (Some(request), Some(busy)) = (&context.request, &mut context.busy) {
        request.session_pool().backends.connected(busy, socket);
    }
}

/// The head of the answer is there. However long its body takes, a stream or a download, the
/// backend has done its work.
pub(super) fn answered(context: &mut Context, header: &mut ResponseHeader) {
    let status = header.status;
    if let Some(busy) = &mut context.busy
        && (!status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS)
    {
        busy.answered(status);
        busy.free();
        if let Some(stay) = &context.stay {
            stay.mark(header, busy.address);
        }
    }
}

/// Nothing was sent, so the next backend may try, as long as the budget lasts.
pub(super) fn connect_failed(context: &mut Context, error: &mut Error) {
    if let (Some(request), Some(busy)) = (&context.request, context.busy.take()) {
        let backends = &request.session_pool().backends;
        context.tried.push(busy.address);
        // Where it is being restarted, the next try waits for it.
        let another = busy.drains() || context.tried.len() < backends.len();
        if !is_our_want(error) {
            busy.not_connected();
        }
        error.set_retry(another && backends.may_retry());
    }
}

/// The whole answer has come, and gone out.
pub(super) fn whole(context: &mut Context) {
    if let Some(busy) = &mut context.busy {
        busy.whole();
    }
}

/// Only a request that changes nothing is sent again, and only when nothing of an answer has come: on
/// an idle connection that turned out to be closed, or at a backend that the operator has emptied and
/// now restarts.
pub(super) fn broke_off(session: &Session, context: &mut Context, error: &mut Error, reused: bool) {
    let safe = session.req_header().method.is_safe();
    let drains = context.busy.as_ref().is_some_and(Busy::drains);
    let answered = context.busy.as_ref().is_some_and(Busy::has_answered);
    // Closed by us, because nothing came: asked again it would wait as long.
    let given_up = context.busy.as_ref().is_some_and(Busy::is_given_up);
    let idle = reused && !answered && !given_up && closed_in_idleness(error);
    let expected = !given_up && (idle || drains);
    if safe && !answered && !session.as_ref().retry_buffer_truncated() {
        error.retry.decide_reuse(expected);
    } else {
        error.set_retry(false);
    }
    let (Some(request), Some(busy)) = (&context.request, &mut context.busy) else {
        return;
    };
    if error.retry() {
        error.set_retry(request.session_pool().backends.may_retry());
    }
    // What is expected is nobody's fault, nor is a browser that goes away.
    if !expected && *error.esource() == ErrorSource::Upstream {
        busy.failed();
    }
}

/// Whether a connection was closed, and not a byte of an answer had come. A backend that closes what lies
/// idle does so; one that says nothing until the time is up, half a head or something that is not HTTP
/// does not.
fn closed_in_idleness(error: &Error) -> bool {
    let closed = matches!(
        error.etype(),
        ErrorType::ConnectionClosed
            | ErrorType::ReadError
            | ErrorType::WriteError
            | ErrorType::H2Error
    );
    // All that pingora says of it is in its text.
    let partial = error.context.as_ref().is_some_and(|context| {
        let read = context.as_str().rsplit_once("bytes already read: ");
        read.is_some_and(|(_, count)| count != "0")
    });
    closed && !partial
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_close_before_the_first_byte_is_expected_of_an_idle_connection() {
        for (kind, text, expected) in [
            (ErrorType::ConnectionClosed, "bytes already read: 0", true),
            (ErrorType::ReadError, "bytes already read: 0", true),
            (ErrorType::WriteError, "", true),
            (ErrorType::ConnectionClosed, "bytes already read: 7", false),
            (ErrorType::ReadTimedout, "", false),
            (ErrorType::InvalidHTTPHeader, "", false),
        ] {
            let error = Error::explain(kind, text.to_owned());
            assert_eq!(closed_in_idleness(&error), expected, "{error}");
        }
    }
}
