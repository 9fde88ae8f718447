//! Points of a plot out of a morning's seconds: so few that a browser draws them at once.

use std::time::Duration;

use einlass_simulator::{PoolOutcome, Second};

/// More than these on a line nobody can see.
const ON_A_LINE: usize = 400;
/// More dots than these are drawn by every second, third, … school.
const DOTS: usize = 2_000;
/// Mornings longer than this are shown in minutes.
const MINUTES_FROM: usize = 300;

/// The horizontal axis of a morning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Seconds in one unit of the axis.
    unit: f64,
    /// Seconds that make up one point.
    bin: usize,
}

impl Clock {
    pub(super) fn of(series: &[Second]) -> Self {
        Self {
            unit: if series.len() > MINUTES_FROM {
                60.0
            } else {
                1.0
            },
            bin: series.len().div_ceil(ON_A_LINE).max(1),
        }
    }

    pub(super) fn label(self) -> &'static str {
        if self.unit > 1.0 {
            "minutes after the start"
        } else {
            "seconds after the start"
        }
    }
}

/// A value over the morning, as the mean of each bin; bins without any are left out.
pub(super) fn over_time(
    series: &[Second],
    clock: &Clock,
    value: impl Fn(Duration, &Second) -> Option<f64>,
) -> Vec<(f64, f64)> {
    let seconds: Vec<(Duration, &Second)> = series
        .iter()
        .enumerate()
        .map(|(at, second)| (Duration::from_secs(at as u64), second))
        .collect();
    let point = |bin: &[(Duration, &Second)]| {
        let values: Vec<f64> = bin.iter().filter_map(|(at, s)| value(*at, s)).collect();
        let (first, _) = bin.first()?;
        let x = first.as_secs_f64() / clock.unit;
        (!values.is_empty()).then(|| (x, values.iter().sum::<f64>() / values.len() as f64))
    };
    seconds.chunks(clock.bin).filter_map(point).collect()
}

/// Enrolled pupils and median wait of the schools from which somebody got in.
pub(super) fn schools(outcome: &PoolOutcome) -> Vec<(f64, f64)> {
    let every = outcome.schools.len().div_ceil(DOTS).max(1);
    let came = outcome.schools.iter().filter(|school| school.admitted > 0);
    came.step_by(every)
        .map(|school| (f64::from(school.pupils), school.wait.p50))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_morning_has_few_points_and_keeps_its_mean() {
        let second = Second {
            waiting: 7,
            ..Second::default()
        };
        let series = vec![second; 7_200];
        let clock = Clock::of(&series);
        let points = over_time(&series, &clock, |_, s| Some(s.waiting.into()));
        assert!(points.len() <= ON_A_LINE);
        assert!(points.iter().all(|(_, y)| (y - 7.0).abs() < 1e-9));
        assert_eq!(clock.label(), "minutes after the start");
    }
}
