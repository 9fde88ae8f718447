//! Second phase: which school, and is it one of our own pages, the gate, or the backend's?

use einlass_admission::Called;
use einlass_config::Gate;
use http::Method;
use http::header::HOST;
use pingora_core::Result;
use pingora_proxy::Session;

use super::{Context, Gateway, Request};
use crate::clock::wall;
use crate::cookies::{CALLED, Jar};
use crate::forwarding::Origin;
use crate::gate;
use crate::overflow;
use crate::pages::{Language, Message, WaitPage};
use crate::respond::Reply;
use crate::standing::TurnBody;

const RESERVED: &str = "/_einlass/";

/// `Ok(true)`: answered here. `Ok(false)`: it goes on to the pool.
pub(super) async fn answer(
    gateway: &Gateway,
    session: &mut Session,
    context: &mut Context,
) -> Result<bool> {
    let header = session.req_header();
    let language = Language::of(&header.headers);
    let host = header
        .uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| header.headers.get(HOST).and_then(|h| h.to_str().ok()))
        .unwrap_or_default()
        .to_owned();
    let Some(seat) = gateway.site.hosts.find(&host).cloned() else {
        gateway.metrics.unknown_host();
        return Message::UnknownHost
            .reply(language, None)
            .send(session)
            .await;
    };
    let outlets = &gateway.site.outlets;
    let away = if outlets.is_empty() {
        None
    } else {
        let jar = Jar::of(&session.req_header().headers);
        overflow::away(outlets, &gateway.keys, &seat.pool, &jar)
    };
    let request = &*context.request.insert(Request {
        seat,
        away,
        host,
        origin: Origin::of(session, &gateway.trusted_proxies),
        language,
    });
    let header = session.req_header();
    let path = header.uri.path();
    if let Some(own) = path.strip_prefix(RESERVED) {
        let own = own.to_owned();
        return reserved(gateway, session, request, &own).await;
    }
    if needs_admission(&request.seat.pool.gate, &header.method, path) {
        return gateway.gate(session, request).await;
    }
    Ok(false)
}

/// Whether a request is the gate. Many backends take `/Login/` for `/login`, so where something is
/// changed neither the case nor a slash at the end is a way around it; in doubt a request waits.
fn needs_admission(gate: &Gate, method: &Method, path: &str) -> bool {
    let is_gate = |path: &str| {
        let mut rules = gate.submit.iter().chain(&gate.page);
        rules.any(|rule| rule.matches(method.as_str(), path))
    };
    is_gate(path)
        || !method.is_safe() && {
            let bare = path.trim_end_matches('/');
            let lower = bare.to_ascii_lowercase();
            is_gate(bare) || is_gate(&lower) || is_gate(&format!("{lower}/"))
        }
}

async fn reserved(
    gateway: &Gateway,
    session: &mut Session,
    request: &Request,
    own: &str,
) -> Result<bool> {
    request.seat.pool.room.informed().await;
    let method = session.req_header().method.clone();
    let read = method == Method::GET || method == Method::HEAD;
    match own {
        "turn" if read => {
            gateway.metrics.poll(&request.seat.pool.name);
            let turn = turn(gateway, session, request);
            Reply::json(http::StatusCode::OK, &turn)
                .cookies(called(gateway, request))
                .send(session)
                .await
        }
        "wait" if read => {
            let turn = turn(gateway, session, request);
            let login = request.login_page();
            WaitPage::reply(&turn, request.language, &login)
                .cookies(called(gateway, request))
                .send(session)
                .await
        }
        "staff" if read => gateway.staff_link(session, request).await,
        "enter" if method == Method::POST => gate::enter(gateway, session, request).await,
        "enter" if read => Reply::see_other("/_einlass/wait").send(session).await,
        _ => {
            Message::NotFound
                .reply(request.language, None)
                .send(session)
                .await
        }
    }
}

fn turn(gateway: &Gateway, session: &Session, request: &Request) -> TurnBody {
    let jar = Jar::of(&session.req_header().headers);
    hear(gateway, request, &jar);
    match gateway.held(session, request, &jar) {
        Some(held) => TurnBody::of(&request.seat, &held.ticket, request.language),
        None => TurnBody::none(request.language),
    }
}

/// How far the room has been called, for the next gateway this browser asks.
fn called(gateway: &Gateway, request: &Request) -> Option<String> {
    let room = &request.seat.pool.room;
    room.in_fleet().then(|| {
        let called = Called {
            room: room.key,
            serving: room.serving(),
            at: wall(),
        };
        let text = called.encode(&gateway.keys);
        request.baker().called(&text, Called::LIFETIME)
    })
}

/// Takes over what another gateway has told this browser.
pub(crate) fn hear(gateway: &Gateway, request: &Request, jar: &Jar) {
    let room = &request.seat.pool.room;
    if let Some(text) = jar.find(CALLED)
        && room.in_fleet()
        && let Some(serving) = Called::decode(&gateway.keys, text, room.key, wall())
    {
        room.hear(serving);
    }
}
