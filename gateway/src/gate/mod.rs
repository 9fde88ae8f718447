//! The gate: a login meets its room. Straight through, held, or sealed and sent to wait.

mod letting_in;
mod proofs;
mod reading;
mod returning;
mod waiting;

use std::time::Duration;

use einlass_admission::{Refusal, Ticket};
use pingora_core::{Error, Result};
use pingora_proxy::Session;

use crate::cookies::Jar;
use crate::flights::{Board, Flight, Landed};
use crate::login::Login;
use crate::metrics::Staff;
use crate::pages::Message;
use crate::proxy::{Gateway, Request, hear};
use crate::room::Slot;
use crate::site::Seat;

use letting_in::along;
use proofs::{Held, TICKET_FIELD};
use reading::{login_headers, read_body, target};

pub(crate) use reading::prepare;
pub(crate) use returning::enter;

/// The body of the form that goes in with a sealed login.
const ENTER: &[u8] = b"einlass=enter";

/// How long a browser may take to send a login, however slowly.
const LONGEST_SUBMIT: Duration = Duration::from_secs(30);

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
        self.admit(session, request, &jar, held, login).await
    }

    /// Lets a login in by a pass, by a ticket, or because nobody waits; else it takes a turn.
    async fn admit(
        &self,
        session: &mut Session,
        request: &Request,
        jar: &Jar,
        held: Option<Held>,
        login: Login,
    ) -> Result<bool> {
        if let Some(pass) = self.pass(request, jar)
            && let Ok(slot) = request.seat.pool.room.enter_again(&pass).await
        {
            return self.let_in(session, request, jar, slot, None, login).await;
        }
        if let Some(held) = held {
            match self.go(request, &held.ticket, &login).await {
                Going::In(flight, slot) => {
                    return self
                        .let_in(session, request, jar, slot, Some(flight), login)
                        .await;
                }
                Going::Along(landed) => return along(session, request, jar, landed).await,
                Going::Refused(Refusal::Used) => {}
                // Waiting among the pupils, and now with a staff pass: a place that comes sooner.
                Going::Refused(Refusal::TooEarly)
                    if self.comes_sooner(request, jar, &held.ticket) => {}
                Going::Refused(Refusal::TooEarly | Refusal::Full | Refusal::Shut) => {
                    return self
                        .send_to_wait(session, request, jar, &held, &login)
                        .await;
                }
            }
        }
        if let Some(slot) = request.seat.pool.room.straight() {
            return self.let_in(session, request, jar, slot, None, login).await;
        }
        self.queue(session, request, jar, login).await
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
