//! Who comes back from the waiting page: the sealed login is opened and performed, or typed again.

use einlass_admission::Refusal;
use http::HeaderMap;
use pingora_core::Result;
use pingora_proxy::Session;

use super::letting_in::along;
use super::{Going, Held};
use crate::clock::wall;
use crate::cookies::Jar;
use crate::login::Login;
use crate::metrics::Staff;
use crate::proxy::{Gateway, Request, hear};
use crate::respond::Reply;
use crate::sealed;
use crate::standing::{State, TurnBody};

impl Gateway {
    /// Goes in with a ticket whose turn has come and the login sealed for it.
    pub(super) async fn enter_sealed(
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
        let Some(login) = self.unseal(request, jar, &held, around) else {
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
    async fn type_again(
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

    /// The login that the browser carries sealed, with the headers `around` it; `None` if there is none,
    /// if it is not this ticket's, or too old.
    fn unseal(
        &self,
        request: &Request,
        jar: &Jar,
        held: &Held,
        around: HeaderMap,
    ) -> Option<Login> {
        let lifetime = request.seat.pool.limits.seal_lifetime.as_secs();
        let sealed = jar.seal()?;
        sealed::open(&self.keys, &held.text, &sealed, wall(), lifetime, around)
    }
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
    match gateway.unseal(request, &jar, &held, HeaderMap::new()) {
        // A gated page is fetched again, a form is posted again.
        Some(login) if login.method.is_safe() => {
            Reply::see_other(&login.target).send(session).await
        }
        Some(login) => Reply::again_at(&login.target).send(session).await,
        None => gateway.type_again(session, request, &jar, &held).await,
    }
}
