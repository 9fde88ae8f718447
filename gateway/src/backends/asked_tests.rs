//! Backends that are asked by the gateway itself: those that are silent, and those that are slow.

use super::*;

#[test]
fn a_backend_that_says_nothing_is_ejected_within_three_seconds() {
    let mut balancer = pool(2);
    for n in 0..40 {
        one_login(&mut balancer, at(f64::from(n) * 0.01), LOGIN);
    }
    let mut now = at(1.0);
    while state(&balancer, address(0)) != State::Ejected {
        let (id, address) = send(&mut balancer, now);
        if address == super::tests::address(1) {
            good(&mut balancer, now + LOGIN, id, Some((Kind::Login, LOGIN)));
            balancer.free(now + LOGIN, id);
        }
        now += Duration::from_millis(50);
        balancer.tick(now);
        assert!(now < at(4.0), "it was silent for three seconds");
    }
    assert_eq!(why(&mut balancer), Some(Out::Silent));
}

/// Why the last one that was left out was.
fn why(balancer: &mut Balancer) -> Option<Out> {
    balancer.events().last().and_then(|event| event.why)
}

/// Two pages that nobody answers, at the same backend.
fn two_pages_at_one(balancer: &mut Balancer) -> SocketAddr {
    let mut owed: Vec<SocketAddr> = Vec::new();
    loop {
        let Choice::At(id, to) = balancer.choose(at(0.0), page()) else {
            panic!("none is full");
        };
        let here = owed.first().is_none_or(|first| *first == to);
        if !here {
            good(balancer, at(0.0), id, Some((Kind::Read, at(0.02))));
            balancer.free(at(0.0), id);
        } else if owed.len() == 1 {
            return to;
        } else {
            owed.push(to);
        }
    }
}

#[test]
fn pages_without_an_answer_eject_only_a_backend_that_does_not_answer_when_asked() {
    for (answers, expected) in [(true, State::Up), (false, State::Ejected)] {
        let mut balancer = pool(2);
        let polled = two_pages_at_one(&mut balancer);
        let other = balancer.members.iter().find(|m| m.address != polled);
        let other = other.unwrap().id;
        for step in 0..60_u32 {
            let now = Duration::from_millis(50) * step;
            good(&mut balancer, now, other, Some((Kind::Login, LOGIN)));
            for (id, at, _) in balancer.knocks(now) {
                assert_eq!(at, polled);
                balancer.knocked(now, id, answers);
            }
            balancer.tick(now);
        }
        assert_eq!(state(&balancer, polled), expected, "{answers}");
    }
}

#[test]
fn a_pool_that_answers_nothing_refuses_pages_at_once_but_for_one_that_tries() {
    let mut balancer = pool(2);
    for _ in 0..8 {
        assert!(matches!(balancer.choose(at(0.0), page()), Choice::At(..)));
    }
    let knocked = |balancer: &mut Balancer, now, answered| {
        let asked = balancer.knocks(now);
        for (id, ..) in &asked {
            balancer.knocked(now, *id, answered);
        }
        asked.len()
    };
    assert_eq!(knocked(&mut balancer, at(0.5), false), 0, "not yet");
    assert_eq!(knocked(&mut balancer, at(2.1), false), 2);
    assert!(balancer.down(), "the room keeps the places");
    assert_eq!(balancer.choose(at(2.1), page()), Choice::Nobody);
    assert!(
        matches!(balancer.choose(at(2.1), login(&[])), Choice::At(..)),
        "how many logins try is for the room to say"
    );
    let Choice::Try(id, _) = balancer.choose(at(7.2), page()) else {
        panic!("one may try");
    };
    assert_eq!(balancer.choose(at(7.3), page()), Choice::Nobody, "one");
    // Nobody waits for it any more; that is no sign of life.
    balancer.failed(at(8.0), id, Kind::Read);
    balancer.free(at(8.0), id);
    assert_eq!(balancer.choose(at(8.1), page()), Choice::Nobody);
    assert_eq!(knocked(&mut balancer, at(9.0), true), 2);
    assert!(!balancer.down());
    assert!(matches!(balancer.choose(at(9.1), page()), Choice::At(..)));
}

/// A page is answered by a backend in so long.
fn page_at(balancer: &mut Balancer, n: usize, now: Duration, took: Duration) {
    let id = balancer.members[n].id;
    good(balancer, now, id, Some((Kind::Read, took)));
}

