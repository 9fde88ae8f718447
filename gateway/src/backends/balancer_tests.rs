//! The balancer, driven by a clock of its own.

use einlass_config::Policy;
use proptest::prelude::*;

use super::*;
use crate::backends::affinity::Home;

#[path = "rank_tests.rs"]
mod rank;

#[path = "drain_tests.rs"]
mod drain;

#[path = "trial_tests.rs"]
mod trial;

#[path = "asked_tests.rs"]
mod asked;

#[path = "login_tests.rs"]
mod logins;

const LOGIN: Duration = Duration::from_millis(250);

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 1, 0, u8::try_from(n).unwrap()], 8080))
}

fn site(n: usize) -> Site {
    Site {
        address: address(n),
        weight: 1,
        drain: false,
    }
}

fn pool(backends: usize) -> Balancer {
    let mut balancer = Balancer::new(Balancing::default(), 7);
    let sites: Vec<Site> = (0..backends).map(site).collect();
    balancer.set(&sites);
    balancer
}

fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn login(tried: &[SocketAddr]) -> Wish<'_> {
    Wish {
        kind: Kind::Login,
        rank: Rank::Login,
        home: Home::Anywhere,
        tried,
    }
}

fn page() -> Wish<'static> {
    Wish {
        kind: Kind::Read,
        rank: Rank::Page,
        home: Home::Anywhere,
        tried: &[],
    }
}

fn send(balancer: &mut Balancer, now: Duration) -> (Id, SocketAddr) {
    match balancer.choose(now, login(&[])) {
        Choice::At(id, address) => (id, address),
        other => panic!("{other:?}"),
    }
}

/// A good answer, head and body.
fn good(balancer: &mut Balancer, now: Duration, id: Id, latency: Option<(Kind, Duration)>) {
    let (kind, took) = latency.unzip();
    let kind = kind.unwrap_or(Kind::Read);
    balancer.answered(now, id, kind, Some(now), took);
    balancer.whole(now, id, kind);
}

/// A login that is answered after `took`, before anything else happens.
fn one_login(balancer: &mut Balancer, now: Duration, took: Duration) -> SocketAddr {
    let (id, address) = send(balancer, now);
    good(balancer, now, id, Some((Kind::Login, took)));
    balancer.free(now, id);
    address
}

/// Fails every login at this backend until it is ejected, or `most` logins have failed.
fn fail_at(balancer: &mut Balancer, bad: SocketAddr, from: Duration, most: usize) {
    let mut failed = 0;
    for step in 0..10_000_u32 {
        if failed == most || state(balancer, bad) == State::Ejected {
            return;
        }
        let now = from + Duration::from_millis(5) * step;
        let (id, address) = send(balancer, now);
        if address == bad {
            balancer.failed(now, id, Kind::Login);
            failed += 1;
        } else {
            good(balancer, now, id, Some((Kind::Login, LOGIN)));
        }
        balancer.free(now, id);
    }
}

fn gauge(balancer: &Balancer, of: SocketAddr, now: Duration) -> Gauge {
    let mut gauges = balancer.gauges(now).into_iter();
    gauges.find(|gauge| gauge.address == of).unwrap()
}

fn state(balancer: &Balancer, of: SocketAddr) -> State {
    gauge(balancer, of, Duration::ZERO).state
}

/// Serves `rate` logins a second for a minute at backends of these speeds, each of which works on
/// one login at a time; how many each got.
fn serve(balancer: &mut Balancer, rate: u32, work: &[f64]) -> Vec<usize> {
    let mut free_at = vec![0.0_f64; work.len()];
    let mut under_way: Vec<(f64, f64, Id)> = Vec::new();
    let mut got = vec![0; work.len()];
    for n in 0..rate * 60 {
        let now = f64::from(n) / f64::from(rate);
        under_way.sort_by(|a, b| a.0.total_cmp(&b.0));
        while under_way.first().is_some_and(|(end, ..)| *end <= now) {
            let (end, begun, id) = under_way.remove(0);
            good(balancer, at(end), id, Some((Kind::Login, at(end - begun))));
            balancer.free(at(end), id);
        }
        let (id, address) = send(balancer, at(now));
        let index = (0..work.len())
            .find(|n| super::tests::address(*n) == address)
            .unwrap();
        let end = free_at[index].max(now) + work[index];
        free_at[index] = end;
        under_way.push((end, now, id));
        got[index] += 1;
    }
    got
}

