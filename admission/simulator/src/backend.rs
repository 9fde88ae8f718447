//! A pool's backends as processor sharing: `n` logins on `c` cores each get `min(1, c/n)` of one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Work in nanoseconds of a core, whole so that it can be ordered.
type Work = u64;

/// Logins being worked on, and the work done.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    cores: f64,
    /// Work done on a login that has been there from the start.
    done: f64,
    at: Duration,
    running: BinaryHeap<Reverse<(Work, u32)>>,
    /// Core seconds in use since the last look.
    busy: f64,
}

impl Sharing {
    /// Logins being worked on.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    fn speed(&self) -> f64 {
        let logins = self.running.len() as f64;
        if logins > self.cores {
            self.cores / logins
        } else {
            1.0
        }
    }

    /// Works until `now` and names who is done.
    #[allow(
        clippy::cast_precision_loss,
        reason = "nanoseconds of a morning fit in 53 bits"
    )]
    pub(crate) fn work(&mut self, now: Duration, finished: &mut Vec<u32>) {
        let mut left = now.saturating_sub(self.at).as_nanos() as f64;
        self.at = now;
        while left > 0.0 {
            let Some(Reverse((work, _))) = self.running.peek() else {
                return;
            };
            let speed = self.speed();
            if speed <= 0.0 {
                return;
            }
            let needs = ((*work as f64 - self.done) / speed).max(0.0);
            let step = needs.min(left);
            self.done += step * speed;
            self.busy += step * 1e-9 * self.cores.min(self.running.len() as f64);
            left -= step;
            if needs <= step + 1e-3 {
                if let Some(Reverse((_, login))) = self.running.pop() {
                    finished.push(login);
                }
            } else {
                return;
            }
        }
    }

    /// From now on so many cores.
    pub(crate) fn set_cores(&mut self, cores: f64) {
        self.cores = cores;
    }

    /// Another login, that costs so many seconds of a core.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive and far below 2^64"
    )]
    pub(crate) fn add(&mut self, login: u32, seconds: f64) {
        let work = (self.done + seconds * 1e9) as Work;
        self.running.push(Reverse((work, login)));
    }

    /// Core seconds in use since this was last asked.
    pub(crate) fn take_busy(&mut self) -> f64 {
        std::mem::take(&mut self.busy)
    }
}
