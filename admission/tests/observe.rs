//! A pacer that only observes decides and reports, and holds nobody.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use einlass_admission::ledger::MemberId;
use einlass_admission::{
    Door, Entry, Fixed, Gatekeeper, Membership, Pass, Room, RoomKey, SchoolIndex, SchoolKey,
    Settings, Straight, Unix, Verdict, Weight,
};

const SCHOOL: SchoolIndex = SchoolIndex(0);
const LOGIN: Duration = Duration::from_millis(250);

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A room whose pacer would have four in flight.
fn room(epoch: u32, observe: bool, page_gate: bool) -> Gatekeeper<u32> {
    let settings = Settings {
        closed: false,
        observe,
        page_gate,
        ceiling: None,
        ticket_lifetime: Duration::from_hours(1),
        pass_tries: 3,
    };
    let school = (SchoolKey::of("gym.example"), Weight::new(900).unwrap());
    let pacer = Box::new(Fixed::new(4, None));
    Gatekeeper::new(Room::new([school]), epoch, settings, pacer)
}

/// Lets as many in as come at once, before the first step of anything.
fn lets_in(room: &mut Gatekeeper<u32>, now: Duration, pupils: u32) -> usize {
    (0..pupils)
        .filter(|_| room.straight(now) == Straight::Go)
        .count()
}

#[test]
fn with_the_login_as_the_gate_everybody_goes_straight_through() {
    let mut observed = room(1, true, false);
    assert_eq!(lets_in(&mut observed, at(0), 500), 500);
    assert_eq!(observed.in_flight(), (500, 4), "what it would decide");
    assert_eq!(lets_in(&mut room(1, false, false), at(0), 500), 4);
}

#[test]
fn with_the_page_as_the_gate_as_many_type_as_want_to() {
    for observe in [true, false] {
        let mut room = room(1, observe, true);
        // The pacer learns the pace, and that somebody types for six seconds.
        let mut now = at(0);
        let mut served = 0;
        for number in 0..400 {
            now += at(50);
            if room.straight(now) == Straight::Go {
                served += 1;
                let _ = room.finish(now, Verdict::Page);
            }
            let pass = Pass {
                room: RoomKey(1),
                school: SchoolKey::of("gym.example"),
                expires: Unix(1_000_000),
                id: number,
            };
            if number < 20 && room.enter_again(now, &pass, 0) == Ok(Entry::Go) {
                let _ = room.finish(now, Verdict::Hashed(LOGIN));
            }
            let _ = room.tick(now);
        }
        assert_eq!(served == 400, observe, "{served} pages");
    }
}

#[test]
fn whoever_waited_when_the_gateway_stopped_may_go_at_once_and_holds_up_nobody() {
    let mut before = room(1, false, false);
    let turns: Vec<_> = (0..1_000).map(|_| before.join(SCHOOL).unwrap()).collect();
    for observe in [true, false] {
        let mut after = room(2, observe, false);
        after.restore(before.state());
        assert_eq!(after.waiting(), 1_000);
        let straight = lets_in(&mut after, at(10), 100);
        let _ = after.tick(at(50));
        let may_go = turns
            .iter()
            .filter(|(turn, _)| after.serving().admits(*turn));
        let may_go = may_go.count();
        if observe {
            assert_eq!((straight, may_go, after.waiting()), (100, 1_000, 0));
            for (turn, epoch) in &turns {
                let entry = after.enter(at(60), SCHOOL, *turn, *epoch, 0);
                assert_eq!(entry, Ok(Entry::Go));
            }
        } else {
            assert_eq!(straight, 0);
            assert!(may_go < 20, "{may_go}");
        }
    }
}

/// Nothing was restored: all that tells of those who wait are their tickets.
#[test]
fn a_ticket_of_a_run_that_nobody_remembers_is_good_at_once() {
    let mut before = room(1, false, false);
    let turns: Vec<_> = (0..50).map(|_| before.join(SCHOOL).unwrap()).collect();
    let mut after = room(2, true, false);
    for (turn, _) in &turns {
        after.observe(SCHOOL, *turn);
    }
    let _ = after.tick(at(50));
    for (turn, epoch) in turns {
        assert_eq!(after.enter(at(60), SCHOOL, turn, epoch, 0), Ok(Entry::Go));
    }
}

#[test]
fn a_gateway_that_reaches_no_ledger_holds_nobody_either() {
    let mut before = room(1, false, false);
    let turns: Vec<_> = (0..1_000).map(|_| before.join(SCHOOL).unwrap()).collect();
    let mut alone = room(2, true, false).in_fleet(Membership {
        member: MemberId(1),
        share_unheard: 4,
    });
    alone.restore(before.state());
    assert_eq!(lets_in(&mut alone, at(10), 100), 100);
    for tick in 1..100 {
        let _ = alone.tick(at(50 * tick));
    }
    let may_go = turns
        .iter()
        .filter(|(turn, _)| alone.serving().admits(*turn));
    assert_eq!(may_go.count(), 1_000);
    assert_eq!(lets_in(&mut alone, at(5_000), 100), 100);
}

#[test]
fn without_a_backend_everybody_keeps_a_place_and_all_go_when_it_is_back() {
    let mut room = room(1, true, false);
    room.set_down(true);
    assert_eq!(room.door(), Door::Down);
    assert_eq!(lets_in(&mut room, at(0), 10), 0);
    let turns: Vec<_> = (0..10).map(|_| room.join(SCHOOL).unwrap()).collect();
    let _ = room.tick(at(50));
    assert_eq!(room.waiting(), 10);
    room.set_down(false);
    let _ = room.tick(at(100));
    assert!(turns.iter().all(|(turn, _)| room.serving().admits(*turn)));
}
