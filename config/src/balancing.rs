//! `[region.NAME.balancing]`: how requests are spread over the backends of a pool, and which are left out.

use std::time::Duration;

use crate::report::Problem;
use crate::section::Section;
use crate::settings;
use crate::suggest::did_you_mean;

/// How a backend is chosen, and what makes one be left out for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Balancing {
    /// By what a backend is chosen. Default: [`Policy::PeakEwma`].
    pub policy: Policy,
    /// Requests that one backend may owe an answer at a time: 1 to 100,000. Default: 1,024.
    pub max_in_flight: u32,
    /// How long a backend that comes back takes until it has all of its work again: 0 to 10 min. Default: 15 s.
    pub slow_start: Duration,
    /// Failures in a row that eject a backend: 1 to 1,000. Default: 5.
    pub consecutive_failures: u32,
    /// The share of good answers below which a backend is ejected: 0 to 1. Default: 0.7.
    pub success_rate: f64,
    /// Answers of the last ten seconds below which that share says nothing: 1 to 100,000. Default: 20.
    pub success_samples: u32,
    /// How long a backend that owes answers may give none, while others do: 500 ms to 10 min. Default: 2 s.
    pub silence: Duration,
    /// The first time a backend stays ejected; doubles up to ten times as long: 1 s to 10 min. Default: 5 s.
    pub ejection: Duration,
    /// How many second tries there may be for each request: 0 to 1. Default: 0.1.
    pub retry_budget: f64,
}

/// By what a backend is chosen among those that may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// `"peak_ewma"`: of two drawn by lot the one with the smaller latency times requests in flight.
    #[default]
    PeakEwma,
    /// `"least_in_flight"`: the one with the fewest requests in flight.
    LeastInFlight,
    /// `"round_robin"`: the next.
    RoundRobin,
}

impl Policy {
    fn parse(written: &str) -> Result<Self, Problem> {
        match written {
            "peak_ewma" => Ok(Self::PeakEwma),
            "least_in_flight" => Ok(Self::LeastInFlight),
            "round_robin" => Ok(Self::RoundRobin),
            _ => Err(
                Problem::new(format!("unknown policy {written:?}")).help(did_you_mean(
                    written,
                    &["peak_ewma", "least_in_flight", "round_robin"],
                )),
            ),
        }
    }
}

impl Default for Balancing {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            max_in_flight: settings::MAX_IN_FLIGHT.default,
            slow_start: settings::SLOW_START.default,
            consecutive_failures: settings::CONSECUTIVE_FAILURES.default,
            success_rate: settings::SUCCESS_RATE.default,
            success_samples: settings::SUCCESS_SAMPLES.default,
            silence: settings::SILENCE.default,
            ejection: settings::EJECTION.default,
            retry_budget: settings::RETRY_BUDGET.default,
        }
    }
}

pub(crate) fn read(mut section: Section<'_, '_>) -> Balancing {
    let balancing = Balancing {
        policy: section
            .take_text("policy", "the name of a policy", Policy::parse)
            .map_or_else(Policy::default, |policy| policy.value),
        max_in_flight: section.take(&settings::MAX_IN_FLIGHT),
        slow_start: section.take(&settings::SLOW_START),
        consecutive_failures: section.take(&settings::CONSECUTIVE_FAILURES),
        success_rate: section.take(&settings::SUCCESS_RATE),
        success_samples: section.take(&settings::SUCCESS_SAMPLES),
        silence: section.take(&settings::SILENCE),
        ejection: section.take(&settings::EJECTION),
        retry_budget: section.take(&settings::RETRY_BUDGET),
    };
    section.finish();
    balancing
}
