//! How far the real wait is from the forecast one: quantiles by horizon, tracked one event at a time.
//!
//! A quantile is tracked by moving it a little towards every forecast that was inside and a lot
//! towards every one that was outside, in the proportion 5 to 95: in the long run just the wanted
//! part is outside, whatever the errors are distributed like, and without keeping any of them
//! (adaptive conformal inference; Gibbs and Candès, 2021).

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Horizons: 1, 2, 4 … 512 seconds. Between two of them the factors are interpolated.
pub(super) const HORIZONS: usize = 10;

/// The part that is to be outside on each side.
const OUTSIDE: f64 = 0.05;
/// The part of the waits that is to be shorter than the likely one: slightly pessimistic.
const LIKELY: f64 = 0.6;
/// How far one event moves a factor, as a part of it: widest, and the likely one.
const RATE: f64 = 0.2;
const RATE_LIKELY: f64 = 0.04;
/// A forecast that missed says something about longer ones too: so much, octave by octave.
const SPILL: f64 = 0.5;
/// Misses that come together have one cause, and count once in so many seconds or so much of the
/// horizon.
const ONE_CAUSE: (f64, f64) = (4.0, 0.25);
/// Within what bounds.
const LOW: (f64, f64) = (0.3, 0.95);
const HIGH: (f64, f64) = (1.08, 3.0);
const MIDDLE: (f64, f64) = (0.9, 1.2);

/// How a forecast came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Sooner than the interval.
    Below,
    /// Within.
    Inside,
    /// Later.
    Above,
}

/// Factors on a forecast, for one horizon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Band {
    low: f64,
    likely: f64,
    high: f64,
}

/// The measured quantiles, for every horizon. A fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bands {
    bands: [Band; HORIZONS],
    /// When a miss last counted, below and above, in seconds on the clock passed in.
    #[serde(skip)]
    missed: [[Option<f64>; 2]; HORIZONS],
}

impl Default for Bands {
    /// What simulated mornings have shown, until there is something better to go by.
    fn default() -> Self {
        let band = Band {
            low: 0.82,
            likely: 1.02,
            high: 1.2,
        };
        Self {
            bands: [band; HORIZONS],
            missed: [[None; 2]; HORIZONS],
        }
    }
}

impl Bands {
    /// The factors for a horizon in seconds: low, likely, high.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 up to the number of horizons"
    )]
    pub(crate) fn at(&self, seconds: f64) -> (f64, f64, f64) {
        let octave = seconds.max(1.0).log2().min((HORIZONS - 1) as f64);
        let below = (octave as usize).min(HORIZONS - 1);
        let above = (below + 1).min(HORIZONS - 1);
        let part = octave - below as f64;
        let (one, two) = (&self.bands[below], &self.bands[above]);
        let mix = |a: f64, b: f64| a + part * (b - a);
        (
            mix(one.low, two.low),
            mix(one.likely, two.likely),
            mix(one.high, two.high),
        )
    }

    /// A forecast at a horizon came out like that; `longer` than likely or not.
    pub(super) fn learn(&mut self, now: Duration, horizon: usize, side: Side, longer: bool) {
        let mut weight = 1.0;
        for at in horizon..HORIZONS {
            self.learn_one(now.as_secs_f64(), at, side, weight);
            weight *= SPILL;
        }
        if let Some(band) = self.bands.get_mut(horizon) {
            let step = if longer { LIKELY } else { LIKELY - 1.0 };
            let likely = (band.likely * (RATE_LIKELY * step).exp()).clamp(MIDDLE.0, MIDDLE.1);
            band.likely = likely.clamp(band.low, band.high);
        }
    }

    fn learn_one(&mut self, now: f64, at: usize, side: Side, weight: f64) {
        let (Some(band), Some(missed)) = (self.bands.get_mut(at), self.missed.get_mut(at)) else {
            return;
        };
        let apart = ONE_CAUSE
            .0
            .max(ONE_CAUSE.1 * 2_f64.powi(i32::try_from(at).unwrap_or(0)));
        let mut counts = |which: usize| {
            let new = missed[which].is_none_or(|last| now - last >= apart);
            if new {
                missed[which] = Some(now);
            }
            new
        };
        let rate = RATE * weight;
        match side {
            Side::Below if counts(0) => band.low *= (-rate * (1.0 - OUTSIDE)).exp(),
            Side::Above if counts(1) => band.high *= (rate * (1.0 - OUTSIDE)).exp(),
            Side::Inside => {
                band.low *= (rate * OUTSIDE).exp();
                band.high *= (-rate * OUTSIDE).exp();
            }
            Side::Below | Side::Above => {}
        }
        band.low = band.low.clamp(LOW.0, LOW.1);
        band.high = band.high.clamp(HIGH.0, HIGH.1);
    }

    /// With what cannot be put right: a file may say anything.
    pub(super) fn sane(mut self) -> Self {
        let prior = Self::default();
        for (band, prior) in self.bands.iter_mut().zip(prior.bands) {
            let good = [band.low, band.likely, band.high];
            if good.iter().any(|factor| !factor.is_finite()) {
                *band = prior;
            }
            band.low = band.low.clamp(LOW.0, LOW.1);
            band.high = band.high.clamp(HIGH.0, HIGH.1);
            band.likely = band.likely.clamp(MIDDLE.0, MIDDLE.1);
        }
        self.missed = prior.missed;
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Bands, Side};

    const HORIZON: usize = 4;

    /// Forecasts whose real wait is between so many times and so many times the forecast one, each
    /// as likely; the part that was inside in the last half of them.
    fn covered(bands: &mut Bands, (least, most): (f64, f64)) -> f64 {
        let (mut random, mut inside) = (1_u64, 0);
        let forecasts = 4_000;
        for number in 0..forecasts {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let part = (random >> 11) as f64 / (1_u64 << 53) as f64;
            let ratio = least + part * (most - least);
            let (low, likely, high) = bands.at(16.0);
            let side = match ratio {
                ratio if ratio < low => Side::Below,
                ratio if ratio > high => Side::Above,
                _ => Side::Inside,
            };
            inside += u32::from(side == Side::Inside && number >= forecasts / 2);
            let now = Duration::from_secs(10 * number);
            bands.learn(now, HORIZON, side, ratio > likely);
        }
        f64::from(inside) / (forecasts / 2) as f64
    }

    #[test]
    fn nine_of_ten_are_inside_whatever_the_errors_are() {
        for errors in [(0.9, 1.1), (0.6, 1.6), (0.8, 2.0)] {
            let mut bands = Bands::default();
            let covered = covered(&mut bands, errors);
            assert!((0.87..=0.95).contains(&covered), "{errors:?}: {covered}");
        }
    }

    #[test]
    fn a_miss_says_something_about_longer_forecasts_and_nothing_about_shorter_ones() {
        let mut bands = Bands::default();
        let before = bands;
        bands.learn(Duration::ZERO, HORIZON, Side::Above, true);
        assert!(bands.at(64.0).2 > before.at(64.0).2);
        assert!(bands.at(64.0).2 < bands.at(16.0).2);
        assert!((bands.at(4.0).2 - before.at(4.0).2).abs() < 1e-9);
    }

    #[test]
    fn what_a_file_says_is_put_right() {
        let mut bands = Bands::default();
        bands.bands[3].high = f64::NAN;
        bands.bands[4].low = -5.0;
        let sane = bands.sane();
        assert!(sane.at(8.0).2 >= 1.0);
        assert!(sane.at(16.0).0 > 0.0);
    }
}
