//! The gate: a login meets its room. Straight through, held, or sealed and sent to wait.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use einlass_admission::{Pass, Refusal, Ticket};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pingora_core::{Error, Result};
use pingora_proxy::Session;

use crate::backends::{Rank, Stay};
use crate::clock::wall;
use crate::cookies::{self, Jar};
use crate::flights::{Board, Flight, Landed};
use crate::forwarding::of_one_hop;
use crate::login::{self, Answer, Failure, Login};
use crate::metrics::{Outcome, Staff};
use crate::overflow::seal_away;
use crate::pages::Message;
use crate::proxy::{Gateway, Request, hear};
use crate::respond::{Reply, relay};
use crate::room::{self, Slot};
use crate::site::{Pool, Seat};
use crate::standing::{State, TurnBody};
use crate::verdict::Class;
use crate::{random, sealed};

/// Where a ticket may be sent besides the cookie.
pub(crate) const TICKET_FIELD: HeaderName = HeaderName::from_static("einlass-ticket");
/// The body of the form that goes in with a sealed login.
pub(crate) const ENTER: &[u8] = b"einlass=enter";

/// How long a browser keeps the cookie that leads to another region's backends.
const AWAY_LIFETIME: Duration = Duration::from_hours(24);

/// How long a browser may take to send a login, however slowly.
const LONGEST_SUBMIT: Duration = Duration::from_secs(30);

/// How long a browser waits for a login at a pool that gives no sign of life, at least.
const SILENT: Duration = Duration::from_secs(5);

/// A ticket and the text it came in: seals are bound to the text.
pub(crate) struct Held {
    pub(crate) ticket: Ticket,
    pub(crate) text: String,
}

impl Gateway {
    /// Answers a request that needs admission.
    pub(crate) async fn gate(&self, session: &mut Session, request: &Request) -> Result<bool> {
        let reading = read_body(session, request.seat.pool.limits.max_body);
        let Ok(body) = tokio::time::timeout(LONGEST_SUBMIT, reading).await else {
            return Message::BadRequest
                .reply(request.language, None)
                .send(session)
                .await;
        };
        let Some(body) = body.map_err(Error::into_down)? else {
            return Message::TooLarge
                .reply(request.language, None)
                .send(session)
                .await;
        };
        let jar = Jar::of(&session.req_header().headers);
        hear(self, request, &jar);
        let held = self.held(session, request, &jar);
        let headers = login_headers(session, request)?;
        let sealed = body.is_empty() && held.is_some() && jar.seal().is_some();
        if body.as_ref() == ENTER || sealed {
            return self
                .enter_sealed(session, request, &jar, held, headers)
                .await;
        }
        let login = Login {
            method: session.req_header().method.clone(),
            target: target(session),
            headers,
            body,
        };
        if let Some(pass) = self.pass(request, &jar)
            && let Ok(slot) = request.seat.pool.room.enter_again(&pass).await
        {
            return self.let_in(session, request, &jar, slot, None, login).await;
        }
        if let Some(held) = held {
            match self.go(request, &held.ticket, &login).await {
                Going::In(flight, slot) => {
                    return self
                        .let_in(session, request, &jar, slot, Some(flight), login)
                        .await;
                }
                Going::Along(landed) => return along(session, request, &jar, landed).await,
                Going::Refused(Refusal::Used) => {}
                // Waiting among the pupils, and now with a staff pass: a place that comes sooner.
                Going::Refused(Refusal::TooEarly)
                    if self.comes_sooner(request, &jar, &held.ticket) => {}
                Going::Refused(Refusal::TooEarly | Refusal::Full | Refusal::Shut) => {
                    return self
                        .send_to_wait(session, request, &jar, &held, &login)
                        .await;
                }
            }
        }
        if let Some(slot) = request.seat.pool.room.straight() {
            return self.let_in(session, request, &jar, slot, None, login).await;
        }
        self.queue(session, request, &jar, login).await
    }

    /// Goes in with a ticket, once, however often the browser asks.
    async fn go(&self, request: &Request, ticket: &Ticket, login: &Login) -> Going {
        let seat = &request.seat;
        let (line, _) = seat.line(ticket);
        match seat.pool.flights.board(line, ticket, login) {
            Board::First(flight) => match self.take_slot(seat, ticket).await {
                Ok(slot) => Going::In(flight, slot),
                Err(refusal) => Going::Refused(refusal),
            },
            Board::Along(companion) => match companion.landed().await {
                Some(landed) => Going::Along(landed),
                None => Going::Refused(Refusal::TooEarly),
            },
            Board::Taken => Going::Refused(Refusal::Used),
        }
    }

