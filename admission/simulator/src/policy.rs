//! Who decides: what the world asks, and what it is answered.

use std::time::Duration;

use einlass_admission::Verdict;

/// A pupil, counted.
pub(crate) type Pupil = u32;

/// A promise, in seconds from when it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    pub(crate) low: f64,
    pub(crate) likely: f64,
    pub(crate) high: f64,
    /// It says why it is later than before, and since when, in seconds. Whoever came afterwards is not told.
    pub(crate) reason: Option<f64>,
}

/// What a browser that asks is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    /// The login begins now.
    Go,
    /// It begins when there is a slot: [`Effects::go`] follows.
    Buffered,
    /// The request is held so long; if nothing has happened until then it asks again.
    Held(Duration),
    /// Ask again then.
    Wait {
        after: Duration,
        promise: Option<Promise>,
    },
    /// An error page, without a place.
    Turned,
    /// Nothing yet: the answer comes with [`Effects::told`].
    Nothing,
}

/// What follows from a decision, besides its answer.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// The logins of these begin now.
    pub(crate) go: Vec<Pupil>,
    /// These entered the buffer out of a held request.
    pub(crate) buffered: Vec<Pupil>,
    /// Late answers.
    pub(crate) told: Vec<(Pupil, Told)>,
    /// To be given back at that time.
    pub(crate) later: Vec<(Duration, u64)>,
}

/// What the record wants to know several times a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gauge {
    /// Logins that may be in flight; 0 if there is no such number.
    pub(crate) cap: u32,
}

/// A way to let logins in.
pub(crate) trait Admit {
    /// A login comes without a place.
    fn submit(&mut self, now: Duration, pupil: Pupil, effects: &mut Effects) -> Told;
    /// Somebody with a place asks.
    fn poll(&mut self, now: Duration, pupil: Pupil, effects: &mut Effects) -> Told;
    /// Somebody who has been let in to the page has typed and logs in.
    fn again(&mut self, now: Duration, pupil: Pupil, effects: &mut Effects) -> Told;
    /// Somebody has waited for a slot for long enough. False if the slot has come just now.
    fn lose_patience(&mut self, pupil: Pupil) -> bool;
    /// Somebody has gone for good.
    fn left(&mut self, now: Duration, pupil: Pupil, effects: &mut Effects);
    /// A login is under way for longer than it may.
    fn overdue(&mut self, now: Duration, pupil: Pupil);
    /// How long that is.
    fn overdue_after(&self) -> Option<Duration>;
    /// A login has ended.
    fn ended(&mut self, now: Duration, pupil: Pupil, verdict: Verdict, effects: &mut Effects);
    /// Twenty times a second.
    fn tick(&mut self, now: Duration, effects: &mut Effects);
    /// What was asked for by [`Effects::later`].
    fn later(&mut self, now: Duration, token: u64, effects: &mut Effects);
    /// Whether any backend accepts connections.
    fn set_down(&mut self, down: bool);
    /// For the record.
    fn gauge(&self) -> Gauge;
}
