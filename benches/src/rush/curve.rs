//! The curve along which pupils arrive.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How arrivals are spread over their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// The same rate from the first to the last moment.
    #[default]
    Burst,
    /// The rate grows from nothing, evenly.
    Ramp,
    /// The school bell: 70 % in the first fifth of the time, then a tail that thins out.
    Eight,
}

/// Fraction of all that comes at the bell, and within which fraction of the time.
const AT_THE_BELL: f64 = 0.7;
const BELL_TIME: f64 = 0.2;

impl Shape {
    /// The time, as a fraction of the whole, by which the fraction `arrived` has come: the inverse of the curve's sum.
    pub fn time_of(self, arrived: f64) -> f64 {
        match self {
            Self::Burst => arrived,
            Self::Ramp => arrived.sqrt(),
            Self::Eight if arrived < AT_THE_BELL => BELL_TIME * arrived / AT_THE_BELL,
            Self::Eight => {
                let of_tail = (arrived - AT_THE_BELL) / (1.0 - AT_THE_BELL);
                BELL_TIME + (1.0 - BELL_TIME) * (1.0 - (1.0 - of_tail).sqrt())
            }
        }
    }

    /// The times of `count` arrivals in order: evenly along the curve, each jittered within its own slot.
    pub fn arrivals(
        self,
        count: u32,
        over: Duration,
        rng: &mut fastrand::Rng,
    ) -> impl Iterator<Item = Duration> {
        (0..count).map(move |index| {
            let arrived = (f64::from(index) + rng.f64()) / f64::from(count);
            over.mul_f64(self.time_of(arrived))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(shape: Shape) -> Vec<f64> {
        let mut rng = fastrand::Rng::with_seed(3);
        shape
            .arrivals(10_000, Duration::from_secs(1), &mut rng)
            .map(|time| time.as_secs_f64())
            .collect()
    }

    fn by(times: &[f64], time: f64) -> f64 {
        times.iter().filter(|arrival| **arrival <= time).count() as f64 / times.len() as f64
    }

    #[test]
    fn arrivals_come_in_order_and_within_the_time() {
        for shape in [Shape::Burst, Shape::Ramp, Shape::Eight] {
            let times = arrivals(shape);
            assert!(times.is_sorted());
            assert!(times[0] >= 0.0 && times[times.len() - 1] <= 1.0);
        }
    }

    #[test]
    fn seven_of_ten_come_at_the_bell() {
        let times = arrivals(Shape::Eight);
        assert!((by(&times, 0.2) - 0.7).abs() < 0.01);
        assert!(by(&times, 0.6) > 0.9);
    }

    #[test]
    fn a_ramp_has_a_quarter_by_half_time() {
        assert!((by(&arrivals(Shape::Ramp), 0.5) - 0.25).abs() < 0.01);
        assert!((by(&arrivals(Shape::Burst), 0.5) - 0.5).abs() < 0.01);
    }

    #[test]
    fn the_same_seed_gives_the_same_morning() {
        assert_eq!(arrivals(Shape::Eight), arrivals(Shape::Eight));
    }
}
