//! Joins in a fleet: whoever comes while a call to the ledger is under way goes in the next one.

use std::time::Duration;

use einlass_admission::ledger::Joined;
use einlass_admission::{SchoolIndex, Turn};

use super::Einlass;
use crate::policy::{Effects, Pupil, Told};

impl Einlass {
    pub(super) fn join(&mut self, now: Duration, g: usize, effects: &mut Effects) {
        if self.gateways[g].joins.is_empty() || self.gateways[g].joining.is_some() {
            return;
        }
        let mut batch = std::mem::take(&mut self.gateways[g].joins);
        // Per school in the order of arrival.
        batch.sort_by_key(|pupil| self.schools[*pupil as usize]);
        let counts = self.counted(&batch);
        self.gateways[g].joining = Some(batch);
        let nonce = self.rng.u32(1..);
        match self.gateways[g].keeper.joining(nonce, &counts) {
            Some(call) => self.ledger.join(now, g, &call, effects),
            None => self.joined(now, g, None, effects),
        }
    }

    fn counted(&self, batch: &[Pupil]) -> Vec<(SchoolIndex, u32)> {
        let school = |pupil: &Pupil| self.schools[*pupil as usize];
        batch
            .chunk_by(|one, other| school(one) == school(other))
            .map(|same| {
                let pupils = u32::try_from(same.len()).unwrap_or(u32::MAX);
                (SchoolIndex(school(&same[0])), pupils)
            })
            .collect()
    }

    pub(super) fn joined(
        &mut self,
        now: Duration,
        g: usize,
        joined: Option<Joined>,
        effects: &mut Effects,
    ) {
        let Some(batch) = self.gateways[g].joining.take() else {
            return;
        };
        let counts = self.counted(&batch);
        let turns: Vec<(Turn, u32)> = match joined {
            Some(joined) => self.gateways[g].keeper.joined(&counts, &joined),
            None => batch
                .iter()
                .filter_map(|pupil| {
                    let school = SchoolIndex(self.schools[*pupil as usize]);
                    self.gateways[g].keeper.join(school)
                })
                .collect(),
        };
        for (pupil, (turn, epoch)) in batch.into_iter().zip(turns) {
            let browser = self.browser(pupil);
            browser.turn = turn.0;
            browser.epoch = epoch;
            match self.placed(now, g, pupil) {
                Told::Go => effects.go.push(pupil),
                told => effects.told.push((pupil, told)),
            }
        }
        self.join(now, g, effects);
    }
}
