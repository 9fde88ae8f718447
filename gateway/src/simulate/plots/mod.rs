//! The plots of a pool: what waits, what runs, what is done, and what was promised.

mod figure;
mod points;

use einlass_simulator::{Pool, PoolOutcome};

use super::error::Error;
use figure::{Colour, Curve, Figure, Mark};
use points::{Clock, over_time};

/// A drawn figure.
#[derive(Debug)]
pub(super) struct Plot {
    pub(super) title: &'static str,
    /// How to read it.
    pub(super) caption: &'static str,
    /// What the colours stand for: a CSS class and words.
    pub(super) keys: Vec<(&'static str, &'static str)>,
    /// An `<svg>` element with a title.
    pub(super) svg: String,
}

/// All plots of a pool.
pub(super) fn all(pool: &Pool, outcome: &PoolOutcome) -> Result<Vec<Plot>, Error> {
    let clock = Clock::of(&outcome.series);
    let figures = [
        waiting(outcome, &clock),
        in_flight(outcome, &clock),
        logins(pool, outcome, &clock),
        by_size(outcome),
        promises(outcome, &clock),
    ];
    figures
        .into_iter()
        .map(|figure| figure.draw(&pool.name))
        .collect()
}

fn waiting(outcome: &PoolOutcome, clock: &Clock) -> Figure {
    let waiting = over_time(&outcome.series, clock, |_, second| {
        Some(second.waiting.into())
    });
    Figure {
        title: "Waiting",
        caption: "Pupils in the room, in the buffer or trying again.",
        x: clock.label(),
        y: "pupils",
        top: None,
        curves: vec![Curve::new("waiting", Colour::A, Mark::Area, waiting)],
    }
}

fn in_flight(outcome: &PoolOutcome, clock: &Clock) -> Figure {
    let series = &outcome.series;
    let in_flight = over_time(series, clock, |_, s| Some(s.in_flight.into()));
    let cores = over_time(series, clock, |_, s| Some(s.cores.into()));
    let cap = over_time(series, clock, |_, s| Some(s.cap.into()));
    // A cap that nobody has had reason to lower yet would press everything else to the ground.
    let top = in_flight
        .iter()
        .chain(&cores)
        .map(|(_, y)| *y)
        .fold(1.0, f64::max)
        * 1.5;
    Figure {
        title: "In flight",
        caption: "Logins at the backends, how many may be there, and the cores there really are, which nobody tells the pacer.",
        x: clock.label(),
        y: "logins",
        top: Some(top),
        curves: vec![
            Curve::new("in flight", Colour::A, Mark::Line, in_flight),
            Curve::new("cap", Colour::B, Mark::Line, cap),
            Curve::new("cores", Colour::C, Mark::Dashed, cores),
        ],
    }
}

fn logins(pool: &Pool, outcome: &PoolOutcome, clock: &Clock) -> Figure {
    let series = &outcome.series;
    let logins = over_time(series, clock, |_, s| Some(s.logins.into()));
    let capacity = over_time(series, clock, |at, _| Some(pool.backend.capacity(at)));
    Figure {
        title: "Logins per second",
        caption: "Logins completed, against what the backends can complete.",
        x: clock.label(),
        y: "logins/s",
        top: None,
        curves: vec![
            Curve::new("logins", Colour::A, Mark::Line, logins),
            Curve::new("capacity", Colour::C, Mark::Dashed, capacity),
        ],
    }
}

fn by_size(outcome: &PoolOutcome) -> Figure {
    Figure {
        title: "Waits by school size",
        caption: "One dot per school: its median wait. Equal heights mean that small and large schools wait equally long.",
        x: "enrolled pupils",
        y: "median wait in s",
        top: None,
        curves: vec![Curve::new(
            "a school",
            Colour::A,
            Mark::Dots,
            points::schools(outcome),
        )],
    }
}

fn promises(outcome: &PoolOutcome, clock: &Clock) -> Figure {
    let series = &outcome.series;
    let promised = over_time(series, clock, |_, s| s.promised.map(f64::from));
    let waited = over_time(series, clock, |_, s| s.waited.map(f64::from));
    Figure {
        title: "Promised and true waits",
        caption: "The first wait that those were told who came in a second, and the wait it was until their login began.",
        x: clock.label(),
        y: "wait in s",
        top: None,
        curves: vec![
            Curve::new("promised", Colour::B, Mark::Line, promised),
            Curve::new("true", Colour::A, Mark::Line, waited),
        ],
    }
}