#[test]
fn the_slow_backend_gets_as_much_as_it_can_work() {
    // Four backends, one at half speed, nearly all used.
    let got = serve(&mut pool(4), 13, &[0.25, 0.25, 0.25, 0.5]);
    let all: usize = got.iter().sum();
    let share = got[3] as f64 / all as f64;
    assert!(
        (0.10..=0.16).contains(&share),
        "1/7 of {all} would be right: {got:?}"
    );
}

#[test]
fn work_follows_the_weights() {
    let mut balancer = pool(0);
    let weighted = |n, weight| Site { weight, ..site(n) };
    balancer.set(&[weighted(0, 1), weighted(1, 3)]);
    let mut held = [0; 2];
    for _ in 0..80 {
        let (_, at) = send(&mut balancer, Duration::ZERO);
        held[usize::from(at == address(1))] += 1;
    }
    assert!((18..=22).contains(&held[0]), "{held:?}");
}

#[test]
fn five_failures_in_a_row_eject_a_backend_but_never_the_last() {
    let mut balancer = pool(2);
    fail_at(&mut balancer, address(0), Duration::ZERO, 5);
    assert_eq!(state(&balancer, address(0)), State::Ejected);
    for _ in 0..50 {
        assert_eq!(one_login(&mut balancer, at(1.0), LOGIN), address(1));
    }
    fail_at(&mut balancer, address(1), at(1.0), 50);
    assert_eq!(state(&balancer, address(1)), State::Up, "it is the last");
    assert!(!balancer.down(), "both accept connections");
    let mut alone = pool(1);
    fail_at(&mut alone, address(0), Duration::ZERO, 50);
    assert_eq!(state(&alone, address(0)), State::Up);
}

#[test]
fn answers_that_break_off_are_failures_in_a_row() {
    let mut balancer = pool(2);
    for _ in 0..5 {
        assert_eq!(state(&balancer, address(0)), State::Up);
        let id = balancer.members[0].id;
        balancer.answered(at(1.0), id, Kind::Read, Some(at(1.0)), Some(at(0.02)));
        balancer.failed(at(1.0), id, Kind::Read);
    }
    assert_eq!(state(&balancer, address(0)), State::Ejected);
}

#[test]
fn a_backend_that_fails_every_other_time_is_noticed_by_its_rate() {
    let mut balancer = pool(3);
    let mut bad = 0;
    for n in 0..400 {
        let now = at(f64::from(n) * 0.02);
        let (id, address) = send(&mut balancer, now);
        bad += u32::from(address == super::tests::address(0));
        if address == super::tests::address(0) && bad.is_multiple_of(2) {
            balancer.failed(now, id, Kind::Login);
        } else {
            good(&mut balancer, now, id, Some((Kind::Login, LOGIN)));
        }
        balancer.free(now, id);
    }
    assert_eq!(state(&balancer, address(0)), State::Ejected);
    assert!(bad <= 25, "{bad} logins until it was noticed");
}

#[test]
fn at_most_three_of_ten_are_ejected() {
    let mut balancer = pool(10);
    for n in 0..10 {
        fail_at(&mut balancer, address(n), at(0.5), 100);
    }
    let gauges = balancer.gauges(at(1.0));
    let ejected = gauges.iter().filter(|g| g.state == State::Ejected).count();
    assert_eq!(ejected, 3);
}