    /// Waits for a slot with a turn that has come.
    async fn take_slot(&self, seat: &Seat, ticket: &Ticket) -> std::result::Result<Slot, Refusal> {
        let room = &seat.pool.room;
        let slot = room.enter(seat.line(ticket).0, ticket).await?;
        if ticket.staff {
            self.metrics.staff(&seat.pool.name, Staff::Admitted);
        }
        Ok(slot)
    }

    /// Takes a turn; holds the request if the turn comes soon, else seals the login.
    async fn queue(
        &self,
        session: &mut Session,
        request: &Request,
        jar: &Jar,
        login: Login,
    ) -> Result<bool> {
        let seat = &request.seat;
        let room = &seat.pool.room;
        let Some(held) = self.join(request, jar).await else {
            return Message::UnknownHost
                .reply(request.language, None)
                .send(session)
                .await;
        };
        let patience = seat.pool.limits.hold;
        // No turn comes soon where no backend answers: the page at once, and not after the hold.
        let soon = !room.is_down() && room.soon(held.ticket.turn, patience);
        if soon
            && room.hold(held.ticket.turn, patience).await
            && let Ok(slot) = self.take_slot(seat, &held.ticket).await
        {
            self.metrics.admitted(&seat.pool.name, Outcome::Held);
            return self.let_in(session, request, jar, slot, None, login).await;
        }
        self.metrics.admitted(&seat.pool.name, Outcome::Queued);
        self.send_to_wait(session, request, jar, &held, &login)
            .await
    }

    /// No backend was reached: a place for whoever has none, and the waiting page.
    async fn keep_place(
        &self,
        session: &mut Session,
        request: &Request,
        jar: &Jar,
        login: &Login,
    ) -> Result<bool> {
        match self.join(request, jar).await {
            Some(held) => self.send_to_wait(session, request, jar, &held, login).await,
            None => {
                Message::UnknownHost
                    .reply(request.language, None)
                    .send(session)
                    .await
            }
        }
    }

    /// Takes the next turn of the request's school, or for its staff a sooner one of theirs;
    /// `None` only if the room does not know the school.
    async fn join(&self, request: &Request, jar: &Jar) -> Option<Held> {
        let seat = &request.seat;
        let line = self.line(request, jar);
        if seat.pool.backends.sheds(Rank::Login) {
            self.metrics.shed(&seat.pool.name, Rank::Login);
        }
        let (turn, epoch) = seat.pool.room.join(line).await?;
        let ticket = Ticket {
            room: seat.pool.room.key,
            school: seat.key,
            turn,
            issued: wall(),
            epoch,
            staff: line != seat.school,
        };
        Some(Held {
            text: ticket.encode(&self.keys),
            ticket,
        })
    }

    /// Seals the login into the browser and sends it to the waiting page; an app gets JSON.
    async fn send_to_wait(
        &self,
        session: &mut Session,
        request: &Request,
        jar: &Jar,
        held: &Held,
        login: &Login,
    ) -> Result<bool> {
        let limits = &request.seat.pool.limits;
        let baker = request.baker();
        let ticket = baker.ticket(&held.text, limits.ticket_lifetime);
        if wants_json(&session.req_header().headers) {
            let turn = TurnBody::of(&request.seat, &held.ticket, request.language);
            return Reply::json(StatusCode::TOO_MANY_REQUESTS, &turn)
                .with(RETRY_AFTER, turn.whole_seconds().to_string())
                .with(TICKET_FIELD, held.text.clone())
                .cookies([ticket])
                .send(session)
                .await;
        }
        // A login too large for cookies keeps its place and is typed again when the turn has come.
        let sealed = sealed::seal(&self.keys, &held.text, wall(), login)
            .and_then(|sealed| baker.seal(jar, &sealed, limits.seal_lifetime))
            .unwrap_or_default();
        Reply::see_other("/_einlass/wait")
            .cookies(std::iter::once(ticket).chain(sealed))
            .send(session)
            .await
    }

    /// Goes in with a ticket whose turn has come and the login sealed for it.
    async fn enter_sealed(
        &self,
        session: &mut Session,
        request: &Request,
        jar: &Jar,
        held: Option<Held>,
        around: HeaderMap,
    ) -> Result<bool> {
        let wait = || Reply::see_other("/_einlass/wait");
        let Some(held) = held else {
            return wait().send(session).await;
        };
        let lifetime = request.seat.pool.limits.seal_lifetime.as_secs();
        let login = jar.seal().and_then(|sealed| {
            sealed::open(&self.keys, &held.text, &sealed, wall(), lifetime, around)
        });
        let Some(login) = login else {
            return self.type_again(session, request, jar, &held).await;
        };
        match self.go(request, &held.ticket, &login).await {
            Going::In(flight, slot) => {
                self.let_in(session, request, jar, slot, Some(flight), login)
                    .await
            }
            Going::Along(landed) => along(session, request, jar, landed).await,
            Going::Refused(Refusal::Used) => {
                // Reloading the answer of a login posts the form again: show the login page.
                Reply::see_other(&login.target)
                    .cookies(request.baker().delete_place(jar))
                    .send(session)
                    .await
            }
            Going::Refused(_) => wait().send(session).await,
        }
    }

