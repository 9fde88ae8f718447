//! What all pupils of a rush share.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::balancer::Balancer;
use super::live::count;
use super::order::{Door, Micros};
use super::plan::Plan;
use super::story::{Ending, Story};
use super::trouble::Trouble;

/// The plan, the clock, the doors and the book of stories.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) epoch: Instant,
    pub(super) balancer: Arc<Balancer>,
    /// One per school.
    pub(super) doors: Vec<Door>,
    pub(super) stories: Mutex<Vec<Story>>,
    pub(super) errors: Mutex<BTreeMap<Trouble, u64>>,
}

impl World {
    pub(super) fn new(plan: Plan) -> Self {
        let doors = plan.schools.iter().map(|_| Door::default()).collect();
        Self {
            balancer: Arc::new(Balancer::new(&plan.targets)),
            plan,
            epoch: Instant::now(),
            doors,
            stories: Mutex::default(),
            errors: Mutex::default(),
        }
    }

    pub(super) fn micros(&self, at: Instant) -> Micros {
        u64::try_from((at - self.epoch).as_micros()).unwrap_or(u64::MAX)
    }

    /// Since the rush began.
    pub(super) fn seconds(&self) -> f32 {
        self.epoch.elapsed().as_secs_f32()
    }

    pub(super) fn note(&self, trouble: Trouble) {
        count(&self.plan.live.errors);
        *self.errors.lock().entry(trouble).or_default() += 1;
    }

    pub(super) fn finish(&self, story: Story) {
        let live = &self.plan.live;
        count(match story.ending {
            Ending::GotIn => &live.got_in,
            Ending::GaveUp => &live.gave_up,
            Ending::NoShow => &live.no_show,
            Ending::Failed => &live.failed,
        });
        self.stories.lock().push(story);
    }
}