#[test]
fn an_unreached_backend_is_out_until_a_check_reaches_it() {
    let rules = Health::default();
    let mut balancer = pool(2);
    let (id, bad) = send(&mut balancer, at(1.0));
    balancer.not_connected(at(1.0), id);
    balancer.free(at(1.0), id);
    assert_eq!(state(&balancer, bad), State::Down);
    assert!(!balancer.down());
    let (other, _) = send(&mut balancer, at(1.0));
    balancer.not_connected(at(1.0), other);
    assert!(balancer.down());
    assert_eq!(
        balancer.choose(at(1.0), login(&[])),
        Choice::Nobody,
        "nobody is tried in vain"
    );
    assert_eq!(balancer.due(at(1.2)).len(), 2, "checked at once");
    balancer.checked(at(5.0), id, Finding::Passed, &rules);
    assert_eq!(state(&balancer, bad), State::Up);
    assert!(!balancer.down());
    assert_eq!(gauge(&balancer, bad, at(5.0)).limit, 1, "it starts slowly");
}

#[test]
fn a_check_that_nobody_passes_closes_nothing_as_long_as_there_are_answers() {
    let rules = Health {
        fall: 1,
        rise: 1,
        ..Health::default()
    };
    let mut balancer = pool(3);
    let ids: Vec<Id> = balancer.members.iter().map(|m| m.id).collect();
    balancer.checked(at(1.0), ids[0], Finding::Otherwise, &rules);
    assert_eq!(state(&balancer, address(0)), State::Down, "the others pass");
    balancer.checked(at(1.0), ids[1], Finding::Failed, &rules);
    balancer.checked(at(1.0), ids[2], Finding::Otherwise, &rules);
    assert!(!balancer.down() && balancer.is_lenient());
    let states = [0, 1, 2].map(|n| state(&balancer, address(n)));
    assert_eq!(states, [State::Up, State::Down, State::Up]);
    // It was not the check: one passes it.
    balancer.checked(at(2.0), ids[1], Finding::Passed, &rules);
    let states = [0, 1, 2].map(|n| state(&balancer, address(n)));
    assert_eq!(states, [State::Down, State::Up, State::Down]);
    // Answers that say that nothing works close it.
    for id in ids {
        balancer.checked(at(3.0), id, Finding::Failed, &rules);
    }
    assert!(balancer.down());
}

#[test]
fn who_is_at_the_bound_gets_no_more() {
    let rules = Balancing {
        max_in_flight: 3,
        ..Balancing::default()
    };
    let mut balancer = Balancer::new(rules, 1);
    balancer.set(&[site(0), site(1)]);
    let sent: Vec<_> = (0..6).map(|_| send(&mut balancer, at(0.0))).collect();
    assert_eq!(balancer.choose(at(0.0), login(&[])), Choice::Full);
    balancer.free(at(0.0), sent[0].0);
    assert_eq!(send(&mut balancer, at(0.0)).0, sent[0].0);
}

#[test]
fn nobody_new_goes_to_a_draining_backend_and_one_that_left_is_forgotten_when_idle() {
    let mut balancer = pool(2);
    let held: Vec<_> = (0..4).map(|_| send(&mut balancer, at(0.0))).collect();
    let drained = Site {
        drain: true,
        ..site(0)
    };
    balancer.set(&[drained, site(1)]);
    assert_eq!(state(&balancer, address(0)), State::Draining);
    for _ in 0..20 {
        assert_eq!(one_login(&mut balancer, at(0.0), LOGIN), address(1));
    }
    balancer.set(&[site(1)]);
    assert_eq!(state(&balancer, address(0)), State::Leaving);
    assert_eq!(balancer.len(), 1);
    for (id, _) in held {
        balancer.free(at(1.0), id);
    }
    balancer.tick(at(1.0));
    assert_eq!(balancer.gauges(at(1.0)).len(), 1);
}

