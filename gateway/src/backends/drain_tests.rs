//! Drained backends, the sessions that live there, and the policies that know no latency.

use super::*;

fn of_a_session(home: usize) -> Wish<'static> {
    Wish {
        kind: Kind::Write,
        rank: Rank::Session,
        home: Home::Backend(address(home)),
        tried: &[],
    }
}

#[test]
fn a_session_stays_at_home_even_while_it_is_drained_and_goes_elsewhere_when_home_is_gone() {
    let mut balancer = pool(3);
    let at_home = |balancer: &mut Balancer| match balancer.choose(at(0.0), of_a_session(1)) {
        Choice::At(id, to) => (id, to),
        other => panic!("{other:?}"),
    };
    for _ in 0..20 {
        assert_eq!(at_home(&mut balancer).1, address(1), "however busy it is");
    }
    assert!(balancer.drain(address(1), true));
    assert_eq!(at_home(&mut balancer).1, address(1));
    assert!(balancer.drain(address(1), false));
    let (id, _) = at_home(&mut balancer);
    balancer.not_connected(at(0.0), id);
    assert_ne!(at_home(&mut balancer).1, address(1));
}

#[test]
fn a_session_stays_at_its_schools_old_home_while_newcomers_of_the_school_go_elsewhere() {
    let mut balancer = pool(3);
    let wish = |home| Wish {
        home,
        ..of_a_session(0)
    };
    let sent = |balancer: &mut Balancer, home| match balancer.choose(at(0.0), wish(home)) {
        Choice::At(_, to) => to,
        other => panic!("{other:?}"),
    };
    let old = sent(&mut balancer, Home::Hash(7));
    balancer.drain(old, true);
    for _ in 0..20 {
        assert_eq!(sent(&mut balancer, Home::BackendOr(old, 7)), old);
    }
    let new = sent(&mut balancer, Home::Hash(7));
    assert_ne!(new, old);
    // The old one is back, and so are the newcomers; sessions stay.
    balancer.drain(old, false);
    assert_eq!(sent(&mut balancer, Home::Hash(7)), old);
    assert_eq!(sent(&mut balancer, Home::BackendOr(new, 7)), new);
    let gone = balancer.members.iter().find(|m| m.address == new);
    let gone = gone.unwrap().id;
    balancer.not_connected(at(0.0), gone);
    assert_eq!(sent(&mut balancer, Home::BackendOr(new, 7)), old);
}

#[test]
fn the_sessions_of_a_drained_backend_wait_while_it_is_restarted_but_not_for_ever() {
    let mut balancer = pool(3);
    balancer.drain(address(1), true);
    let Choice::At(id, _) = balancer.choose(at(10.0), of_a_session(1)) else {
        panic!("it is there")
    };
    balancer.not_connected(at(10.0), id);
    balancer.free(at(10.0), id);
    // They wait, also those who have tried; others do not.
    let again = Wish {
        tried: &[address(1)],
        ..of_a_session(1)
    };
    for wish in [of_a_session(1), again] {
        assert_eq!(balancer.choose(at(12.0), wish), Choice::Away);
    }
    assert!(matches!(balancer.choose(at(12.0), login(&[])), Choice::At(_, to) if to != address(1)));
    let mut restarted = balancer.clone();
    restarted.checked(at(13.0), 1, Finding::Passed, &Health::default());
    let back = restarted.choose(at(13.0), again);
    assert!(
        matches!(back, Choice::At(_, to) if to == address(1)),
        "{back:?}"
    );
    // It does not come back.
    let elsewhere = balancer.choose(at(25.1), again);
    assert!(
        matches!(elsewhere, Choice::At(_, to) if to != address(1)),
        "{elsewhere:?}"
    );
}

#[test]
fn what_the_desk_says_of_a_backend_outlasts_what_the_name_leads_to() {
    let mut balancer = pool(2);
    assert!(balancer.drain(address(0), true));
    balancer.set(&[site(0), site(1)]);
    assert_eq!(state(&balancer, address(0)), State::Draining);
    for _ in 0..20 {
        assert_eq!(one_login(&mut balancer, at(0.0), LOGIN), address(1));
    }
    let before = balancer.events();
    assert_eq!(
        (before[0].before, before[0].after),
        (State::Up, State::Draining)
    );
    balancer.drain(address(1), true);
    assert!(balancer.down(), "nobody is let in anywhere");
    balancer.drain(address(0), false);
    assert!(!balancer.down());
    // Against the configuration too.
    let drained = Site {
        drain: true,
        ..site(0)
    };
    balancer.set(&[drained, site(1)]);
    assert_eq!(state(&balancer, address(0)), State::Up);
    balancer.set(&[site(0)]);
    assert!(
        !balancer.drain(address(1), true),
        "the pool has no such backend"
    );
    assert!(!balancer.drain(address(7), true));
}

#[test]
fn an_unfinished_stream_is_not_in_flight_and_not_over() {
    let mut balancer = pool(1);
    let (id, to) = send(&mut balancer, at(1.0));
    balancer.free(at(2.0), id);
    let seen = gauge(&balancer, to, at(5.0));
    assert_eq!((seen.in_flight, seen.unfinished), (0, 1));
    assert_eq!(seen.idle, at(4.0));
    balancer.over(id);
    assert_eq!(gauge(&balancer, to, at(5.0)).unfinished, 0);
}

/// Logins that stay, one after the other, over backends with these weights.
fn spread(policy: Policy, weights: &[u32], logins: usize) -> Vec<usize> {
    let rules = Balancing {
        policy,
        ..Balancing::default()
    };
    let mut balancer = Balancer::new(rules, 11);
    let weighted = |(n, weight): (usize, &u32)| Site {
        weight: *weight,
        ..site(n)
    };
    let sites: Vec<Site> = weights.iter().enumerate().map(weighted).collect();
    balancer.set(&sites);
    let mut got = vec![0; weights.len()];
    for _ in 0..logins {
        let (_, to) = send(&mut balancer, at(0.0));
        got[sites.iter().position(|site| site.address == to).unwrap()] += 1;
    }
    got
}

#[test]
fn by_turns_and_by_what_is_in_flight_each_gets_its_weight() {
    for policy in [Policy::RoundRobin, Policy::LeastInFlight] {
        assert_eq!(
            spread(policy, &[1, 1, 1], 300),
            [100, 100, 100],
            "{policy:?}"
        );
        assert_eq!(
            spread(policy, &[1, 2, 1], 400),
            [100, 200, 100],
            "{policy:?}"
        );
    }
}

#[test]
fn what_is_in_flight_counts_for_one_policy_and_not_for_the_other() {
    for (policy, counts) in [(Policy::LeastInFlight, true), (Policy::RoundRobin, false)] {
        let rules = Balancing {
            policy,
            ..Balancing::default()
        };
        let mut balancer = Balancer::new(rules, 2);
        balancer.set(&[site(0), site(1)]);
        // At the first everything stays, at the second everything is answered at once.
        let mut stuck = 0;
        for _ in 0..40 {
            let (id, to) = send(&mut balancer, at(0.0));
            if to == address(0) {
                stuck += 1;
            } else {
                balancer.free(at(0.0), id);
            }
        }
        assert_eq!(stuck < 3, counts, "{policy:?}: {stuck}");
    }
}