/// Pages are answered by all backends, so fast by the first and in 20 ms by the others.
fn pages(balancer: &mut Balancer, now: Duration, first: Duration) {
    for _ in 0..3 {
        for n in 0..balancer.members.len() {
            let took = if n == 0 { first } else { at(0.02) };
            page_at(balancer, n, now, took);
        }
    }
}

/// Backends whose pages have taken 20 ms, and then the first one's 600 ms.
fn one_is_suspected(backends: usize) -> Balancer {
    let mut balancer = pool(backends);
    pages(&mut balancer, at(0.0), at(0.02));
    assert_eq!(balancer.comparisons(at(0.0)), [], "nobody is slow");
    pages(&mut balancer, at(1.0), at(0.6));
    balancer
}

/// Compares whoever is to be compared until nobody is; how often.
fn compare(balancer: &mut Balancer, now: Duration, slow: Option<bool>) -> usize {
    let mut times = 0;
    loop {
        let pairs = balancer.comparisons(now);
        for pair in &pairs {
            assert_eq!(pair.suspect, address(0));
            assert_ne!(pair.other, address(0));
            balancer.compared(now, pair.id, slow);
        }
        if pairs.is_empty() {
            return times;
        }
        times += 1;
    }
}

#[test]
fn a_backend_that_takes_thirty_times_as_long_for_the_same_page_is_ejected() {
    let mut balancer = one_is_suspected(3);
    let first = balancer.comparisons(at(1.0));
    assert_eq!(first.len(), 1);
    assert_eq!(balancer.comparisons(at(1.0)), [], "one at a time");
    balancer.compared(at(1.3), first[0].id, Some(true));
    assert_eq!(state(&balancer, address(0)), State::Up);
    assert_eq!(compare(&mut balancer, at(1.6), Some(true)), 2);
    assert_eq!(state(&balancer, address(0)), State::Ejected);
    assert_eq!(why(&mut balancer), Some(Out::Slow));
}

#[test]
fn a_page_that_is_dear_everywhere_ejects_nobody() {
    let mut balancer = one_is_suspected(3);
    assert_eq!(compare(&mut balancer, at(1.0), Some(false)), 1);
    assert_eq!(
        compare(&mut balancer, at(9.0), Some(true)),
        0,
        "it is cleared"
    );
    assert_eq!(state(&balancer, address(0)), State::Up);
}

#[test]
fn nobody_is_suspected_where_all_are_as_slow_or_for_less_than_is_noticed() {
    for (usual, then) in [(0.6, 5.9), (0.02, 0.26)] {
        let mut balancer = pool(3);
        for n in [0, 1, 2, 0, 1, 2, 0, 1, 2] {
            page_at(&mut balancer, n, at(0.0), at(usual));
        }
        page_at(&mut balancer, 0, at(0.0), at(then));
        assert_eq!(balancer.comparisons(at(0.0)), [], "{usual}");
        page_at(&mut balancer, 0, at(0.0), at(then * 1.1));
        assert_eq!(balancer.comparisons(at(0.0)).len(), 1, "{usual}");
    }
}

#[test]
fn the_other_one_is_of_the_middle_and_a_slow_login_is_a_reason_to_compare_too() {
    let mut balancer = pool(4);
    for (n, took) in [(3, 0.9), (1, 0.02), (2, 0.03)] {
        for _ in 0..3 {
            page_at(&mut balancer, n, at(0.0), at(took));
            let id = balancer.members[n].id;
            good(&mut balancer, at(0.0), id, Some((Kind::Login, at(took))));
        }
    }
    let id = balancer.members[0].id;
    good(&mut balancer, at(0.0), id, Some((Kind::Login, at(0.29))));
    assert_eq!(balancer.comparisons(at(0.0)), []);
    good(&mut balancer, at(0.0), id, Some((Kind::Login, at(0.31))));
    let pairs = balancer.comparisons(at(0.0));
    assert_eq!((pairs[0].suspect, pairs[0].other), (address(0), address(2)));
}

