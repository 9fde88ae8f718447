//! What is kept of one pupil for the report.

use super::turn::Eta;

/// How a morning ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    GotIn,
    GaveUp,
    NoShow,
    Failed,
}

/// The way somebody got in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// Answered at once.
    Straight,
    /// Answered directly, but late.
    Held,
    /// Through the waiting page.
    Waited,
}

/// Times are in seconds since the rush began.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) school: u16,
    pub(super) ending: Ending,
    pub(super) path: Path,
    /// From the first submit's intended time to being in.
    pub(super) wait: Option<f32>,
    pub(super) in_at: Option<f32>,
    /// When the waiting page was first asked for.
    pub(super) wait_from: Option<f32>,
    /// When the turn had come.
    pub(super) ready_at: Option<f32>,
    told: Vec<Told>,
    polls: u32,
}

/// A promise about when the turn comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) at: f32,
    pub(super) eta: Eta,
}

impl Story {
    pub(super) fn of(school: u16) -> Self {
        Self {
            school,
            ending: Ending::Failed,
            path: Path::Straight,
            wait: None,
            in_at: None,
            wait_from: None,
            ready_at: None,
            told: Vec::new(),
            polls: 0,
        }
    }

    pub(super) fn wait_began(&mut self, at: f32) {
        self.wait_from.get_or_insert(at);
    }

    /// The first time counts: later ones come from going back and forth.
    pub(super) fn ready(&mut self, at: f32) {
        self.ready_at.get_or_insert(at);
    }

    /// Keeps the 1st, 2nd, 4th, 8th … promise, so that a long wait costs little memory.
    pub(super) fn told(&mut self, at: f32, eta: Eta) {
        self.polls += 1;
        if self.polls.is_power_of_two() && self.ready_at.is_none() {
            self.told.push(Told { at, eta });
        }
    }

    /// The promises, and how long it then really took; nothing if the turn never came.
    pub(super) fn promises(&self) -> impl Iterator<Item = (Told, f32)> {
        let ready_at = self.ready_at;
        self.told
            .iter()
            .filter_map(move |told| Some((*told, ready_at? - told.at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_are_thinned_out_and_judged_by_the_first_turn() {
        let mut story = Story::of(0);
        let eta = Eta {
            low: 1.0,
            likely: 2.0,
            high: 3.0,
        };
        for poll in 0..9_u8 {
            story.told(f32::from(poll), eta);
        }
        assert_eq!(story.promises().count(), 0);
        story.ready(10.0);
        story.ready(99.0);
        let truths: Vec<f32> = story.promises().map(|(_, truth)| truth).collect();
        assert_eq!(truths, [10.0, 9.0, 7.0, 3.0]);
    }
}
