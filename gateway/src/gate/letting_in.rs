//! Who is let in: the login is performed in its slot, and its answer passed on.

use std::sync::Arc;
use std::time::Duration;

use pingora_core::Result;
use pingora_proxy::Session;

use crate::backends::Stay;
use crate::cookies::{self, Jar};
use crate::flights::{Flight, Landed};
use crate::login::{self, Answer, Failure, Login};
use crate::overflow::seal_away;
use crate::pages::Message;
use crate::proxy::{Gateway, Request};
use crate::respond::relay;
use crate::room::{self, Slot};
use crate::site::Pool;
use crate::verdict::Class;

/// How long a browser keeps the cookie that leads to another region's backends.
const AWAY_LIFETIME: Duration = Duration::from_hours(24);

/// How long a browser waits for a login at a pool that gives no sign of life, at least.
const SILENT: Duration = Duration::from_secs(5);

impl Gateway {
    /// Performs the login in its slot and passes on the answer, also to those who fly along.
    pub(super) async fn let_in(
        &self,
        session: &mut Session,
        request: &Request,
        jar: &Jar,
        slot: Slot,
        flight: Option<Flight>,
        login: Login,
    ) -> Result<bool> {
        let away = slot.away().cloned();
        let pool = away.as_ref().unwrap_or(&request.seat.pool);
        let stay = Stay::of(&self.keys, pool, request, &session.req_header().headers);
        let retry = login.clone();
        let (answer, class) = self.perform(pool, slot, login, stay).await;
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

    /// Performs the login, and says what the backend made of it; `None` if none was reached.
    async fn perform(
        &self,
        pool: &Arc<Pool>,
        slot: Slot,
        login: Login,
        stay: Stay,
    ) -> (std::result::Result<Answer, Failure>, Option<Class>) {
        let method = login.method.clone();
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
                &method,
                &answer.header,
            )),
            Err(Failure::Lost(_)) => Some(Class::Lost),
            Err(Failure::Unreachable) => None,
        };
        if let Some(class) = class {
            self.metrics.login_class(&pool.name, class);
        }
        (answer, class)
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
}

/// Whoever has been let in gives up the place.
fn leave_place(request: &Request, jar: &Jar) -> Vec<String> {
    let had_place = jar.find(cookies::TICKET).is_some();
    let gone = had_place.then(|| request.baker().delete_place(jar));
    gone.unwrap_or_default()
}

/// Tells how a login ended.
pub(super) async fn along(
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
