//! What a browser is told when its backend failed.

use pingora_core::ErrorSource;
use pingora_core::{Error, ErrorType};
use pingora_proxy::{FailToProxy, Session};

use super::Context;
use crate::pages::{BusyPage, Language, Message};

pub(super) async fn answer(session: &mut Session, error: &Error, context: &Context) -> FailToProxy {
    let gone = FailToProxy {
        error_code: 0,
        can_reuse_downstream: false,
    };
    if session.response_written().is_some() {
        return gone;
    }
    let from_browser = *error.esource() == ErrorSource::Downstream;
    let closed = matches!(
        error.etype(),
        ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed
    );
    if from_browser && closed {
        return gone;
    }
    if let (Some(rank), Some(request)) = (context.shed, &context.request) {
        let safe = session.req_header().method.is_safe();
        let login = request.login_page();
        let page = BusyPage::reply(rank, request.language, safe, &login);
        let sent = page.send(session).await;
        return FailToProxy {
            error_code: if sent.is_ok() { 503 } else { 0 },
            can_reuse_downstream: sent.is_ok(),
        };
    }
    let language = context
        .request
        .as_ref()
        .map_or_else(Language::default, |request| request.language);
    let (message, code) = if from_browser {
        (Message::BadRequest, 400)
    } else {
        (Message::Unreachable, 503)
    };
    // Writing fails only if the browser has gone, which is no news here.
    let sent = message.reply(language, None).send(session).await;
    FailToProxy {
        error_code: if sent.is_ok() { code } else { 0 },
        can_reuse_downstream: sent.is_ok() && !from_browser,
    }
}
