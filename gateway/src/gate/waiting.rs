//! Who cannot go in yet: a turn, a moment's patience, and then the waiting page with the login sealed.

use einlass_admission::Ticket;
use http::StatusCode;
use http::header::RETRY_AFTER;
use pingora_core::Result;
use pingora_proxy::Session;

use super::reading::wants_json;
use super::{Held, TICKET_FIELD};
use crate::backends::Rank;
use crate::clock::wall;
use crate::cookies::Jar;
use crate::login::Login;
use crate::metrics::Outcome;
use crate::pages::Message;
use crate::proxy::{Gateway, Request};
use crate::respond::Reply;
use crate::sealed;
use crate::standing::TurnBody;

impl Gateway {
    /// Takes a turn; holds the request if the turn comes soon, else seals the login.
    pub(super) async fn queue(
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
    pub(super) async fn keep_place(
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
    pub(super) async fn send_to_wait(
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
}
