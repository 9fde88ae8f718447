//! A request at a backend, and what becomes of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::member::Id;
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
        }
    }

    pub(crate) fn connected(&mut self) {
        self.since = self.shared.clock.now();
        self.shared.lock().connected(self.since, self.id);
        self.shared.tell();
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
    /// that refuses a login before it hashed says nothing about how quick the backend is.
    pub(crate) fn answered(&self, status: StatusCode) {
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
        let latency = means.then_some((self.kind, took));
        self.shared.lock().good(now, self.id, latency);
        self.shared.tell();
    }

    /// No answer came, or it broke off.
    pub(crate) fn failed(&self) {
        let now = self.shared.clock.now();
        self.shared.lock().failed(now, self.id);
        self.shared.tell();
    }

    /// The backend owes nothing any more: what is still to come is on its way.
    pub(crate) fn free(&mut self) {
        if !std::mem::replace(&mut self.free, true) {
            let now = self.shared.clock.now();
            self.shared.lock().free(now, self.id);
            self.shared.freed.notify_one();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.free();
        self.shared.lock().over(self.id);
    }
}
