//! Logins under way by a ticket, and those answered a moment ago.
//!
//! Who clicks twice, reloads, or has a second tab asks twice with one ticket, and the browser has
//! dropped the first request by then: its login uses the ticket up, and nobody hears the answer. So
//! whoever comes with the same ticket *and* the same login gets the answer of the one under way. It
//! is one login, one answer and one pass, however many ask.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use einlass_admission::{SchoolIndex, Ticket, Turn};
use parking_lot::Mutex;
use pingora_http::ResponseHeader;
use ring::digest;
use tokio::sync::watch;

use crate::login::Login;

/// How long an answer is kept for who asks again: a click and its way here.
const LINGER: Duration = Duration::from_secs(10);
/// Longer answers are not kept. A login answers with a redirect, or with its form.
const LARGEST: usize = 64 << 10;

type Key = (SchoolIndex, Turn, u32);
type Arrival = watch::Receiver<Option<Landed>>;

/// The flights of one pool. An entry lives as long as its login, and [`LINGER`] longer.
#[derive(Default)]
pub(crate) struct Flights(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    flights: HashMap<Key, (Vec<u8>, Arrival)>,
    landed: VecDeque<(Instant, Key)>,
}

/// How a login ended, with the pass or all the cookies that go with it.
#[derive(Clone)]
pub(crate) enum Landed {
    Answered {
        header: Box<ResponseHeader>,
        body: Bytes,
        /// That go with it.
        cookies: Vec<String>,
    },
    Lost {
        pass: String,
    },
}

/// What somebody with a ticket finds.
pub(crate) enum Board {
    /// Nobody is under way with this ticket.
    First(Flight),
    /// The same login is under way, or was a moment ago.
    Along(Companion),
    /// Another login is, and the ticket admits one.
    Taken,
}

/// A login under way. Dropped before it has landed, it leaves no trace.
pub(crate) struct Flight {
    table: Arc<Mutex<Table>>,
    key: Key,
    arrival: watch::Sender<Option<Landed>>,
}

/// Waits for a login that somebody else performs.
pub(crate) struct Companion(Arrival);

// === impl Flights ===

impl Flights {
    pub(crate) fn board(&self, school: SchoolIndex, ticket: &Ticket, login: &Login) -> Board {
        let key = key(school, ticket);
        let login = login_digest(login);
        match self.0.lock().flights.entry(key) {
            Entry::Occupied(there) if there.get().0 == login => {
                Board::Along(Companion(there.get().1.clone()))
            }
            // Who got no answer has typed it again.
            Entry::Occupied(mut there) if is_lost(&there.get().1) => {
                let (arrival, waiting) = watch::channel(None);
                there.insert((login, waiting));
                self.first(key, arrival)
            }
            Entry::Occupied(_) => Board::Taken,
            Entry::Vacant(free) => {
                let (arrival, waiting) = watch::channel(None);
                free.insert((login, waiting));
                self.first(key, arrival)
            }
        }
    }

    fn first(&self, key: Key, arrival: watch::Sender<Option<Landed>>) -> Board {
        Board::First(Flight {
            table: Arc::clone(&self.0),
            key,
            arrival,
        })
    }

    /// Whether a login by this ticket is under way, or was answered a moment ago.
    pub(crate) fn has(&self, school: SchoolIndex, ticket: &Ticket) -> bool {
        let flights = &self.0.lock().flights;
        let flight = flights.get(&key(school, ticket));
        flight.is_some_and(|(_, arrival)| !is_lost(arrival))
    }

    /// Forgets answers that nobody asks for any more. To be called every second.
    pub(crate) fn expire(&self) {
        let mut table = self.0.lock();
        while let Some((at, key)) = table.landed.front().copied()
            && at.elapsed() >= LINGER
        {
            table.landed.pop_front();
            // Unless somebody is under way again, because the first was lost.
            let over = |(_, arrival): &(Vec<u8>, Arrival)| arrival.borrow().is_some();
            if table.flights.get(&key).is_some_and(over) {
                table.flights.remove(&key);
            }
        }
    }
}

// === impl Flight ===

impl Flight {
    /// The login has ended: whoever asks hears how.
    pub(crate) fn land(self, how: Landed) {
        let fits = match &how {
            Landed::Answered { body, .. } => body.len() <= LARGEST,
            Landed::Lost { .. } => true,
        };
        if fits {
            self.arrival.send_replace(Some(how));
            let landed = (Instant::now(), self.key);
            self.table.lock().landed.push_back(landed);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.arrival.borrow().is_none() {
            self.table.lock().flights.remove(&self.key);
        }
    }
}

// === impl Companion ===

impl Companion {
    /// How the login ended; `None` if it did not take place, or its answer was too long to keep.
    pub(crate) async fn landed(mut self) -> Option<Landed> {
        let landed = self.0.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }
}

fn is_lost(arrival: &Arrival) -> bool {
    matches!(*arrival.borrow(), Some(Landed::Lost { .. }))
}

fn key(school: SchoolIndex, ticket: &Ticket) -> Key {
    (school, ticket.turn, ticket.epoch)
}

fn login_digest(login: &Login) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    for field in [login.method.as_str(), &login.target] {
        context.update(field.as_bytes());
        context.update(&[0]);
    }
    context.update(&login.body);
    context.finish().as_ref().to_vec()
}
