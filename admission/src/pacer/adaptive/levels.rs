//! Latencies by how many were in flight: where nothing waits more in flight take no longer.

use crate::pacer::window::Measure;

/// As many in flight as at another time, give or take this part of it.
const SAME: f64 = 0.1;
/// And many more from so many times as many on.
const MORE: f64 = 1.2;
/// Levels that are kept; the oldest goes first.
const MOST: usize = 12;

/// What logins took with so many in flight.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Level {
    in_flight: f64,
    /// The mean of medians, in seconds.
    latency: f64,
    samples: f64,
}

impl Level {
    fn add(&mut self, other: Self) {
        let samples = self.samples + other.samples;
        let mean = |one: f64, two: f64| (one * self.samples + two * other.samples) / samples;
        self.in_flight = mean(self.in_flight, other.in_flight);
        self.latency = mean(self.latency, other.latency);
        self.samples = samples;
    }
}

/// What was seen since the search began. Bounded: a few hundred bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Levels(Vec<Level>);

/// This many in flight compared with many fewer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Compared {
    /// So many times as long it takes.
    pub(super) longer: f64,
    /// How many samples each of the two rests on, at least.
    pub(super) samples: usize,
}

impl Levels {
    /// Notes a window, and compares what is known by now of as many in flight with what is known of many fewer;
    /// `None` if that is nothing.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "numbers of samples"
    )]
    pub(super) fn note(&mut self, measure: &Measure) -> Option<Compared> {
        let latency = measure.latency.filter(|latency| *latency > 0.0)?;
        let here = Level {
            in_flight: measure.in_flight,
            latency,
            samples: measure.samples.max(1) as f64,
        };
        let same = |level: &&mut Level| (level.in_flight / here.in_flight - 1.0).abs() <= SAME;
        let here = if let Some(level) = self.0.iter_mut().find(same) {
            level.add(here);
            *level
        } else {
            if self.0.len() >= MOST {
                self.0.remove(0);
            }
            self.0.push(here);
            here
        };
        let fewer = |level: &&Level| level.in_flight * MORE <= here.in_flight;
        let fewer = self.0.iter().filter(fewer).copied();
        let fewer = fewer.reduce(|mut all, level| {
            all.add(level);
            all
        })?;
        Some(Compared {
            longer: here.latency / fewer.latency,
            samples: here.samples.min(fewer.samples) as usize,
        })
    }

    /// The search is over.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacer::window::Window;

    fn seen(levels: &mut Levels, in_flight: f64, latency: f64, samples: usize) -> Option<Compared> {
        let nothing = Window::default().measure(f64::MAX, f64::MAX);
        levels.note(&Measure {
            in_flight,
            latency: Some(latency),
            samples,
            ..nothing
        })
    }

    #[test]
    fn a_window_is_compared_with_all_of_many_fewer_in_flight() {
        let mut levels = Levels::default();
        assert_eq!(seen(&mut levels, 4.0, 0.2, 8), None, "there is no other");
        assert_eq!(seen(&mut levels, 4.2, 0.4, 24), None, "as many as before");
        let compared = seen(&mut levels, 8.0, 0.35, 16).unwrap();
        assert!((compared.longer - 1.0).abs() < 1e-9, "{compared:?}");
        assert_eq!(compared.samples, 16);
        let compared = seen(&mut levels, 16.0, 0.7, 10).unwrap();
        assert!((compared.longer - 2.0).abs() < 1e-9, "{compared:?}");
        assert_eq!(compared.samples, 10);
        levels.clear();
        assert_eq!(seen(&mut levels, 16.0, 0.7, 10), None);
    }

    #[test]
    fn only_so_many_are_kept() {
        let mut levels = Levels::default();
        for number in 0..1_000 {
            seen(&mut levels, 1.3_f64.powi(number), 0.2, 8);
        }
        assert_eq!(levels.0.len(), MOST);
    }
}
