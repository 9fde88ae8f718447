//! Pupils who only wait: each takes a place and asks when it is told to, all of them over a few connections.
//!
//! What a waiting pupil costs a gateway beyond an open connection shows only if connections are few.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::browser::{Answer, Browser, Connection, JSON};
use super::form::LoginForm;
use super::plan::{Connections, RushError};
use super::schools::School;
use super::trouble::Trouble;
use super::turn::{State, Turn};
use crate::platform::PASSWORD;

/// Longest time for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// A crowd that waits until it is dropped.
pub struct Waiters {
    wanted: watch::Sender<usize>,
    tally: Arc<Tally>,
    _lines: JoinSet<()>,
}

#[derive(Default)]
struct Tally {
    waiting: AtomicU64,
    polls: AtomicU64,
    /// The latest poll so far, in milliseconds after it was due.
    latest: AtomicU64,
    failures: AtomicU64,
    failure: Mutex<Option<Trouble>>,
}

impl Waiters {
    /// Nobody yet, on `connections` connections to `target`, which must be of this machine.
    pub fn new(
        target: SocketAddr,
        schools: &[School],
        connections: usize,
    ) -> Result<Self, RushError> {
        if !target.ip().is_loopback() {
            return Err(RushError::NotLoopback(target));
        }
        if schools.is_empty() {
            return Err(RushError::NoSchool);
        }
        let (wanted, watched) = watch::channel(0);
        let tally = Arc::new(Tally::default());
        let mut lines = JoinSet::new();
        for number in 0..connections {
            let line = Line {
                number,
                of: connections,
                target,
                schools: schools.to_vec(),
                tally: Arc::clone(&tally),
                connection: None,
                browsers: Vec::new(),
                due: BinaryHeap::new(),
            };
            lines.spawn(line.serve(watched.clone()));
        }
        Ok(Self {
            wanted,
            tally,
            _lines: lines,
        })
    }

    /// Lets more come until `pupils` wait; returns when the last has a place. A failure ends it early.
    pub async fn grow_to(&self, pupils: usize) {
        self.wanted.send_replace(pupils);
        while self.waiting() < pupils as u64 && self.failures() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Pupils who have a place.
    pub fn waiting(&self) -> u64 {
        self.tally.waiting.load(Relaxed)
    }

    /// Polls answered.
    pub fn polls(&self) -> u64 {
        self.tally.polls.load(Relaxed)
    }

    /// How long after it was due the latest poll was sent.
    pub fn latest_poll(&self) -> Duration {
        Duration::from_millis(self.tally.latest.load(Relaxed))
    }

    /// Requests that did not go as they should. A connection on which one fails is not used any more.
    pub fn failures(&self) -> u64 {
        self.tally.failures.load(Relaxed)
    }

    /// The last of those, by the name it has in reports.
    pub fn failure(&self) -> Option<String> {
        self.tally.failure.lock().map(|trouble| trouble.to_string())
    }
}

/// One connection, and the pupils who take turns on it.
struct Line {
    number: usize,
    of: usize,
    target: SocketAddr,
    schools: Vec<School>,
    tally: Arc<Tally>,
    connection: Option<Connection>,
    browsers: Vec<Browser>,
    /// When which of them asks next.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
}

impl Line {
    async fn serve(mut self, mut wanted: watch::Receiver<usize>) {
        loop {
            let share = self.share(*wanted.borrow_and_update());
            let next = self.due.peek().map(|Reverse((at, _))| *at);
            let done = if next.is_some_and(|at| at <= Instant::now()) {
                self.poll().await
            } else if self.browsers.len() < share {
                self.join().await
            } else {
                let due = async {
                    match next {
                        Some(at) => sleep_until(at).await,
                        None => pending().await,
                    }
                };
                tokio::select! {
                    () = due => Ok(()),
                    changed = wanted.changed() => match changed {
                        Ok(()) => Ok(()),
                        // The crowd is dropped.
                        Err(_) => return,
                    },
                }
            };
            if let Err(trouble) = done {
                self.tally.failures.fetch_add(1, Relaxed);
                *self.tally.failure.lock() = Some(trouble);
                return;
            }
        }
    }

    /// How many of `all` come to this line.
    fn share(&self, all: usize) -> usize {
        all / self.of + usize::from(self.number < all % self.of)
    }

    async fn join(&mut self) -> Result<(), Trouble> {
        let number = self.browsers.len() * self.of + self.number;
        let school = &self.schools[number % self.schools.len()];
        let tag = u32::try_from(number).unwrap_or(u32::MAX);
        // Closed by nobody on this side: the connection is lent from one to the next.
        let connections = Connections::KeepAlive(Duration::MAX);
        let source = Ipv4Addr::LOCALHOST;
        let browser = Browser::new(&school.host, tag, source, connections, REQUEST_TIMEOUT);
        self.browsers.push(browser);
        let pupil = self.browsers.len() - 1;
        let body = LoginForm::default().body(&format!("pupil{number:05}"), PASSWORD);
        let answer = self.send(pupil, "/login", Some(body)).await?;
        let waits = answer.location.as_deref() == Some("/_einlass/wait");
        if !waits {
            return Err(Trouble::Status(answer.status));
        }
        self.tally.waiting.fetch_add(1, Relaxed);
        // The page begins to ask at once; what it is told spreads the rest.
        self.due.push(Reverse((Instant::now(), pupil)));
        Ok(())
    }

    async fn poll(&mut self) -> Result<(), Trouble> {
        let Some(Reverse((due, pupil))) = self.due.pop() else {
            return Ok(());
        };
        let late = u64::try_from(due.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.tally.latest.fetch_max(late, Relaxed);
        let answer = self.send(pupil, "/_einlass/turn", None).await?;
        let turn: Turn = serde_json::from_slice(&answer.body).map_err(|_| Trouble::NotJson)?;
        // Who only waits does not go in when called.
        if turn.state == State::None {
            return Err(Trouble::LostWay);
        }
        self.tally.polls.fetch_add(1, Relaxed);
        let next = Instant::now() + turn.poll_after();
        self.due.push(Reverse((next, pupil)));
        Ok(())
    }

    /// A request of one pupil over the connection of all.
    async fn send(
        &mut self,
        pupil: usize,
        path: &str,
        form: Option<String>,
    ) -> Result<Answer, Trouble> {
        let browser = &mut self.browsers[pupil];
        browser.swap_connection(&mut self.connection);
        let answer = match form {
            Some(form) => browser.post(self.target, path, form).await,
            None => browser.get(self.target, path, JSON).await,
        };
        browser.swap_connection(&mut self.connection);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_crowds_stay_on_this_machine() {
        let foreign = SocketAddr::from(([192, 0, 2, 1], 80));
        let refused = Waiters::new(foreign, &[School::new("gym.example", 900)], 4);
        assert!(
            matches!(refused.err(), Some(RushError::NotLoopback(address)) if address == foreign)
        );
    }
}
