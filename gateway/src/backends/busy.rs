//! A request at a backend, and what becomes of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::awaited::Waiting;
use super::member::Id;
use super::sockets::Socket;
use super::{Kind, Shared};

/// A request that counts as in flight at a backend until it is dropped, or freed.
pub(crate) struct Busy {
    pub(crate) address: SocketAddr,
    /// Nothing has come back from the pool for long.
    pub(super) tries: bool,
    shared: Arc<Shared>,
    id: Id,
    kind: Kind,
    /// When the connection stood; until then, when it was begun.
    since: Duration,
    free: bool,
    head: Head,
    /// It may be given up while nothing of an answer has come.
    waiting: Option<Waiting>,
}

/// What has come of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// Nothing.
    Awaited,
    /// A head that says that the backend works.
    Good,
    /// It counts as failed, or as good.
    Counted,
}

impl Busy {
    pub(super) fn new(shared: &Arc<Shared>, id: Id, address: SocketAddr, kind: Kind) -> Self {
        Self {
            address,
            tries: false,
            shared: Arc::clone(shared),
            id,
            kind,
            since: shared.clock.now(),
            free: false,
            head: Head::Awaited,
            waiting: None,
        }
    }

    pub(crate) fn connected(&mut self) {
        self.since = self.shared.clock.now();
        self.shared.lock().connected(self.since, self.id);
        self.shared.tell();
    }

    /// It waits for an answer on this socket, which is its own until the answer has come.
    pub(super) fn waits_on(&mut self, socket: Arc<Socket>) {
        if self.kind == Kind::Read {
            let waiting = self.shared.awaited.begin(self.since, self.id, socket);
            self.waiting = Some(waiting);
        }
    }

    /// It waited for long at a backend that gives no sign of life, and was ended here.
    pub(crate) fn is_given_up(&self) -> bool {
        self.waiting.as_ref().is_some_and(Waiting::is_given_up)
    }

    /// The operator has emptied the backend.
    pub(crate) fn drains(&self) -> bool {
        self.shared.lock().drains(self.id)
    }

    /// Nothing was sent.
    pub(crate) fn not_connected(self) {
        let now = self.shared.clock.now();
        self.shared.lock().not_connected(now, self.id);
        self.shared.tell();
    }

    /// The head of the answer has come. One that says that the backend cannot work is a failure; one
    /// that refuses a login before it hashed says nothing about how quick the backend is. Whether it is
    /// a good answer is known when all of it is there.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.waiting = None;
        let now = self.shared.clock.now();
        if matches!(status.as_u16(), 502..=504) {
            self.failed();
            return;
        }
        let took = now.saturating_sub(self.since);
        let means = match self.kind {
            Kind::Login => status.as_u16() < 400,
            Kind::Read => true,
            Kind::Write => false,
        };
        let latency = means.then_some(took);
        self.head = Head::Good;
        // Of a login's answer more has to come: what breaks it off would else be found out by five others.
        let decides = (self.kind != Kind::Login).then_some(self.since);
        let mut balancer = self.shared.lock();
        balancer.answered(now, self.id, self.kind, decides, latency);
        drop(balancer);
        self.shared.tell();
    }

    /// The answer to a login has come, all of it or all that is read ahead.
    pub(crate) fn proven(&mut self) {
        if self.head == Head::Good {
            let now = self.shared.clock.now();
            self.shared.lock().proven(now, self.id, self.since);
            self.shared.tell();
        }
    }

    /// Something of the answer has come.
    pub(crate) fn has_answered(&self) -> bool {
        self.head != Head::Awaited
    }

    /// The whole answer has come.
    pub(crate) fn whole(&mut self) {
        if self.head == Head::Good {
            self.head = Head::Counted;
            let now = self.shared.clock.now();
            self.shared.lock().whole(now, self.id, self.kind);
        }
    }

    /// No answer came, or it broke off. One answer fails once.
    pub(crate) fn failed(&mut self) {
        if self.head == Head::Counted {
            return;
        }
        self.head = Head::Counted;
        let now = self.shared.clock.now();
        self.shared.lock().failed(now, self.id, self.kind);
        self.shared.tell();
    }

    /// The backend owes nothing any more: what is still to come is on its way.
    pub(crate) fn free(&mut self) {
        if !std::mem::replace(&mut self.free, true) {
            let now = self.shared.clock.now();
            let mut balancer = self.shared.lock();
            balancer.free(now, self.id);
            let ahead = !balancer.ahead.is_empty();
            drop(balancer);
            self.shared.freed(ahead).notify_one();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.free();
        self.shared.lock().over(self.id);
    }
}
