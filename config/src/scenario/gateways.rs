//! `[gateways]`: how many stand in front of every pool, and what happens to them.

use std::time::Duration;

use crate::report::Problem;
use crate::section::Section;
use crate::settings;

use super::span::{self, Span};

/// The gateways in front of every pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateways {
    /// The part of the browsers that comes to each, in any scale: one entry per gateway, 1 to 64 of them.
    /// Written as `count = 3` if all get the same. Default: one gateway.
    pub skew: Vec<f64>,
    /// One call to Redis and back: 0 to 200 ms. Default: 2 ms.
    pub round_trip: Duration,
    /// From when until when no gateway reaches Redis. Default: never.
    pub cut_off: Vec<Span>,
}

impl Default for Gateways {
    fn default() -> Self {
        Self {
            skew: vec![1.0; settings::COUNT.default as usize],
            round_trip: settings::ROUND_TRIP.default,
            cut_off: Vec::new(),
        }
    }
}

pub(super) fn read(mut section: Section<'_, '_>) -> Gateways {
    let count = section.place_of("count");
    let even = vec![1.0; section.take(&settings::COUNT) as usize];
    let written = section.place_of("skew");
    let skew = section.take_scalars("skew", &settings::SKEW);
    if let (Some(_), Some(skew)) = (count, &written) {
        let problem = Problem::new("`skew` cannot stand beside `count`").help("keep one of them");
        section.report().add(skew, problem);
    }
    let most = *settings::COUNT.range.end() as usize;
    if let (Some(place), Some(skew)) = (&written, &skew)
        && !(1..=most).contains(&skew.len())
    {
        let problem = Problem::new(format!("`skew` names {} gateways", skew.len()))
            .help(format!("1 to {most} are possible"));
        section.report().add(place, problem);
    }
    let gateways = Gateways {
        skew: skew.unwrap_or(even),
        round_trip: section.take(&settings::ROUND_TRIP),
        cut_off: span::read(&mut section, "cut_off").unwrap_or_default(),
    };
    section.finish();
    gateways
}
