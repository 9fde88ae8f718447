//! Ejected backends, and what decides whether they come back.

use super::*;

#[test]
fn one_login_decides_whether_an_ejected_backend_comes_back() {
    let mut balancer = pool(2);
    fail_at(&mut balancer, address(0), Duration::ZERO, 5);
    let now = at(10.0);
    balancer.tick(now);
    assert_eq!(state(&balancer, address(0)), State::Trial);
    // Pages do not decide.
    for _ in 0..10 {
        assert!(matches!(balancer.choose(now, page()), Choice::At(_, a) if a == address(1)));
    }
    let (id, tried) = send(&mut balancer, now);
    assert_eq!(tried, address(0));
    for _ in 0..10 {
        assert_eq!(send(&mut balancer, now).1, address(1), "one at a time");
    }
    balancer.failed(now, id, Kind::Login);
    balancer.free(now, id);
    assert_eq!(state(&balancer, address(0)), State::Ejected);
    // The second time it is out for twice as long.
    balancer.tick(at(19.0));
    assert_eq!(state(&balancer, address(0)), State::Ejected);
    balancer.tick(at(21.0));
    let (id, _) = send(&mut balancer, at(21.0));
    good(&mut balancer, at(21.3), id, Some((Kind::Login, LOGIN)));
    balancer.free(at(21.3), id);
    assert_eq!(state(&balancer, address(0)), State::Up);
    let limit = |seconds| gauge(&balancer, address(0), at(seconds)).limit;
    let limits = [21.3, 29.0, 36.4, 40.1, 60.0].map(limit);
    assert_eq!(limits, [1, 4, 8, 32, 1_024]);
}

#[test]
fn a_late_answer_to_an_earlier_request_decides_no_trial() {
    let mut balancer = pool(2);
    fail_at(&mut balancer, address(0), Duration::ZERO, 5);
    balancer.tick(at(10.0));
    let (id, tried) = send(&mut balancer, at(10.0));
    assert_eq!(tried, address(0));
    balancer.answered(at(10.5), id, Kind::Login, Some(at(0.0)), None);
    assert_eq!(state(&balancer, address(0)), State::Trial);
    balancer.answered(at(10.6), id, Kind::Login, Some(at(10.0)), None);
    assert_eq!(state(&balancer, address(0)), State::Up);
}

#[test]
fn a_trial_whose_answer_breaks_off_is_lost() {
    let trial = || {
        let mut balancer = pool(2);
        fail_at(&mut balancer, address(0), Duration::ZERO, 5);
        balancer.tick(at(10.0));
        let (id, tried) = send(&mut balancer, at(10.0));
        assert_eq!(tried, address(0));
        balancer.answered(at(10.1), id, Kind::Login, None, Some(LOGIN));
        assert_eq!(state(&balancer, address(0)), State::Trial);
        (balancer, id)
    };
    let (mut balancer, id) = trial();
    balancer.failed(at(10.2), id, Kind::Login);
    assert_eq!(state(&balancer, address(0)), State::Ejected);
    let (mut balancer, id) = trial();
    balancer.proven(at(10.2), id, at(10.0));
    assert_eq!(state(&balancer, address(0)), State::Up);
}

#[test]
fn a_trial_without_an_answer_is_lost() {
    let mut balancer = pool(2);
    fail_at(&mut balancer, address(0), Duration::ZERO, 5);
    balancer.tick(at(10.0));
    assert_eq!(send(&mut balancer, at(10.0)).1, address(0));
    balancer.tick(at(12.5));
    assert_eq!(state(&balancer, address(0)), State::Ejected);
}