    /// The turn has come but the login cannot be opened: a pass, and the login page.
    pub(crate) async fn type_again(
        &self,
        session: &mut Session,
        request: &Request,
        jar: &Jar,
        held: &Held,
    ) -> Result<bool> {
        let room = &request.seat.pool.room;
        if room.is_down() {
            // A pass would be worth nothing by the time somebody answers; the place stays.
            return Reply::see_other(&request.login_page()).send(session).await;
        }
        let (line, _) = request.seat.line(&held.ticket);
        if room.redeem(line, &held.ticket).is_err() {
            return Reply::see_other("/_einlass/wait").send(session).await;
        }
        if held.ticket.staff {
            self.metrics.staff(&request.seat.pool.name, Staff::Admitted);
        }
        let baker = request.baker();
        let cookies = std::iter::once(self.fresh_pass(request)).chain(baker.delete_place(jar));
        Reply::see_other(&request.login_page())
            .cookies(cookies)
            .send(session)
            .await
    }

    /// Performs the login in its slot and passes on the answer, also to those who fly along.
    async fn let_in(
        &self,
        session: &mut Session,
        request: &Request,
        jar: &Jar,
        slot: Slot,
        flight: Option<Flight>,
        login: Login,
    ) -> Result<bool> {
        let own = &request.seat.pool;
        let away = slot.away().cloned();
        let pool = away.as_ref().unwrap_or(own);
        let retry = login.clone();
        let stay = Stay::of(&self.keys, pool, request, &session.req_header().headers);
        let usual = slot.overdue_after().unwrap_or_default();
        let answer = login::perform(&self.logins, pool, slot, login, stay);
        let answer = tokio::select! {
            biased;
            // The sender is dropped without a word only if the task panicked.
            answer = answer => answer.unwrap_or(Err(Failure::Lost(login::Lost::Broken))),
            // The login goes on, and keeps its slot.
            () = pool.room.silent(usual.max(SILENT)) => Err(Failure::Lost(login::Lost::Timeout)),
        };
        self.metrics.login(&pool.name, &answer);
        let class = match &answer {
            Ok(answer) => Some(Class::of(
                pool.platform,
                &pool.gate,
                &retry.method,
                &answer.header,
            )),
            Err(Failure::Lost(_)) => Some(Class::Lost),
            Err(Failure::Unreachable) => None,
        };
        if let Some(class) = class {
            self.metrics.login_class(&pool.name, class);
        }
        let pass = self.fresh_pass(request);
        match answer {
            Ok(answer) => {
                let mut cookies = vec![pass];
                cookies.extend(self.lead(request, jar, away.as_ref()));
                if class == Some(Class::Worked) {
                    cookies.extend(self.mark(request, pool));
                }
                if let (Some(flight), None) = (flight, &answer.rest) {
                    flight.land(Landed::Answered {
                        header: Box::new(answer.header.clone()),
                        body: answer.body.clone(),
                        cookies: cookies.clone(),
                    });
                }
                cookies.extend(leave_place(request, jar));
                relay(session, answer, cookies).await
            }
            Err(Failure::Unreachable) => {
                drop(flight);
                // Nothing was sent: whoever had a place keeps it, whoever had none gets one.
                room::pause().await;
                match self.held(session, request, jar) {
                    Some(held) => {
                        self.send_to_wait(session, request, jar, &held, &retry)
                            .await
                    }
                    None => self.keep_place(session, request, jar, &retry).await,
                }
            }
            Err(Failure::Lost(_)) => {
                if let Some(flight) = flight {
                    flight.land(Landed::Lost { pass: pass.clone() });
                }
                along(session, request, jar, Landed::Lost { pass }).await
            }
        }
    }

    /// The cookie that leads the requests of a session to where the login was answered, or takes
    /// back one that leads elsewhere.
    fn lead(&self, request: &Request, jar: &Jar, away: Option<&Arc<Pool>>) -> Option<String> {
        if let Some(to) = away {
            let value = seal_away(&self.keys, &request.seat.pool, to)?;
            return Some(request.baker().away(&value, AWAY_LIFETIME));
        }
        let leads = jar.find(cookies::AWAY).is_some();
        leads.then(|| request.baker().away("", Duration::ZERO))
    }

