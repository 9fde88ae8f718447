//! Who has a gated login page in front of them.
//!
//! With the login page as the gate, whoever was let in types for some seconds before the login
//! comes. Until then they count as on their way, or the doors would open again for the same place;
//! and so many more have to be on their way, or the backend would idle while everybody types.

use std::collections::VecDeque;
use std::time::Duration;

/// Typing takes about so long, until it was seen, in seconds.
pub(crate) const LEAD: f64 = 6.0;
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
            let lead = self.lead.unwrap_or(LEAD);
            self.lead = Some(lead + WEIGHT * (took - lead));
        }
    }

    /// How many are still expected.
    pub(crate) fn outstanding(&mut self, now: Duration) -> u64 {
        let patience = PATIENCE * self.lead.unwrap_or(LEAD);
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
            None => LEAD,
        }
    }
}
