//! Who waits for an answer in vain: pages of a backend that was found to answer nothing.
//!
//! A page that changes nothing may be given up: whoever asked is told that the server does not answer, and
//! may ask again. A login is not, nor is anything else that may have changed something.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::member::Id;
use super::sockets::Socket;

/// All requests of a pool that wait for the head of an answer and may be given up.
#[derive(Default)]
pub(super) struct Awaited {
    waits: Mutex<HashMap<u64, Arc<Wait>>>,
    next: AtomicU64,
}

/// One of them, on a connection that no other request is on.
struct Wait {
    backend: Id,
    since: Duration,
    socket: Arc<Socket>,
    given_up: AtomicBool,
}

/// It waits until this is dropped.
pub(super) struct Waiting {
    all: Arc<Awaited>,
    number: u64,
    wait: Arc<Wait>,
}

impl Awaited {
    pub(super) fn begin(
        self: &Arc<Self>,
        now: Duration,
        backend: Id,
        socket: Arc<Socket>,
    ) -> Waiting {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let wait = Arc::new(Wait {
            backend,
            since: now,
            socket,
            given_up: AtomicBool::new(false),
        });
        self.waits.lock().insert(number, Arc::clone(&wait));
        Waiting {
            all: Arc::clone(self),
            number,
            wait,
        }
    }

    /// Gives up those who have waited at one of these backends for as long as one waits there. How many.
    pub(super) fn give_up(&self, now: Duration, mute: &[(Id, Duration)]) -> usize {
        let waits = self.waits.lock();
        let in_vain = waits.values().filter(|wait| {
            let at = mute.iter().find(|(backend, _)| *backend == wait.backend);
            at.is_some_and(|(_, patience)| now.saturating_sub(wait.since) >= *patience)
        });
        let fresh = in_vain.filter(|wait| !wait.given_up.swap(true, Ordering::Relaxed));
        fresh.inspect(|wait| wait.socket.shut_down()).count()
    }
}

// === impl Waiting ===

impl Waiting {
    /// It was ended here, and not by the backend.
    pub(super) fn is_given_up(&self) -> bool {
        self.wait.given_up.load(Ordering::Relaxed)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.all.waits.lock().remove(&self.number);
    }
}
