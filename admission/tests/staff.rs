//! Staff of a school: a line as large as its share, which takes nothing from anybody's order.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use einlass_admission::{
    BadPass, Fixed, Gatekeeper, Keyring, Pass, Room, RoomKey, SchoolIndex, SchoolKey, Settings,
    StaffPass, StaffShare, Ticket, Turn, Unix, Weight,
};
use proptest::prelude::*;

fn without_staff(weights: &[u32]) -> Room {
    Room::new(weights.iter().enumerate().map(|(i, w)| {
        let key = SchoolKey::of(&format!("school-{i}.example"));
        (key, Weight::new(*w).unwrap())
    }))
}

fn room(weights: &[u32], share: f64) -> Room {
    without_staff(weights).with_staff(StaffShare::new(share).unwrap())
}

fn join(room: &mut Room, line: SchoolIndex, people: u32) {
    for _ in 0..people {
        room.join(line).unwrap();
    }
}

/// Every school with the line of its staff, and its weight.
fn lines(room: &Room, weights: &[u32]) -> Vec<(SchoolIndex, SchoolIndex, u32)> {
    let schools = (0..).map(SchoolIndex).zip(weights);
    let staff = |school| room.staff(school).unwrap().0;
    schools.map(|(s, w)| (s, staff(s), *w)).collect()
}

fn weights() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(prop_oneof![1..30_u32, 50..2_000_u32], 1..12)
}