    /// The ticket of a request: the first that is good here, from the header field, which somebody
    /// wrote on purpose, or from the cookies.
    pub(crate) fn held(&self, session: &Session, request: &Request, jar: &Jar) -> Option<Held> {
        let fields = session.req_header().headers.get_all(TICKET_FIELD);
        let fields = fields.into_iter().filter_map(|value| value.to_str().ok());
        let mut texts = fields.chain(jar.all(cookies::TICKET)).peekable();
        texts.peek()?;
        let Seat {
            pool, key, staff, ..
        } = &request.seat;
        let lifetime = pool.limits.ticket_lifetime;
        let decode = |text| Ticket::decode(&self.keys, text, pool.room.key, *key, wall(), lifetime);
        let held = texts.find_map(|text| {
            // Where staff have no line any more nobody knows where such a turn stands.
            let ticket = decode(text).filter(|t| !t.staff || staff.is_some())?;
            let text = text.to_owned();
            Some(Held { ticket, text })
        });
        if held.is_none() {
            self.metrics.bad_ticket(&pool.name);
        }
        held
    }

    /// The pass of a request, if it is good here.
    pub(crate) fn pass(&self, request: &Request, jar: &Jar) -> Option<Pass> {
        let text = jar.find(cookies::PASS)?;
        let seat = &request.seat;
        Pass::decode(&self.keys, text, seat.pool.room.key, seat.key, wall())
    }

    fn fresh_pass(&self, request: &Request) -> String {
        let seat = &request.seat;
        let lifetime = seat.pool.limits.pass_lifetime;
        let mut expires = wall();
        expires.0 += lifetime.as_secs();
        let pass = Pass {
            room: seat.pool.room.key,
            school: seat.key,
            expires,
            id: u64::from_be_bytes(random::bytes()),
        };
        request.baker().pass(&pass.encode(&self.keys), lifetime)
    }
}

/// What comes of an attempt to go in with a ticket.
enum Going {
    /// The slot is taken.
    In(Flight, Slot),
    /// The same login was under way, and has ended.
    Along(Landed),
    /// Not now, or not with this ticket.
    Refused(Refusal),
}

/// Whoever has been let in gives up the place.
fn leave_place(request: &Request, jar: &Jar) -> Vec<String> {
    let had_place = jar.find(cookies::TICKET).is_some();
    let gone = had_place.then(|| request.baker().delete_place(jar));
    gone.unwrap_or_default()
}

/// Tells how a login ended.
async fn along(
    session: &mut Session,
    request: &Request,
    jar: &Jar,
    landed: Landed,
) -> Result<bool> {
    match landed {
        Landed::Answered {
            header,
            body,
            mut cookies,
        } => {
            let answer = Answer {
                header: *header,
                body,
                rest: None,
            };
            cookies.extend(leave_place(request, jar));
            relay(session, answer, cookies).await
        }
        // The place is kept, without the login: nobody can say whether it took place, and it is not
        // for us to send it twice.
        Landed::Lost { pass } => {
            let page = request.login_page();
            Message::Lost
                .reply(request.language, Some(&page))
                .cookies(std::iter::once(pass).chain(request.baker().delete_seals(jar)))
                .send(session)
                .await
        }
    }
}

/// The headers of a login as the backend will see them.
fn login_headers(session: &Session, request: &Request) -> Result<HeaderMap> {
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

/// The turn is ready: the form is posted again where the login was, so that the answer appears
/// under the address it belongs to.
pub(crate) async fn enter(
    gateway: &Gateway,
    session: &mut Session,
    request: &Request,
) -> Result<bool> {
    let jar = Jar::of(&session.req_header().headers);
    hear(gateway, request, &jar);
    let wait = Reply::see_other("/_einlass/wait");
    let Some(held) = gateway.held(session, request, &jar) else {
        return wait.send(session).await;
    };
    let come = request.seat.pool.room.come(held.ticket.turn).await;
    let turn = TurnBody::of(&request.seat, &held.ticket, request.language);
    if !come || turn.state != State::Ready {
        return wait.send(session).await;
    }
    let lifetime = request.seat.pool.limits.seal_lifetime.as_secs();
    let login = jar.seal().and_then(|sealed| {
        sealed::open(
            &gateway.keys,
            &held.text,
            &sealed,
            wall(),
            lifetime,
            HeaderMap::new(),
        )
    });
    match login {
        // A gated page is fetched again, a form is posted again.
        Some(login) if login.method.is_safe() => {
            Reply::see_other(&login.target).send(session).await
        }
        Some(login) => Reply::again_at(&login.target).send(session).await,
        None => gateway.type_again(session, request, &jar, &held).await,
    }
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

/// Path and query as they came, but for what stands before the path. A browser is sent there again,
/// and would take a second slash, or a backslash, for the beginning of another host.
fn target(session: &Session) -> String {
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

/// The whole body, or `None` if it is longer than `limit`.
async fn read_body(session: &mut Session, limit: usize) -> Result<Option<Bytes>> {
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
