//! What came of a morning.

use serde::Serialize;

/// What came of a morning.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: String,
    /// Pool by pool, in the scenario's order.
    pub pools: Vec<PoolOutcome>,
}

/// What came of it at one pool.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PoolOutcome {
    /// Its name.
    pub pool: String,
    /// The region it belongs to.
    pub region: String,
    /// Pupils who came.
    pub came: u64,
    /// Who got in.
    pub admitted: u64,
    /// Who closed the tab, or gave up.
    pub gave_up: u64,
    /// Logins that ended in an error: turned away, or not answered in time.
    pub errors: u64,
    /// When the last one who got in was in, in seconds.
    pub ended: f64,
    /// Part of the true capacity that was used while somebody waited. Without its `settling` part
    /// the same from 10 s after the first arrival and after each change of the capacity; where the page is gated, from
    /// 10 s after those who were let in first have typed.
    pub used: f64,
    /// See `used`.
    pub used_settled: f64,
    /// The least part used in any 10 s while somebody waited, once settled. `None`: there were none.
    pub used_least: Option<f64>,
    /// How long after each change of capacity the use is above 90 % and the in-flight number below
    /// twice the cores for three seconds in a row, in seconds.
    pub settled_after: Vec<f64>,
    /// Latency of logins at the backend, over what they would have taken alone: median and 99 %.
    pub slowdown: Quantiles,
    /// Seconds from arrival to being in, of those who got in.
    pub wait: Quantiles,
    /// Seconds in the buffer in front of the slots.
    pub buffered: Quantiles,
    /// Most logins in flight at once.
    pub most_in_flight: u32,
    /// Jain's index of logins over weight, while all schools waited.
    pub jain: Option<f64>,
    /// Promises of a time that were checked: all, or in a large morning every n-th of all polls,
    /// against when the login really began. The part of them that came true within the interval.
    pub promises: u64,
    /// See `promises`.
    pub covered: f64,
    /// The part in which it came sooner than the interval said.
    pub sooner: f64,
    /// And later.
    pub later: f64,
    /// Width of the interval over the likely wait, median.
    pub eta_width: f64,
    /// Real remaining wait over the likely one, median.
    pub eta_ratio: f64,
    /// Polls answered with a wait, and those of them that named a later time than before.
    pub polls: u64,
    /// See `polls`. Later by more than 5 s, and by more than a tenth of what was left.
    pub revised_up: u64,
    /// Those of them that did not say why.
    pub revised_unexplained: u64,
    /// School by school.
    pub schools: Vec<SchoolOutcome>,
    /// Second by second.
    pub series: Vec<Second>,
}

/// Quantiles of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half lie below.
    pub p50: f64,
    /// 90 % do.
    pub p90: f64,
    /// 99 % do.
    pub p99: f64,
    /// All do.
    pub max: f64,
}

impl Quantiles {
    /// Of these values, which are put in order; all 0 if there are none. Nearest rank.
    pub fn of(values: &mut [f64]) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            p50: quantile(values, 0.5),
            p90: quantile(values, 0.9),
            p99: quantile(values, 0.99),
            max: values.last().copied().unwrap_or(0.0),
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a length"
)]
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    let at = sorted.get(rank.saturating_sub(1));
    at.copied().unwrap_or(0.0)
}

/// What came of it at one school.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SchoolOutcome {
    /// Its name.
    pub school: String,
    /// Enrolled pupils.
    pub pupils: u32,
    /// Pupils who came.
    pub came: u64,
    /// Who got in.
    pub admitted: u64,
    /// Who got in while pupils of every school waited.
    pub backlogged: u64,
    /// Seconds from arrival to being in.
    pub wait: Quantiles,
}

/// One second of a morning.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Second {
    /// Pupils who came.
    pub came: u32,
    /// Logins completed.
    pub logins: u32,
    /// Who waits: in the room, in the buffer, or trying again; at the end of the second.
    pub waiting: u32,
    /// Logins in flight, mean.
    pub in_flight: f32,
    /// Logins that may be in flight, at the end of the second; 0 if there is no such number.
    pub cap: u32,
    /// Cores there really are, mean.
    pub cores: f32,
    /// Cores in use, mean.
    pub busy: f32,
    /// The wait promised to somebody who came in this second, in seconds: the likely one.
    pub promised: Option<f32>,
    /// The wait that it was, mean of those who came in this second and got in.
    pub waited: Option<f32>,
}
