//! Who has a gated login page in front of them.
//!
//! With the login page as the gate, whoever was let in types for some seconds before the login
//! comes. Until then they count as on their way, or the doors would open again for the same place;
//! and so many more have to be on their way, or the backend would idle while everybody types. How long
//! they type is learnt, kept over a restart and handed to the next gateway that paces.

use std::collections::VecDeque;
use std::time::Duration;

/// Typing takes about so long, until it was seen, in seconds.
const LEAD: f64 = 6.0;
/// Nobody types for longer than that, in seconds, whatever is remembered.
const LONGEST: f64 = 300.0;
/// How much one login changes what is believed of it.
const WEIGHT: f64 = 0.02;
/// Whoever has not come after so many times as long will not.
const PATIENCE: f64 = 4.0;
/// Pages served closer together than this are remembered as one.
const MERGE: Duration = Duration::from_millis(100);

/// Pages served and not yet answered by a login. Bounded: a few hundred entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Typing {
    pages: VecDeque<(Duration, u64)>,
    outstanding: u64,
    lead: Option<f64>,
    /// What an earlier run, or another gateway, has seen.
    before: Option<f64>,
}

impl Typing {
    /// So many pages were served.
    pub(crate) fn served(&mut self, now: Duration, pages: u64) {
        if pages == 0 {
            return;
        }
        self.outstanding += pages;
        match self.pages.back_mut() {
            Some((at, count)) if now.saturating_sub(*at) < MERGE => *count += pages,
            _ => self.pages.push_back((now, pages)),
        }
    }

    /// So many who had a page have come. Whose it was does not matter to the mean.
    pub(crate) fn typed(&mut self, now: Duration, logins: u64) {
        for _ in 0..logins {
            let Some((at, count)) = self.pages.front_mut() else {
                return;
            };
            let took = now.saturating_sub(*at).as_secs_f64();
            *count -= 1;
            if *count == 0 {
                self.pages.pop_front();
            }
            self.outstanding -= 1;
            let lead = self.usual();
            self.lead = Some(lead + WEIGHT * (took - lead));
        }
    }

    /// How many are still expected.
    pub(crate) fn outstanding(&mut self, now: Duration) -> u64 {
        let patience = PATIENCE * self.usual();
        while let Some((at, count)) = self.pages.front()
            && now.saturating_sub(*at).as_secs_f64() > patience
        {
            self.outstanding -= count;
            self.pages.pop_front();
        }
        self.outstanding
    }

    /// For how long somebody types, in seconds; 0 if no page is gated.
    pub(crate) fn lead(&self) -> f64 {
        match self.lead {
            Some(lead) => lead,
            None if self.pages.is_empty() => 0.0,
            None => self.usual(),
        }
    }

    /// For how long somebody types if a page is gated, in seconds.
    pub(crate) fn usual(&self) -> f64 {
        self.lead.or(self.before).unwrap_or(LEAD)
    }

    /// The same for the next run, or another gateway; `None` if it was never seen.
    pub(crate) fn learnt(&self) -> Option<f64> {
        self.lead.or(self.before)
    }

    /// Takes over what an earlier run, or another gateway, has learnt. It counts as long as nothing was seen here.
    pub(crate) fn recall(&mut self, learnt: Option<f64>) {
        let sane = |lead: &f64| (0.0..=LONGEST).contains(lead);
        self.before = learnt.filter(sane).or(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn how_long_they_type_is_handed_on_and_counts_where_a_page_is_gated() {
        let mut seen = Typing::default();
        seen.served(at(0), 1_000);
        assert_eq!((seen.lead(), seen.learnt()), (LEAD, None));
        seen.typed(at(20), 1_000);
        assert!(seen.learnt().is_some_and(|lead| (lead - 20.0).abs() < 0.1));

        let mut next = Typing::default();
        next.recall(seen.learnt());
        assert_eq!(
            next.lead().to_bits(),
            0.0_f64.to_bits(),
            "no page was served"
        );
        next.served(at(0), 1);
        assert_eq!(Some(next.lead()), seen.learnt());
        assert_eq!(next.outstanding(at(79)), 1, "not four times as long yet");
        assert_eq!(next.outstanding(at(81)), 0);
    }

    #[test]
    fn what_nobody_can_have_seen_is_not_believed() {
        let mut typing = Typing::default();
        for lead in [-1.0, f64::NAN, f64::INFINITY, 1e9] {
            typing.recall(Some(lead));
            assert_eq!(typing.learnt(), None, "{lead}");
        }
    }
}
