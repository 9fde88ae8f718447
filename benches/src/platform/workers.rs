//! The capacity of a region: a bounded number of threads that hash, and one queue in front of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::hashing::Entry;
use super::record::Login;

/// One password to verify. Once queued it is worked on even if the browser has gone, as on a real platform.
pub(super) struct Job {
    pub(super) password: String,
    pub(super) login: Login,
    pub(super) reply: oneshot::Sender<bool>,
    /// The application server's worker that this request occupies.
    pub(super) place: Option<Arc<OwnedSemaphorePermit>>,
}

/// First in, first out, over `wanted` operating-system threads.
pub(super) struct Workers(Arc<Shared>);

struct Shared {
    entry: Entry,
    /// At least so long a worker is busy with a login, on average.
    least: Duration,
    /// By which part of that one differs from another, at most.
    spread: f64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    wanted: usize,
    running: usize,
}

impl Workers {
    pub(super) fn new(entry: Entry, wanted: usize, least: Duration, spread: f64) -> Self {
        let shared = Arc::new(Shared {
            entry,
            least,
            spread: spread.clamp(0.0, 1.0),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let workers = Self(shared);
        workers.resize(wanted);
        workers
    }

    /// Changes the number of threads; those too many end after the hash they are computing.
    pub(super) fn resize(&self, wanted: usize) {
        let mut state = self.0.state.lock();
        state.wanted = wanted;
        while state.running < wanted {
            state.running += 1;
            let shared = Arc::clone(&self.0);
            thread::spawn(move || shared.work());
        }
        drop(state);
        self.0.changed.notify_all();
    }

    pub(super) fn wanted(&self) -> usize {
        self.0.state.lock().wanted
    }

    /// Takes the job, or gives it back when `limit` jobs already stand in the queue.
    pub(super) fn submit(&self, job: Job, limit: usize) -> Result<(), Box<Job>> {
        let mut state = self.0.state.lock();
        if state.queue.len() >= limit {
            return Err(Box::new(job));
        }
        state.queue.push_back(job);
        drop(state);
        self.0.changed.notify_one();
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.0.state.lock().queue.clear();
        self.resize(0);
    }
}

impl Shared {
    fn work(&self) {
        while let Some(mut job) = self.next() {
            job.login.began();
            let begun = Instant::now();
            let right = self.entry.verify(&job.password);
            let least = self
                .least
                .mul_f64(1.0 + self.spread * (2.0 * fastrand::f64() - 1.0));
            let rest = least.saturating_sub(begun.elapsed());
            if !rest.is_zero() {
                thread::sleep(rest);
            }
            // Recorded before the answer leaves, so that in flight is never counted longer than the gateway sees it.
            job.login.ended(right, job.reply.is_closed());
            drop(job.login);
            drop(job.place);
            let _ = job.reply.send(right);
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.running > state.wanted {
                state.running -= 1;
                return None;
            }
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            self.changed.wait(&mut state);
        }
    }
}