#[test]
fn of_slow_backends_too_no_more_than_three_of_ten_are_ejected_and_never_the_last() {
    for (backends, most) in [(10, 3), (2, 1), (1, 0)] {
        let mut balancer = pool(backends);
        let ids: Vec<Id> = balancer.members.iter().map(|m| m.id).collect();
        for id in ids {
            for _ in 0..3 {
                balancer.compared(at(1.0), id, Some(true));
            }
        }
        let gauges = balancer.gauges(at(1.0));
        let ejected = gauges.iter().filter(|g| g.state == State::Ejected).count();
        assert_eq!(ejected, most, "of {backends}");
    }
}

#[test]
fn a_policy_that_knows_nothing_of_speed_compares_nobody() {
    let mut balancer = pool(3);
    balancer.rules.policy = Policy::RoundRobin;
    pages(&mut balancer, at(0.0), at(0.02));
    pages(&mut balancer, at(1.0), at(0.6));
    assert_eq!(balancer.comparisons(at(1.0)), []);
}

fn at_home(n: usize) -> Wish<'static> {
    Wish {
        rank: Rank::Session,
        home: Home::Backend(address(n)),
        ..page()
    }
}

#[test]
fn sessions_stay_at_a_slow_backend_until_it_fails() {
    let mut balancer = one_is_suspected(3);
    compare(&mut balancer, at(1.0), Some(true));
    let lands_at = |balancer: &mut Balancer, wish| {
        let Choice::At(id, to) = balancer.choose(at(1.0), wish) else {
            panic!("nobody is away");
        };
        balancer.free(at(1.0), id);
        (id, to)
    };
    for _ in 0..20 {
        assert_eq!(lands_at(&mut balancer, at_home(0)).1, address(0));
        assert_ne!(lands_at(&mut balancer, page()).1, address(0), "nobody new");
    }
    let (id, _) = lands_at(&mut balancer, at_home(0));
    for _ in 0..5 {
        balancer.failed(at(1.0), id, Kind::Read);
    }
    assert_ne!(lands_at(&mut balancer, at_home(0)).1, address(0));
    assert_eq!(state(&balancer, address(0)), State::Ejected);
}

#[test]
fn one_that_was_slow_is_compared_before_a_login_decides_and_its_past_is_forgotten() {
    let mut balancer = one_is_suspected(3);
    compare(&mut balancer, at(1.0), Some(true));
    balancer.tick(at(6.1));
    assert_eq!(
        state(&balancer, address(0)),
        State::Ejected,
        "not asked yet"
    );
    assert_eq!(compare(&mut balancer, at(6.1), Some(true)), 1, "out again");
    assert_eq!(
        compare(&mut balancer, at(16.0), Some(false)),
        0,
        "for twice as long"
    );
    assert_eq!(compare(&mut balancer, at(16.2), Some(false)), 1);
    assert_eq!(state(&balancer, address(0)), State::Trial);
    // A session's page decides nothing.
    let Choice::At(session, _) = balancer.choose(at(16.3), at_home(0)) else {
        panic!("it is at home there");
    };
    good(
        &mut balancer,
        at(16.3),
        session,
        Some((Kind::Read, at(0.02))),
    );
    balancer.free(at(16.3), session);
    assert_eq!(state(&balancer, address(0)), State::Trial);
    let (id, tried) = send(&mut balancer, at(16.4));
    assert_eq!(tried, address(0));
    balancer.proven(at(16.5), id, at(16.4));
    balancer.free(at(16.5), id);
    assert_eq!(state(&balancer, address(0)), State::Up);
    assert_eq!(
        gauge(&balancer, address(0), at(16.5)).limit,
        1,
        "it starts slowly"
    );
    // It gets pages again, as if it had never been slow.
    let mut there = 0;
    for n in 0..100 {
        let now = at(30.0 + f64::from(n) * 0.01);
        let Choice::At(id, to) = balancer.choose(now, page()) else {
            panic!("none is full");
        };
        there += usize::from(to == address(0));
        good(&mut balancer, now, id, Some((Kind::Read, at(0.02))));
        balancer.free(now, id);
    }
    assert!(there > 10, "{there} of 100");
}

#[test]
fn without_another_one_to_compare_it_with_a_login_decides() {
    let mut balancer = one_is_suspected(2);
    compare(&mut balancer, at(1.0), Some(true));
    let other = balancer.members[1].id;
    balancer.not_connected(at(2.0), other);
    assert_eq!(balancer.comparisons(at(7.0)), []);
    balancer.tick(at(7.0));
    assert_eq!(state(&balancer, address(0)), State::Trial);
}
