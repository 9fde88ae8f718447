//! What became of a morning.

use std::fmt;
use std::time::Duration;

use super::World;

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Share of the slots in use while somebody waited.
    pub(crate) used: f64,
    /// The same without the first four seconds.
    pub(crate) used_later: f64,
    /// Seconds in the buffer.
    pub buffer_p50: f64,
    pub buffer_p99: f64,
    pub(crate) buffer_max: f64,
    pub(crate) deepest: usize,
    pub(crate) most_in_flight: u32,
    pub(crate) admitted: usize,
    pub(crate) came: usize,
    /// The share of the promises whose interval the wait until the login began fell into.
    pub(crate) kept: f64,
    /// Real wait over the likely one, median.
    pub(crate) bias: f64,
    /// From turn to arrival, mean, in seconds.
    pub(crate) late: f64,
    pub(crate) polls: u64,
    /// When each login left for the backend.
    pub(crate) starts: Vec<Duration>,
    pub(crate) released_while_shut: u64,
    /// Turns given once more after the gateway was killed.
    pub(crate) given_again: u64,
    /// Refusals because the buffer was full.
    pub(crate) full: u64,
    pub(crate) lasted: f64,
}

impl Report {
    /// Logins in the busiest stretch of this length.
    pub(crate) fn most_within(&self, window: Duration) -> usize {
        let mut first = 0;
        let busiest = self.starts.iter().enumerate().map(|(last, at)| {
            while *at - self.starts[first] >= window {
                first += 1;
            }
            last - first + 1
        });
        busiest.max().unwrap_or(0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "used {:5.1} % (later {:5.1} %), buffer p50 {:.2} p99 {:.2} max {:.2} s, depth {}, \
             admitted {}/{}, promises kept {:.1} %, wait/likely {:.2}, late {:.2} s, \
             polls/pupil {:.1}, full {}, {:.0} s",
            self.used * 100.0,
            self.used_later * 100.0,
            self.buffer_p50,
            self.buffer_p99,
            self.buffer_max,
            self.deepest,
            self.admitted,
            self.came,
            self.kept * 100.0,
            self.bias,
            self.late,
            self.polls as f64 / self.came.max(1) as f64,
            self.full,
            self.lasted,
        )
    }
}

impl World {
    /// Reckons up a morning that is over.
    pub(super) fn close(self) -> Report {
        let mut report = self.report;
        let cap = f64::from(self.plan.cap);
        report.used = self.busy / (self.waited * cap);
        report.used_later = self.busy_later / (self.waited_later * cap);
        let mut buffer: Vec<f64> = self
            .pupils
            .iter()
            .filter_map(|p| Some((p.started? - p.entered?).as_secs_f64()))
            .collect();
        buffer.sort_by(f64::total_cmp);
        let quantile = |q: f64| buffer[((buffer.len() - 1) as f64 * q) as usize];
        (report.buffer_p50, report.buffer_p99, report.buffer_max) =
            (quantile(0.5), quantile(0.99), quantile(1.0));
        report.admitted = self.pupils.iter().filter(|p| p.started.is_some()).count();
        report.came = self
            .pupils
            .iter()
            .filter(|p| p.shows || p.turn.is_none())
            .count();
        let (mut kept, mut all) = (0_u32, 0_u32);
        let mut bias = Vec::new();
        for p in &self.pupils {
            for (at, eta) in &p.promises {
                let wait = (p.started.unwrap() - *at).as_secs_f64();
                all += 1;
                kept += u32::from((eta.low as f64..=eta.high as f64).contains(&wait));
                bias.push(wait / eta.likely as f64);
            }
        }
        bias.sort_by(f64::total_cmp);
        report.kept = f64::from(kept) / f64::from(all.max(1));
        report.bias = bias.get(bias.len() / 2).copied().unwrap_or(0.0);
        report.late = self.delays.iter().sum::<f64>() / self.delays.len().max(1) as f64;
        report.lasted = self.now.as_secs_f64();
        report
    }
}
