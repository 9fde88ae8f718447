//! The crowd: who comes, when, and for how long they have patience.

use std::time::Duration;

use crate::scenario::{Pool, Shape, Size, Wave};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Coming,
    Joining,
    Waiting,
    Buffered,
    Running,
    Typing,
    In,
    Gone,
}

pub(crate) struct Person {
    pub(crate) school: u32,
    pub(crate) state: State,
    /// Closes the tab when told to wait.
    pub(crate) no_show: bool,
    /// Has the page in front of them.
    pub(crate) has_page: bool,
    /// Which of the planned polls counts.
    pub(crate) poll: u32,
    pub(crate) came: Duration,
    pub(crate) gives_up: Duration,
    pub(crate) buffered: Duration,
}

/// Everybody who comes to a pool's schools, in the order of their coming, with the scenario's beginning so much
/// later than the clock's.
pub(crate) fn crowd(pool: &Pool, later: Duration, rng: &mut fastrand::Rng) -> Vec<Person> {
    let mut people = Vec::new();
    for wave in &pool.waves {
        come(pool, wave, rng, &mut people);
    }
    for person in &mut people {
        person.came += later;
        person.gives_up = person.gives_up.saturating_add(later);
    }
    people.sort_by_key(|person| person.came);
    people
}

/// Draws who comes with a wave.
fn come(pool: &Pool, wave: &Wave, rng: &mut fastrand::Rng, people: &mut Vec<Person>) {
    let chosen = pool
        .schools
        .iter()
        .enumerate()
        .filter(|(number, _)| wave.school.is_none_or(|only| only == *number));
    let enrolled: f64 = chosen.clone().map(|(_, s)| f64::from(s.pupils)).sum();
    for (number, school) in chosen {
        let pupils = f64::from(school.pupils);
        let wanted = match wave.size {
            Size::Enrolled(part) => pupils * part,
            Size::Pupils(all) => f64::from(all) * pupils / enrolled.max(1.0),
        };
        let size = whole(wanted, rng);
        for _ in 0..size {
            let drawn = rng.f64();
            let part = match wave.shape {
                Shape::Even => drawn,
                // The inverse of the distribution with a falling straight density.
                Shape::Bell => 1.0 - (1.0 - drawn).sqrt(),
            };
            let came = wave.from + wave.over.mul_f64(part);
            let patience = wave
                .patience
                .map_or(Duration::MAX, |mean| mean.mul_f64(-(1.0 - rng.f64()).ln()));
            people.push(Person {
                school: u32::try_from(number).unwrap_or(u32::MAX),
                state: State::Coming,
                no_show: rng.f64() < wave.no_shows.at(came),
                has_page: false,
                poll: 0,
                came,
                gives_up: came.saturating_add(patience),
                buffered: Duration::ZERO,
            });
        }
    }
}

/// A whole number whose mean is `wanted`.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a non-negative number of pupils"
)]
fn whole(wanted: f64, rng: &mut fastrand::Rng) -> u64 {
    let wanted = wanted.max(0.0);
    wanted as u64 + u64::from(rng.f64() < wanted.fract())
}
