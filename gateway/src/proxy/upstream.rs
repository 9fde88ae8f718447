//! Third phase: the backend, and another one if the first cannot be reached.

use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_proxy::Session;

use super::Context;

/// The backend with the fewest requests in flight, of those not tried yet.
pub(super) fn peer(_: &Session, context: &mut Context) -> Result<Box<HttpPeer>> {
    let Some(request) = &context.request else {
        return Error::e_explain(ErrorType::InternalError, "a request without a school");
    };
    let backends = &request.seat.pool.backends;
    let Some(busy) = backends.pick(&context.tried) else {
        return Error::e_explain(ErrorType::ConnectError, "no backend is left to try");
    };
    let peer = backends.peer(&busy);
    context.busy = Some(busy);
    Ok(Box::new(peer))
}

pub(super) fn connected(context: &Context) {
    if let Some(busy) = &context.busy {
        busy.connected();
    }
}

/// Nothing was sent, so the next backend may try.
pub(super) fn connect_failed(context: &mut Context, error: &mut Error) {
    if let (Some(request), Some(busy)) = (&context.request, context.busy.take()) {
        let backends = &request.seat.pool.backends;
        backends.connect_failed(&busy);
        context.tried.push(busy.address);
        error.set_retry(context.tried.len() < backends.len());
    }
}

/// Only a request that changes nothing is sent again, and only when an idle connection turned out
/// to be closed.
pub(super) fn broke_off(session: &Session, error: &mut Error, reused: bool) {
    let safe = session.req_header().method.is_safe();
    if safe && !session.as_ref().retry_buffer_truncated() {
        error.retry.decide_reuse(reused);
    } else {
        error.set_retry(false);
    }
}
