//! Backends whose logins alone are in trouble, while their pages are as good as ever.

use super::*;

fn why(balancer: &mut Balancer) -> Option<Out> {
    balancer.events().last().and_then(|event| event.why)
}

/// A good page of this backend.
fn page_of(balancer: &mut Balancer, n: usize, now: Duration) {
    let id = balancer.members[n].id;
    good(balancer, now, id, Some((Kind::Read, at(0.02))));
}

fn lands_at(balancer: &mut Balancer, now: Duration, wish: Wish<'_>) -> SocketAddr {
    let Choice::At(id, to) = balancer.choose(now, wish) else {
        panic!("there are some");
    };
    balancer.free(now, id);
    to
}

fn at_home(n: usize) -> Wish<'static> {
    Wish {
        rank: Rank::Session,
        home: Home::Backend(address(n)),
        ..page()
    }
}

/// Three backends of which the first fails logins between its good pages.
fn fails_logins() -> Balancer {
    let mut balancer = pool(3);
    for n in 0..5 {
        assert_eq!(state(&balancer, address(0)), State::Up, "after {n}");
        page_of(&mut balancer, 0, at(1.0));
        let id = balancer.members[0].id;
        balancer.failed(at(1.0), id, Kind::Login);
    }
    balancer
}

#[test]
fn good_pages_between_them_do_not_make_failing_logins_good() {
    let mut balancer = fails_logins();
    assert_eq!(state(&balancer, address(0)), State::Ejected);
    assert_eq!(why(&mut balancer), Some(Out::Logins));
    // Whoever has a session there needs no login.
    assert_eq!(lands_at(&mut balancer, at(1.1), at_home(0)), address(0));
    for _ in 0..20 {
        assert_ne!(lands_at(&mut balancer, at(1.1), page()), address(0));
        assert_ne!(lands_at(&mut balancer, at(1.1), login(&[])), address(0));
    }
}

#[test]
fn nor_good_logins_failing_pages() {
    let mut balancer = pool(3);
    let id = balancer.members[0].id;
    for _ in 0..5 {
        good(&mut balancer, at(1.0), id, Some((Kind::Login, LOGIN)));
        balancer.failed(at(1.0), id, Kind::Read);
    }
    assert_eq!(state(&balancer, address(0)), State::Ejected);
    assert_eq!(why(&mut balancer), Some(Out::Fails));
    assert_ne!(lands_at(&mut balancer, at(1.1), at_home(0)), address(0));
}

/// The first of three gets so many logins and answers none of them, and pages all the time, for three seconds.
fn hangs(logins: usize, others_too: bool) -> Balancer {
    let mut balancer = pool(3);
    let mut owed = 0;
    for step in 0..60 {
        let now = at(0.05 * f64::from(step));
        // As chance might have it, the first ones come to the first.
        let all = [address(0), address(1), address(2)];
        let tried = if owed < logins { &all[1..] } else { &all[..1] };
        let Choice::At(id, to) = balancer.choose(now, login(tried)) else {
            panic!("none is full");
        };
        if to == address(0) {
            owed += 1;
        } else {
            if !others_too {
                good(&mut balancer, now, id, Some((Kind::Login, LOGIN)));
            }
            balancer.free(now, id);
        }
        page_of(&mut balancer, 0, now);
        balancer.tick(now);
    }
    balancer
}

#[test]
fn logins_that_hang_eject_within_three_seconds_though_pages_are_answered() {
    let mut balancer = hangs(3, false);
    assert_eq!(state(&balancer, address(0)), State::Ejected);
    assert_eq!(why(&mut balancer), Some(Out::Logins));
    assert_eq!(lands_at(&mut balancer, at(3.1), at_home(0)), address(0));
}

#[test]
fn one_or_two_logins_that_hang_are_their_users_own_and_so_is_what_hangs_everywhere() {
    for (logins, others_too) in [(1, false), (2, false), (50, true)] {
        let balancer = hangs(logins, others_too);
        assert_eq!(
            state(&balancer, address(0)),
            State::Up,
            "{logins}, {others_too}"
        );
    }
}

#[test]
fn a_login_decides_whether_it_is_back_and_not_the_pages_of_its_sessions() {
    let tried = || {
        let mut balancer = fails_logins();
        balancer.tick(at(6.1));
        let pairs = balancer.comparisons(at(6.1));
        assert_eq!(pairs[0].suspect, address(0));
        balancer.compared(at(6.2), pairs[0].id, Some(false));
        let (id, to) = send(&mut balancer, at(6.3));
        assert_eq!((to, state(&balancer, to)), (address(0), State::Trial));
        page_of(&mut balancer, 0, at(6.4));
        assert_eq!(state(&balancer, address(0)), State::Trial);
        (balancer, id)
    };
    let (mut balancer, id) = tried();
    balancer.proven(at(6.5), id, at(6.3));
    assert_eq!(state(&balancer, address(0)), State::Up);

    let (mut balancer, id) = tried();
    balancer.failed(at(6.5), id, Kind::Login);
    balancer.free(at(6.5), id);
    assert_eq!(state(&balancer, address(0)), State::Ejected);
    assert_eq!(lands_at(&mut balancer, at(6.6), at_home(0)), address(0));
}
