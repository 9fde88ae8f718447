//! Forecasts that are checked: for a few turns the room notes when they should be called.

use std::collections::VecDeque;
use std::time::Duration;

use super::bands::{Bands, HORIZONS, Side};
use super::{Outlook, Reason};
use crate::curve::Curve;
use crate::turn::{Serving, Turn};

/// Forecasts under way, per horizon.
const MOST: usize = 6;
/// A new one after this part of the horizon, in seconds, but not sooner than that.
const SPACING: (f64, f64) = (0.25, 0.5);
/// The room is looked at four times a second, and called in portions: so many seconds do not count.
const SLACK: f64 = 0.5;
/// A later time than told before is one from so many seconds on, or so much of the wait.
const LATER: (f64, f64) = (5.0, 0.1);

/// A pace that is lower by less than this part of it has not made the time later.
const SLOWER: f64 = 0.05;

/// How good a room's forecasts were, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// Turns called sooner than the interval said.
    pub below: u64,
    /// Turns called within it.
    pub inside: u64,
    /// Turns called later, or not called yet though it is over.
    pub above: u64,
    /// Real waits of all that were called, in seconds.
    pub waited: f64,
    /// How far those were from the likely wait, in seconds, without their sign.
    pub error: f64,
    /// Forecasts that became later by more than 5 s or a tenth, for a reason that was shown, in the order of [`Reason::ALL`].
    pub revised: [u64; Reason::ALL.len()],
    /// And without one: only at a gateway that hears the reasons of another one.
    pub revised_unexplained: u64,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    turn: Turn,
    at: Duration,
    /// The pace that was promised then, in pupils per second.
    pace: f64,
    low: f64,
    likely: f64,
    high: f64,
    late: bool,
    revised: bool,
}

/// What is known of the waits that are left.
pub(super) struct Left<'a> {
    pub(super) curve: &'a Curve,
    pub(super) pace: Option<f64>,
    pub(super) excess: f64,
    /// Why it was last said to take longer, and when.
    pub(super) reason: Option<(Reason, Duration)>,
    /// Whether the reason is found here, and not heard from another gateway.
    pub(super) own: bool,
}

/// The forecasts under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Probes {
    lines: [VecDeque<Probe>; HORIZONS],
    noted: [Option<Duration>; HORIZONS],
    scores: Scores,
}

impl Probes {
    /// Notes what is forecast just now, horizon by horizon.
    pub(super) fn note(&mut self, now: Duration, curve: &Curve, outlook: &Outlook) {
        let (pace, excess) = (outlook.pace.unwrap_or_default(), outlook.excess);
        let mut horizon = 1.0;
        for (line, noted) in self.lines.iter_mut().zip(&mut self.noted) {
            let spacing = f64::max(SPACING.0 * horizon, SPACING.1);
            let due = noted.is_none_or(|at| now.saturating_sub(at).as_secs_f64() >= spacing);
            if due
                && line.len() < MOST
                && let Some(turn) = curve.turn_at(horizon * pace)
            {
                *noted = Some(now);
                let (low, likely, high) = outlook.bands.at(horizon);
                line.push_back(Probe {
                    turn,
                    at: now,
                    pace,
                    low: (horizon * low * outlook.doubt + excess).max(0.0),
                    likely: (horizon * likely + excess).max(0.0),
                    high: (horizon * high + excess).max(0.0),
                    late: false,
                    revised: false,
                });
            }
            horizon *= 2.0;
        }
    }

    /// Looks at how those under way come out. A reason, if one of them became later and none was said since it was made:
    /// so long nobody who waits has heard why.
    pub(super) fn score(
        &mut self,
        now: Duration,
        serving: Serving,
        sight: &Left<'_>,
        bands: &mut Bands,
    ) -> Option<Reason> {
        let scores = &mut self.scores;
        let mut found = None;
        for (horizon, line) in self.lines.iter_mut().enumerate() {
            line.retain_mut(|probe| {
                let waited = now.saturating_sub(probe.at).as_secs_f64();
                if !serving.admits(probe.turn) {
                    if !probe.late && waited > probe.high + SLACK {
                        probe.late = true;
                        scores.above += 1;
                        bands.learn(now, horizon, Side::Above, true);
                    }
                    if !probe.revised
                        && let Some(pace) = sight.pace
                    {
                        let left = sight.curve.ahead(probe.turn) / pace;
                        let left = left * bands.at(left).1 + sight.excess;
                        let told = (probe.likely - waited).max(0.0);
                        if left > told + LATER.0.max(LATER.1 * told) {
                            probe.revised = true;
                            match sight.reason {
                                Some((why, at)) if at >= probe.at => {
                                    scores.revised[why as usize] += 1;
                                }
                                _ if sight.own => {
                                    let why = *found.get_or_insert(why(probe, sight, pace));
                                    scores.revised[why as usize] += 1;
                                }
                                _ => scores.revised_unexplained += 1,
                            }
                        }
                    }
                    return true;
                }
                scores.waited += waited;
                scores.error += (waited - probe.likely).abs();
                let longer = waited > probe.likely;
                if probe.late {
                    return false;
                }
                let side = if waited < probe.low - SLACK {
                    scores.below += 1;
                    Side::Below
                } else {
                    scores.inside += 1;
                    Side::Inside
                };
                bands.learn(now, horizon, side, longer);
                false
            });
        }
        found
    }

    /// The room is shut: nothing that was forecast holds.
    pub(super) fn drop_all(&mut self) {
        self.lines.iter_mut().for_each(VecDeque::clear);
    }

    /// How good the forecasts were.
    pub(super) fn scores(&self) -> &Scores {
        &self.scores
    }
}

/// Why this forecast became later: the room is slower than was promised, or what is let in already takes longer; else
/// more go first, of those who are here or of those who will come.
fn why(probe: &Probe, sight: &Left<'_>, pace: f64) -> Reason {
    let slower = pace < probe.pace * (1.0 - SLOWER) || sight.excess > LATER.0;
    if slower {
        Reason::Slower
    } else {
        Reason::Fuller
    }
}
