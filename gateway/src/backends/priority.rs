//! Who goes first at a backend that has all it can do: sessions before logins before pages.
//!
//! Each rank may fill the backend up to a part of its bound and leaves the rest to those above it:
//! trunk reservation, as telephone networks do it, which needs no queue that is sorted and knows no
//! more than the number in flight.
//!
//! Where nobody has written parts, nothing is kept back. Then a place that becomes free is for those who
//! wait for one and may be logged in, or log in; who certainly is not comes after them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use einlass_config::Priorities;
use prometheus_client::encoding::EncodeLabelValue;

/// What a request is, as far as it matters who goes first. The smallest is shed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelValue)]
pub(crate) enum Rank {
    /// Of somebody who is not logged in.
    Page,
    /// A login, the page with its form, or a part of a page that somebody has already.
    Login,
    /// Of somebody who is logged in.
    Session,
}

impl Rank {
    pub(crate) const ALL: [Self; 3] = [Self::Page, Self::Login, Self::Session];
}

/// The parts of a backend's bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pages: f64,
    logins: f64,
}

impl Parts {
    pub(super) fn of(priorities: &Priorities) -> Self {
        Self {
            pages: priorities.pages,
            logins: priorities.logins,
        }
    }

    /// How many requests a backend with this bound may have in flight for one more of this rank:
    /// where there is one place at all, everybody may have it.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a u32"
    )]
    pub(super) fn most(self, rank: Rank, bound: u32) -> u32 {
        let part = match rank {
            Rank::Page => self.pages,
            Rank::Login => self.logins,
            Rank::Session => return bound,
        };
        ((f64::from(bound) * part) as u32).max(bound.min(1))
    }
}

/// Those who wait for a place and go before pages: how many for one at this backend, or at any (`None`).
#[derive(Clone, Debug, Default)]
pub(super) struct Ahead(BTreeMap<Option<SocketAddr>, u32>);

impl Ahead {
    pub(super) fn join(&mut self, at: Option<SocketAddr>) {
        *self.0.entry(at).or_default() += 1;
    }

    pub(super) fn leave(&mut self, at: Option<SocketAddr>) {
        if let Some(waiting) = self.0.get_mut(&at) {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                self.0.remove(&at);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many requests a backend with this bound may have in flight for one more page: what those ahead
    /// wait for there is theirs.
    pub(super) fn leave_for_pages(&self, bound: u32, backend: SocketAddr) -> u32 {
        let waiting = |at| self.0.get(&at).copied().unwrap_or(0);
        bound.saturating_sub(waiting(None).saturating_add(waiting(Some(backend))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pages_leave_room_for_logins_and_both_for_sessions() {
        let parts = Parts::of(&Priorities::default());
        let most =
            |bound| [Rank::Page, Rank::Login, Rank::Session].map(|rank| parts.most(rank, bound));
        assert_eq!(most(100), [70, 90, 100]);
        assert_eq!(most(10), [7, 9, 10]);
        assert_eq!(most(2), [1, 1, 2]);
        assert_eq!(most(1), [1, 1, 1], "one place is kept from nobody");
        assert_eq!(most(0), [0, 0, 0]);
    }

    proptest! {
        #[test]
        fn who_goes_first_has_at_least_as_much(
            bound in any::<u32>(),
            pages in 0.1..=1.0_f64,
            more in 0.0..=1.0_f64,
        ) {
            let logins = (pages + more).min(1.0);
            let parts = Parts { pages, logins };
            let most = [Rank::Page, Rank::Login, Rank::Session].map(|c| parts.most(c, bound));
            prop_assert!(most.is_sorted(), "{most:?} of {bound}");
            prop_assert_eq!(most[2], bound);
            prop_assert_eq!(most[0] == 0, bound == 0, "nobody is shut out for good");
        }

        #[test]
        fn parts_of_one_keep_nothing_back(bound in any::<u32>()) {
            let parts = Parts { pages: 1.0, logins: 1.0 };
            for rank in [Rank::Page, Rank::Login, Rank::Session] {
                prop_assert_eq!(parts.most(rank, bound), bound);
            }
        }
    }
}