#[test]
fn a_school_has_a_backend_and_another_one_while_that_is_full() {
    let rules = Balancing {
        max_in_flight: 2,
        ..Balancing::default()
    };
    let mut balancer = Balancer::new(rules, 5);
    balancer.set(&[site(0), site(1), site(2)]);
    let wish = Wish {
        kind: Kind::Login,
        rank: Rank::Login,
        home: Home::Hash(42),
        tried: &[],
    };
    let mut to = || match balancer.choose(at(0.0), wish) {
        Choice::At(_, address) => address,
        other => panic!("{other:?}"),
    };
    let sent = [to(), to(), to(), to(), to(), to()];
    assert!(
        sent[0] == sent[1] && sent[2] == sent[3] && sent[4] == sent[5],
        "{sent:?}"
    );
    assert!(sent[0] != sent[2] && sent[2] != sent[4]);
    assert_eq!(balancer.choose(at(0.0), wish), Choice::Full);
}

#[derive(Clone, Debug)]
enum Move {
    Send(bool),
    Good,
    Fail,
    Unreached,
    Leave,
    Check(usize, bool),
    Compared(usize, bool),
    Tick(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        8 => any::<bool>().prop_map(Move::Send),
        4 => Just(Move::Good),
        4 => Just(Move::Fail),
        1 => Just(Move::Unreached),
        1 => Just(Move::Leave),
        1 => (0..8_usize, any::<bool>()).prop_map(|(n, passed)| Move::Check(n, passed)),
        2 => (0..8_usize, any::<bool>()).prop_map(|(n, slow)| Move::Compared(n, slow)),
        2 => (1..4_000_u64).prop_map(Move::Tick),
    ];
    proptest::collection::vec(one, 0..400)
}

proptest! {
    /// Whatever happens: requests are counted, bounds hold, the ejected are few and never all, and
    /// whoever asks gets a backend unless none can be reached or all are full.
    #[test]
    fn whatever_happens_the_balancer_holds_its_promises(backends in 1..8_usize, moves in moves()) {
        let rules = Balancing { max_in_flight: 5, ..Balancing::default() };
        let mut balancer = Balancer::new(rules, 3);
        let sites: Vec<Site> = (0..backends).map(site).collect();
        balancer.set(&sites);
        let mut now = Duration::ZERO;
        let mut sent: Vec<(Id, SocketAddr)> = Vec::new();
        for one in moves {
            match one {
                Move::Send(is_login) => {
                    let kind = if is_login { Kind::Login } else { Kind::Read };
                    match balancer.choose(now, Wish { kind, rank: Rank::Page, home: Home::Anywhere, tried: &[] }) {
                        Choice::At(id, to) => sent.push((id, to)),
                        Choice::Full => prop_assert!(!sent.is_empty()),
                        Choice::Nobody => prop_assert!(balancer.down()),
                        Choice::Away => prop_assert!(false, "there are no sessions"),
                        Choice::Try(..) => prop_assert!(false, "nobody has knocked"),
                    }
                }
                Move::Tick(ms) => {
                    now += Duration::from_millis(ms);
                    balancer.tick(now);
                }
                Move::Check(n, passed) => {
                    let id = Id::try_from(n % backends).unwrap();
                    let finding = if passed {
                        Finding::Passed
                    } else {
                        Finding::Failed
                    };
                    balancer.checked(now, id, finding, &Health::default());
                }
                Move::Compared(n, slow) => {
                    let id = Id::try_from(n % backends).unwrap();
                    balancer.compared(now, id, Some(slow));
                }
                _ if sent.is_empty() => {}
                other => {
                    let (id, _) = sent.remove(0);
                    match other {
                        Move::Good => good(&mut balancer, now, id, Some((Kind::Login, LOGIN))),
                        Move::Fail => balancer.failed(now, id, Kind::Login),
                        Move::Unreached => balancer.not_connected(now, id),
                        _ => {}
                    }
                    balancer.free(now, id);
                }
            }
            let gauges = balancer.gauges(now);
            for gauge in &gauges {
                let there = sent.iter().filter(|(_, to)| *to == gauge.address).count();
                prop_assert_eq!(gauge.in_flight as usize, there);
                prop_assert!(gauge.limit >= 1 && gauge.limit <= 5);
            }
            let out = gauges.iter().filter(|g| matches!(g.state, State::Ejected | State::Trial)).count();
            prop_assert!(out <= (backends * 3 / 10).max(1));
            prop_assert!(out < backends);
        }
    }
}
