//! Staff passes at the edge: the link that brings one, and what a login with one may have.

use std::time::Duration;

use einlass_admission::{BadPass, SchoolIndex, StaffPass, Ticket};
use http::header::REFERRER_POLICY;
use pingora_core::Result;
use pingora_proxy::Session;

use crate::clock::wall;
use crate::cookies::{self, Jar};
use crate::metrics::Staff;
use crate::pages::Message;
use crate::proxy::{Gateway, Request};
use crate::respond::Reply;
use crate::site::Seat;

/// Where a pass is taken into the browser, with the pass as `pass` in the query.
pub(crate) const PATH: &str = "/_einlass/staff";

impl Gateway {
    /// Takes the pass of a link into a cookie and goes to the school's start page, or says what is
    /// wrong with it.
    pub(crate) async fn staff_link(
        &self,
        session: &mut Session,
        request: &Request,
    ) -> Result<bool> {
        let query = session.req_header().uri.query().unwrap_or_default();
        let pass = query.split('&').find_map(|pair| pair.strip_prefix("pass="));
        let pass = pass.unwrap_or_default().to_owned();
        let now = wall();
        match StaffPass::decode(&self.keys, &pass, request.seat.key, now) {
            Ok(good) => {
                let left = Duration::from_secs(good.expires.0.saturating_sub(now.0));
                Reply::see_other("/")
                    .cookies([request.baker().staff(&pass, left)])
                    // The address holds the pass.
                    .with(REFERRER_POLICY, "no-referrer".to_owned())
                    .send(session)
                    .await
            }
            Err(bad) => {
                self.metrics.staff(&request.seat.pool.name, Staff::Refused);
                let message = match bad {
                    BadPass::Unknown => Message::StaffUnknown,
                    BadPass::Foreign => Message::StaffForeign,
                    BadPass::Expired => Message::StaffExpired,
                };
                message
                    .reply(request.language, Some(&request.login_page()))
                    .with(REFERRER_POLICY, "no-referrer".to_owned())
                    .send(session)
                    .await
            }
        }
    }

    /// Whether a request comes with a good staff pass of its school, whose staff have a line.
    pub(crate) fn is_staff(&self, request: &Request, jar: &Jar) -> bool {
        if request.seat.staff.is_none() {
            return false;
        }
        let now = wall();
        let good = |text| StaffPass::decode(&self.keys, text, request.seat.key, now).is_ok();
        let mut passes = jar.all(cookies::STAFF).peekable();
        if passes.peek().is_none() {
            return false;
        }
        let is_staff = passes.any(good);
        if !is_staff {
            self.metrics.staff(&request.seat.pool.name, Staff::Refused);
        }
        is_staff
    }

    /// Whether somebody who waits among the pupils would now have a place before this one.
    pub(crate) fn comes_sooner(&self, request: &Request, jar: &Jar, ticket: &Ticket) -> bool {
        let Seat { pool, school, .. } = &request.seat;
        let better = || pool.room.staff_before(*school, ticket.turn);
        !ticket.staff && self.is_staff(request, jar) && better()
    }

    /// The line a login joins: the pupils' of its school, or with a good pass the staff's.
    pub(crate) fn line(&self, request: &Request, jar: &Jar) -> SchoolIndex {
        let seat = &request.seat;
        if !self.is_staff(request, jar) {
            return seat.school;
        }
        let line = seat.pool.room.soonest(seat.school);
        let event = if line == seat.school {
            Staff::Ordinary
        } else {
            Staff::Placed
        };
        self.metrics.staff(&seat.pool.name, event);
        line
    }
}
