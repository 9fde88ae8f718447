//! Who was released and has not come yet.
//!
//! A released pupil counts as taken until the browser had time to come: otherwise the doors would
//! open again for the same place. No pupil is remembered: a release is remembered as the stretch
//! of the number line it covered, and an arrival is credited to the stretch its turn lies in.

use std::collections::VecDeque;
use std::time::Duration;

use crate::turn::{Serving, Turn};

/// How long a released pupil is expected to need: two of the shortest poll intervals with their
/// jitter, and a slow network. Who comes later is honoured and counted all the same; but as long
/// as nobody knows that a pupil will not come, nobody else is released instead.
pub(crate) const COMING: Duration = Duration::from_secs(3);
/// How long releases are remembered, for the show rate.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Whoever comes at all has mostly come by then: one of the shortest poll intervals with its jitter, and
/// an exchange between gateways. What has come of a release until then says early how many will.
const PROMPT: Duration = Duration::from_millis(1_750);
/// To say early how many come, so many of the latest will do.
const ENOUGH: u64 = 100;
/// If fewer than this part of those who come do so promptly, what comes promptly says too little.
const LEAST_PROMPT: f64 = 0.5;
/// Releases closer together than this are remembered as one.
const MERGE: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug)]
struct Stretch {
    at: Duration,
    upto: u64,
    released: u64,
    arrived: u64,
    /// Those who came promptly.
    promptly: u64,
}

/// The recent releases and what has become of them. Bounded: at most 160 stretches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals {
    stretches: VecDeque<Stretch>,
}

impl Arrivals {
    pub(crate) fn released(&mut self, now: Duration, upto: Serving, pupils: u64) {
        while let Some(first) = self.stretches.front()
            && now.saturating_sub(first.at) > REMEMBERED
        {
            self.stretches.pop_front();
        }
        match self.stretches.back_mut() {
            Some(last) if now.saturating_sub(last.at) < MERGE => {
                last.upto = upto.0;
                last.released += pupils;
            }
            _ => self.stretches.push_back(Stretch {
                at: now,
                upto: upto.0,
                released: pupils,
                arrived: 0,
                promptly: 0,
            }),
        }
    }

    pub(crate) fn arrived(&mut self, now: Duration, turn: Turn) {
        let at = self.stretches.partition_point(|s| s.upto < turn.0);
        if let Some(stretch) = self.stretches.get_mut(at)
            && stretch.arrived < stretch.released
        {
            stretch.arrived += 1;
            let prompt = now.saturating_sub(stretch.at) <= PROMPT;
            stretch.promptly += u64::from(prompt);
        }
    }

    /// Released lately and still on the way.
    pub(crate) fn coming(&self, now: Duration) -> u64 {
        self.stretches
            .iter()
            .rev()
            .take_while(|s| now.saturating_sub(s.at) <= COMING)
            .map(|s| s.released - s.arrived)
            .sum()
    }

    /// The share of released pupils who came, of those who had the time to; `None` below 20.
    pub(crate) fn show_rate(&self, now: Duration) -> Option<f64> {
        let (released, arrived) = self
            .stretches
            .iter()
            .filter(|s| now.saturating_sub(s.at) > COMING)
            .fold((0, 0), |(r, a), s| (r + s.released, a + s.arrived));
        (released >= 20).then(|| arrived as f64 / released as f64)
    }

    /// The same, as early as it can be said: by the latest who had the time to come promptly, and by what
    /// part of those who came at all did so.
    pub(crate) fn show_rate_lately(&self, now: Duration) -> Option<f64> {
        let usual = self.show_rate(now)?;
        let older = |s: &&Stretch, age: Duration| now.saturating_sub(s.at) > age;
        let late = self.stretches.iter().filter(|s| older(s, COMING));
        let (came, promptly) = late.fold((0, 0), |(c, p), s| (c + s.arrived, p + s.promptly));
        let prompt = promptly as f64 / (came as f64).max(1.0);
        if prompt < LEAST_PROMPT {
            return Some(usual);
        }
        let (mut released, mut promptly) = (0, 0);
        let latest = self.stretches.iter().rev().filter(|s| older(s, PROMPT));
        for stretch in latest {
            released += stretch.released;
            promptly += stretch.promptly;
            if released >= ENOUGH {
                return Some((promptly as f64 / prompt / released as f64).min(1.0));
            }
        }
        Some(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Forty a second are called; who comes does so after half a second: all of them, and half from ten
    /// seconds on.
    #[test]
    fn how_many_come_is_said_by_the_latest_who_had_the_time_to() {
        let mut arrivals = Arrivals::default();
        let at = |step: u64| Duration::from_millis(250 * step);
        for step in 0..=55 {
            if step >= 2 {
                let came = step - 2;
                let pupils = if came < 40 { 10 } else { 5 };
                for _ in 0..pupils {
                    arrivals.arrived(at(step), Turn(10 * came + 1));
                }
            }
            arrivals.released(at(step), Serving(10 * step + 10), 10);
        }
        let (usual, lately) = (
            arrivals.show_rate(at(55)),
            arrivals.show_rate_lately(at(55)),
        );
        assert!(usual.is_some_and(|rate| rate > 0.9), "{usual:?}");
        assert!(
            lately.is_some_and(|rate| (rate - 0.6).abs() < 0.11),
            "{lately:?}"
        );
    }
}
