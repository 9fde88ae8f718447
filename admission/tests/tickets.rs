//! Tickets, passes and seals: what is not ours gains nothing.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use einlass_admission::{Keyring, Pass, RoomKey, SchoolKey, Ticket, Turn, Unix, pass::Tries, seal};
use proptest::prelude::*;

const HOUR: Duration = Duration::from_hours(1);

fn keys(id: u8) -> Keyring {
    Keyring::parse(&Keyring::text(id, &[id ^ 0x5a; 32])).expect("a key file")
}

fn ticket() -> Ticket {
    Ticket {
        room: RoomKey::of("north"),
        school: SchoolKey::of("gym.example"),
        turn: Turn(77),
        issued: Unix(10_000),
        epoch: 3,
        staff: false,
    }
}

fn decode(keys: &Keyring, text: &str) -> Option<Ticket> {
    let t = ticket();
    Ticket::decode(keys, text, t.room, t.school, Unix(10_010), HOUR)
}

#[test]
fn a_ticket_comes_back_as_it_was() {
    assert_eq!(decode(&keys(1), &ticket().encode(&keys(1))), Some(ticket()));
}

#[test]
fn a_ticket_of_another_school_room_or_key_is_nothing() {
    let text = ticket().encode(&keys(1));
    let (room, school) = (ticket().room, ticket().school);
    let at = Unix(10_010);
    let other = SchoolKey::of("other.example");
    assert_eq!(Ticket::decode(&keys(1), &text, room, other, at, HOUR), None);
    let other = RoomKey::of("south");
    assert_eq!(
        Ticket::decode(&keys(1), &text, other, school, at, HOUR),
        None
    );
    assert_eq!(decode(&keys(2), &text), None);
}

#[test]
fn a_ticket_lives_for_its_lifetime_and_from_clocks_ahead() {
    let text = ticket().encode(&keys(1));
    let at = |now| {
        Ticket::decode(
            &keys(1),
            &text,
            ticket().room,
            ticket().school,
            Unix(now),
            HOUR,
        )
        .is_some()
    };
    assert!(at(13_600));
    assert!(!at(13_601));
    assert!(at(6_400), "another gateway's clock may be an hour ahead");
}

#[test]
fn a_rotated_key_is_believed_until_it_is_removed() {
    let old = ticket().encode(&keys(1));
    let both = format!(
        "{}{}",
        Keyring::text(2, &[0x58; 32]),
        Keyring::text(1, &[0x5b; 32])
    );
    let both = Keyring::parse(&both).expect("two keys");
    assert_eq!(decode(&both, &old), Some(ticket()));
    assert_eq!(decode(&both, &ticket().encode(&both)), Some(ticket()));
    assert_eq!(
        decode(&keys(2), &ticket().encode(&both)),
        Some(ticket()),
        "the first line signs"
    );
}

#[test]
fn a_key_file_with_mistakes_says_where() {
    let line = Keyring::text(9, &[9; 32]);
    let message = |text: &str| Keyring::parse(text).expect_err("a mistake").to_string();
    assert!(message("# nothing\n").starts_with("no key"));
    assert!(message(&format!("{line}x y\n")).starts_with("line 3:"));
    assert!(message(&format!("{line}{line}")).contains("key id 9 is taken"));
    assert!(message("1 c2hvcnQ=\n").starts_with("line 1:"));
}

#[test]
fn a_pass_is_no_ticket_and_a_ticket_no_pass() {
    let keys = keys(1);
    let pass = Pass {
        room: ticket().room,
        school: ticket().school,
        expires: Unix(20_000),
        id: 5,
    };
    let (room, school) = (pass.room, pass.school);
    let text = pass.encode(&keys);
    assert_eq!(
        Pass::decode(&keys, &text, room, school, Unix(20_000)),
        Some(pass)
    );
    assert_eq!(Pass::decode(&keys, &text, room, school, Unix(20_001)), None);
    assert_eq!(decode(&keys, &text), None);
    assert_eq!(
        Pass::decode(&keys, &ticket().encode(&keys), room, school, Unix(1)),
        None
    );
    assert_eq!(
        Pass::decode(&keys, &text, room, SchoolKey::of("x"), Unix(1)),
        None
    );
}

#[test]
fn a_pass_has_its_tries_and_is_forgotten_when_it_expires() {
    let pass = Pass {
        room: RoomKey(1),
        school: SchoolKey(2),
        expires: Unix(100),
        id: 5,
    };
    let mut tries = Tries::default();
    assert!(tries.take(&pass, 2));
    assert!(tries.take(&pass, 2));
    assert!(!tries.take(&pass, 2));
    tries.expire(Unix(100));
    assert_eq!(tries.len(), 1);
    tries.expire(Unix(101));
    assert!(tries.is_empty());
}

#[test]
fn a_seal_opens_with_its_own_ticket_only() {
    let keys = keys(1);
    let sealed = seal::seal(&keys, "mine", [7; seal::NONCE_LENGTH], b"geheim").expect("sealed");
    assert_eq!(
        seal::open(&keys, "mine", &sealed).as_deref(),
        Some(b"geheim".as_slice())
    );
    assert_eq!(seal::open(&keys, "yours", &sealed), None);
    assert_eq!(seal::open(&self::keys(2), "mine", &sealed), None);
    assert!(!sealed.contains("geheim"));
}

proptest! {
    #[test]
    fn a_ticket_changed_in_any_place_is_nothing(at in 0..96_usize, to in "[A-Za-z0-9_-]") {
        let keys = keys(1);
        let text = ticket().encode(&keys);
        let at = at % text.len();
        let changed = format!("{}{}{}", &text[..at], to, &text[at + 1..]);
        prop_assert_eq!(decode(&keys, &changed).is_some(), changed == text);
    }

    #[test]
    fn a_truncated_or_foreign_text_is_nothing(cut in 0..96_usize, text in ".{0,300}") {
        let keys = keys(1);
        let whole = ticket().encode(&keys);
        prop_assert_eq!(decode(&keys, &whole[..cut % whole.len()]), None);
        prop_assert_eq!(decode(&keys, &text), None);
        prop_assert_eq!(seal::open(&keys, "mine", &text), None);
    }

    #[test]
    fn every_ticket_comes_back(turn in any::<u64>(), issued in 0..10_u64, epoch in any::<u32>()) {
        let keys = keys(4);
        let t = Ticket { turn: Turn(turn), issued: Unix(issued), epoch, ..ticket() };
        let back = Ticket::decode(&keys, &t.encode(&keys), t.room, t.school, Unix(10), HOUR);
        prop_assert_eq!(back, Some(t));
    }
}