/// As many wait as are enrolled, but of a small school some more, so that there is a crowd.
fn crowd_of(weight: u32) -> u32 {
    weight.max(60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn while_its_pupils_wait_a_schools_staff_have_their_share_and_no_more(
        weights in weights(),
        share in 0.005..0.5,
        away in any::<u16>(),
        chunks in proptest::collection::vec((1..200_u64, 0..40_u32), 100),
    ) {
        let mut room = room(&weights, share);
        let lines = lines(&room, &weights);
        // Of some schools nobody comes but staff.
        let comes = |school: SchoolIndex| away & (1 << school.0) == 0;
        for (school, staff, weight) in &lines {
            if comes(*school) {
                join(&mut room, *school, crowd_of(*weight));
            }
            join(&mut room, *staff, 5);
        }
        let mut staff_joined = vec![5_u64; lines.len()];
        let per_pupil = share / (1.0 - share);
        for (pupils, flood) in chunks {
            room.release(pupils);
            for (i, (school, staff, weight)) in lines.iter().enumerate() {
                if room.waiting_in(*school) == 0 {
                    continue;
                }
                let pupils = (u64::from(crowd_of(*weight)) - room.waiting_in(*school)) as f64;
                let served = (staff_joined[i] - room.waiting_in(*staff)) as f64;
                let most = per_pupil * (pupils + 1.0) + 1.0;
                prop_assert!(served <= most + 1e-6, "{served} of {pupils} pupils");
                // Those who were there from the beginning had nobody to wait for but one another.
                let least = (per_pupil * (pupils - 1.0) - 1.0).min(5.0);
                prop_assert!(served >= least - 1e-6, "{served} of {pupils} pupils");
            }
            // The link goes round.
            for (i, (_, staff, _)) in lines.iter().enumerate() {
                let waiting = room.waiting_in(*staff);
                if waiting < 250 {
                    join(&mut room, *staff, flood);
                    staff_joined[i] += room.waiting_in(*staff) - waiting;
                }
            }
        }
    }

    #[test]
    fn a_school_keeps_its_part_however_many_staff_the_others_have(
        weights in proptest::collection::vec(50..2_000_u32, 2..12),
        share in 0.005..0.5,
        released in 1..2_000_u64,
    ) {
        let mut room = room(&weights, share);
        let lines = lines(&room, &weights);
        for (school, staff, weight) in &lines {
            join(&mut room, *school, *weight);
            join(&mut room, *staff, *weight);
        }
        room.release(released);
        let total: u32 = weights.iter().sum();
        let rounding = 2.0 * weights.len() as f64;
        let part = (released as f64 - rounding) * (1.0 - share) / f64::from(total);
        for (school, _, weight) in &lines {
            let left = room.waiting_in(*school);
            let served = (u64::from(*weight) - left) as f64;
            let least = part * f64::from(*weight) - 1.0;
            prop_assert!(left == 0 || served >= least, "{served} of {least}");
        }
    }

    #[test]
    fn pupils_stand_where_they_would_stand_without_staff(
        weights in proptest::collection::vec(1..2_000_u32, 12),
        share in 0.001..0.5,
        joins in proptest::collection::vec((0..12_u32, any::<bool>()), 1..400),
    ) {
        let mut with = room(&weights, share);
        let mut without = without_staff(&weights);
        for (school, is_staff) in joins {
            let school = SchoolIndex(school);
            if is_staff {
                let (staff, _) = with.staff(school).unwrap();
                let before = with.schools()[staff.0 as usize].last();
                prop_assert!(with.join(staff).unwrap() > before, "staff are in order too");
            } else {
                prop_assert_eq!(with.join(school), without.join(school));
            }
        }
    }

    #[test]
    fn a_pass_changed_in_any_place_is_nothing(at in 0..70_usize, to in "[A-Za-z0-9_-]") {
        let keys = keys(1);
        let text = pass().encode(&keys);
        let at = at % text.len();
        let changed = format!("{}{}{}", &text[..at], to, &text[at + 1..]);
        let read = StaffPass::decode(&keys, &changed, pass().school, Unix(100));
        // The last letter has two bits that mean nothing; text that is not ours is refused for them.
        prop_assert_eq!(read.is_ok(), changed == text);
    }
}

#[test]
fn what_one_side_does_not_use_the_other_gets() {
    let mut room = room(&[800; 20], 0.05);
    let lines = lines(&room, &[800; 20]);
    for (_, staff, _) in &lines {
        join(&mut room, *staff, 3);
    }
    assert_eq!(room.staff_waiting(), 60);
    assert_eq!(room.release(60), 60);
    assert_eq!(room.staff_waiting(), 0);
    for (school, ..) in &lines {
        join(&mut room, *school, 100);
    }
    assert_eq!(room.release(2_000), 2_000);
    assert_eq!((room.waiting(), room.staff_waiting()), (0, 0));
}

#[test]
fn teachers_who_come_last_are_in_long_before_their_school() {
    let mut room = room(&[800; 40], 0.1);
    let lines = lines(&room, &[800; 40]);
    for (school, ..) in &lines {
        join(&mut room, *school, 800);
    }
    let (school, staff, _) = lines[7];
    for nth in 1..=20 {
        let turn = room.join(staff).unwrap();
        // Nine pupils of each school to one of the staff, and one by rounding.
        let ahead = room.ahead(turn);
        assert!(ahead <= 40 * (9 * nth + 1) + nth, "{ahead} before {nth}");
    }
    let late = room.join(school).unwrap();
    assert!(room.ahead(late) > 32_000);
}

const GYM: SchoolIndex = SchoolIndex(0);
const OTHER: SchoolIndex = SchoolIndex(1);

#[test]
fn a_pass_makes_nobody_wait_longer() {
    let mut room = room(&[900, 900], 0.05);
    let (staff, _) = room.staff(GYM).unwrap();
    assert_eq!(room.staff(staff), None, "staff have no staff");
    assert_eq!(room.staff(SchoolIndex(4)), None);
    join(&mut room, GYM, 500);
    // A leaked link: once the staff's line is longer than the pupils', it helps nobody any more.
    let mut places = 0_u64;
    for _ in 0..500 {
        let line = room.soonest(GYM);
        let turn = room.join(line).unwrap();
        assert!(!room.staff_before(GYM, turn) || line == GYM);
        places += u64::from(line == staff);
    }
    assert!((40..=55).contains(&places), "{places} in a thousand");
    assert_eq!(room.staff_waiting(), places);
    // The other school has not noticed.
    join(&mut room, OTHER, 100);
    let first = room.soonest(OTHER);
    assert_ne!(first, OTHER);
    let turn = room.join(first).unwrap();
    let own = room.place(first, turn);
    assert_eq!(own, 1);
}

#[test]
fn without_a_share_staff_wait_among_the_pupils() {
    let mut room = without_staff(&[900, 900]);
    join(&mut room, GYM, 500);
    assert_eq!((room.staff(GYM), room.soonest(GYM)), (None, GYM));
    assert!(!room.staff_before(GYM, Turn(u64::MAX)));
    assert_eq!(room.staff_waiting(), 0);
}

fn keeper() -> Gatekeeper<()> {
    let settings = Settings {
        closed: false,
        observe: false,
        page_gate: false,
        ceiling: None,
        ticket_lifetime: Duration::from_hours(1),
        pass_tries: 3,
    };
    let pacer = Box::new(Fixed::new(4, None));
    Gatekeeper::new(room(&[900, 900], 0.05), 1, settings, pacer)
}

#[test]
fn staff_keep_their_places_over_a_restart() {
    for killed in [false, true] {
        let mut before = keeper();
        let (staff, _) = before.room().staff(GYM).unwrap();
        for _ in 0..500 {
            before.join(GYM).unwrap();
        }
        let given: Vec<Turn> = (0..7).map(|_| before.join(staff).unwrap().0).collect();
        let state = if killed {
            before.state_ahead(Duration::from_secs(1))
        } else {
            before.state()
        };
        let mut after = keeper();
        after.restore(state);
        let waiting = given.iter().filter(|turn| !after.serving().admits(**turn));
        let waiting = waiting.count() as u64;
        assert!(after.room().staff_waiting() >= waiting && (killed || waiting == 7));
        let (next, _) = after.join(staff).unwrap();
        assert!(given.iter().all(|turn| *turn < next), "given once");
    }
}

fn keys(id: u8) -> Keyring {
    Keyring::parse(&Keyring::text(id, &[id ^ 0x5a; 32])).expect("a key file")
}

fn pass() -> StaffPass {
    StaffPass {
        school: SchoolKey::of("gym.example"),
        expires: Unix(20_000),
    }
}

#[test]
fn a_staff_pass_is_good_at_its_school_until_it_expires() {
    let text = pass().encode(&keys(1));
    let read =
        |keys: &Keyring, host, now| StaffPass::decode(keys, &text, SchoolKey::of(host), Unix(now));
    assert_eq!(read(&keys(1), "gym.example", 20_000), Ok(pass()));
    assert_eq!(read(&keys(1), "gym.example", 20_001), Err(BadPass::Expired));
    assert_eq!(read(&keys(1), "x.example", 10_000), Err(BadPass::Foreign));
    assert_eq!(read(&keys(2), "gym.example", 10_000), Err(BadPass::Unknown));
    for broken in ["", "x", &text[..40], &format!("{text}A"), "\u{1}"] {
        let read = StaffPass::decode(&keys(1), broken, pass().school, Unix(1));
        assert_eq!(read, Err(BadPass::Unknown), "{broken:?}");
    }
}

#[test]
fn a_staff_pass_outlives_a_rotation_until_its_key_is_removed() {
    let old = pass().encode(&keys(1));
    let both = format!(
        "{}{}",
        Keyring::text(2, &[0x58; 32]),
        Keyring::text(1, &[0x5b; 32])
    );
    let both = Keyring::parse(&both).expect("two keys");
    let read = |keys: &Keyring, text: &str| {
        StaffPass::decode(keys, text, pass().school, Unix(1)).map(|_| ())
    };
    assert_eq!(read(&both, &old), Ok(()));
    assert_eq!(read(&keys(2), &pass().encode(&both)), Ok(()));
    assert_eq!(read(&keys(2), &old), Err(BadPass::Unknown));
}

#[test]
fn a_staff_place_a_place_and_a_pass_are_three_things() {
    let keys = keys(1);
    let ticket = |staff| Ticket {
        room: RoomKey::of("north"),
        school: pass().school,
        turn: Turn(77),
        issued: Unix(10),
        epoch: 3,
        staff,
    };
    let hour = Duration::from_hours(1);
    let (room, school) = (ticket(true).room, ticket(true).school);
    for staff in [false, true] {
        let text = ticket(staff).encode(&keys);
        let read = Ticket::decode(&keys, &text, room, school, Unix(10), hour);
        assert_eq!(read, Some(ticket(staff)));
        let elsewhere = SchoolKey::of("other.example");
        let read = Ticket::decode(&keys, &text, room, elsewhere, Unix(10), hour);
        assert_eq!(read, None, "bound to the school, also among the staff");
        let read = StaffPass::decode(&keys, &text, school, Unix(10));
        assert_eq!(read, Err(BadPass::Unknown));
        assert_eq!(Pass::decode(&keys, &text, room, school, Unix(10)), None);
    }
    assert_ne!(ticket(false).encode(&keys), ticket(true).encode(&keys));
    let text = pass().encode(&keys);
    let read = Ticket::decode(&keys, &text, room, school, Unix(10), hour);
    assert_eq!(read, None);
    assert_eq!(Pass::decode(&keys, &text, room, school, Unix(10)), None);
}
