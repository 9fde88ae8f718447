//! Who goes first at backends that have all they can do.

use einlass_config::Priorities;

use super::*;

fn wish(rank: Rank) -> Wish<'static> {
    Wish {
        kind: Kind::Read,
        rank,
        home: Home::Anywhere,
        tried: &[],
    }
}

/// Backends with ten places each, of which seven are for everybody.
fn ranked(backends: usize) -> Balancer {
    let rules = Balancing {
        max_in_flight: 10,
        ..Balancing::default()
    };
    let parts = Parts::of(&Priorities::default());
    let mut balancer = Balancer::new(rules, 7).with_parts(Some(parts));
    let sites: Vec<Site> = (0..backends).map(site).collect();
    balancer.set(&sites);
    balancer
}

/// How many of a rank find a place one after the other, none of them ending.
fn fit(balancer: &mut Balancer, rank: Rank, now: Duration) -> usize {
    let places = || balancer.choose(now, wish(rank));
    std::iter::repeat_with(places)
        .take_while(|choice| matches!(choice, Choice::At(..)))
        .count()
}

#[test]
fn each_rank_leaves_room_for_those_above_it() {
    for policy in [Policy::PeakEwma, Policy::LeastInFlight, Policy::RoundRobin] {
        let mut balancer = ranked(3);
        balancer.rules.policy = policy;
        let fits = Rank::ALL.map(|rank| fit(&mut balancer, rank, at(0.0)));
        assert_eq!(fits, [21, 6, 3], "{policy:?}");
        assert_eq!(balancer.choose(at(0.0), wish(Rank::Session)), Choice::Full);
    }
}

#[test]
fn a_backend_that_is_ejected_takes_its_places_with_it() {
    let mut balancer = ranked(2);
    assert_eq!(balancer.places(at(0.0), Rank::Page), Some(14));
    fail_at(&mut balancer, address(0), Duration::ZERO, 5);
    assert_eq!(state(&balancer, address(0)), State::Ejected);
    // The last that may be sent there is the one that tries it.
    assert_eq!(balancer.places(at(1.0), Rank::Page), Some(8));
    assert_eq!(fit(&mut balancer, Rank::Page, at(1.0)), 7);
    assert_eq!(fit(&mut balancer, Rank::Session, at(1.0)), 3);
}

#[test]
fn a_session_has_all_of_its_own_backend_and_a_visitor_there_a_part() {
    let mut balancer = ranked(2);
    let home = |rank| Wish {
        home: Home::Backend(address(1)),
        ..wish(rank)
    };
    let mut there = |rank| {
        let choices = std::iter::repeat_with(|| balancer.choose(at(0.0), home(rank)));
        let placed = choices.take_while(|choice| *choice != Choice::Full);
        placed.fold(0, |placed, choice| {
            assert!(matches!(choice, Choice::At(_, to) if to == address(1)));
            placed + 1
        })
    };
    assert_eq!((there(Rank::Page), there(Rank::Session)), (7, 3));
}

proptest! {
    /// Whatever is in flight: who goes first finds a place where somebody else does, and nobody has
    /// more than a part. Where all are treated alike nobody is told apart.
    #[test]
    fn who_goes_first_is_never_worse_off(
        backends in 1..5_usize,
        alike in any::<bool>(),
        moves in proptest::collection::vec((0..3_usize, any::<bool>()), 0..200),
    ) {
        let mut balancer = ranked(backends);
        if alike {
            balancer.parts = None;
        }
        let mut sent = Vec::new();
        for (rank, ends) in moves {
            if ends && !sent.is_empty() {
                balancer.free(at(0.0), sent.remove(0));
            }
            let fits = Rank::ALL.map(|rank| {
                matches!(balancer.clone().choose(at(0.0), wish(rank)), Choice::At(..))
            });
            prop_assert!(fits.is_sorted(), "{fits:?}");
            prop_assert!(!alike || fits[0] == fits[2]);
            if !alike {
                let places = Rank::ALL.map(|rank| balancer.places(at(0.0), rank) > Some(0));
                prop_assert_eq!(fits, places);
            }
            if let Choice::At(id, to) = balancer.choose(at(0.0), wish(Rank::ALL[rank])) {
                sent.push(id);
                let most = if alike { 10 } else { [7, 9, 10][rank] };
                prop_assert!(gauge(&balancer, to, at(0.0)).in_flight <= most);
            }
        }
    }
}
