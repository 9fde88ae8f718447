//! What the room costs: per poll, per join, per tick, per login. 2,000 schools, as on the morning
//! it is built for, with 2,000 pupils waiting in each of them.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::expect_used, reason = "a benchmark may fail")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use einlass_admission::{
    Curve, Fixed, Gatekeeper, Keyring, Outlook, Room, RoomKey, SchoolIndex, SchoolKey, Settings,
    Standing, Ticket, Turn, Unix, View, Weight, seal,
};

const SCHOOLS: u32 = 2_000;
/// Waiting in each school: more than come to most, so that no school's line runs dry.
const PUPILS: u32 = 2_000;
const LIFETIME: Duration = Duration::from_hours(2);

/// 2,000 schools of 700 to 1,899 pupils that nobody has come to yet: so many that nobody pays for a flood.
fn empty_room() -> Room {
    Room::new((0..SCHOOLS).map(|i| {
        let key = SchoolKey::of(&format!("school-{i}.example"));
        (key, Weight::new(700 + (i * 577) % 1_200).expect("a weight"))
    }))
}

/// The same with everybody waiting: 4,000,000 pupils.
fn full_room() -> Room {
    let mut room = empty_room();
    for school in 0..SCHOOLS {
        for _ in 0..PUPILS {
            room.join(SchoolIndex(school));
        }
    }
    assert_eq!(room.waiting(), u64::from(SCHOOLS * PUPILS));
    room
}

fn full_gatekeeper() -> Gatekeeper<()> {
    let settings = Settings {
        closed: false,
        observe: false,
        page_gate: false,
        ceiling: None,
        ticket_lifetime: LIFETIME,
        pass_tries: 3,
    };
    let pacer = Box::new(Fixed::new(200, None));
    let mut keeper = Gatekeeper::new(empty_room(), 1, settings, pacer);
    for school in 0..SCHOOLS {
        for _ in 0..PUPILS {
            keeper.join(SchoolIndex(school));
        }
    }
    keeper
}

/// Goes round the schools.
fn next_of(school: &mut u32) -> SchoolIndex {
    *school = (*school + 1) % SCHOOLS;
    SchoolIndex(*school)
}

fn ticket() -> Ticket {
    Ticket {
        room: RoomKey::of("north"),
        school: SchoolKey::of("school-7.example"),
        turn: Turn(77_000_000_000),
        issued: Unix(1_610_348_400),
        epoch: 3,
        staff: false,
    }
}

fn keys() -> Keyring {
    Keyring::parse(&Keyring::text(1, &[7; 32])).expect("a key file")
}

fn tickets(c: &mut Criterion) {
    let (keys, ticket) = (keys(), ticket());
    let now = Unix(ticket.issued.0 + 60);
    c.bench_function("ticket/encode", |b| {
        b.iter(|| black_box(&ticket).encode(&keys));
    });
    let text = ticket.encode(&keys);
    let decode =
        |text: &str| Ticket::decode(&keys, text, ticket.room, ticket.school, now, LIFETIME);
    c.bench_function("ticket/decode", |b| b.iter(|| decode(black_box(&text))));
    let forged = format!("{}AAAA", &text[..text.len() - 4]);
    c.bench_function("ticket/decode forged", |b| {
        b.iter(|| decode(black_box(&forged)));
    });
}

/// All that one poll makes the room decide: is the ticket ours, and where does its pupil stand.
fn polls(c: &mut Criterion) {
    let (keys, now) = (keys(), Unix(ticket().issued.0 + 60));
    let view = View {
        pace: Some(800.0),
        settled: true,
        outlook: Outlook {
            pace: Some(800.0),
            ..Outlook::default()
        },
        ..full_gatekeeper().view()
    };
    let room = full_room();
    // One pupil of each school, from the very front of its line to the very end.
    let waiting: Vec<_> = (0..SCHOOLS)
        .zip(room.schools())
        .map(|(i, school)| {
            let line = school.last().0 - view.serving.0;
            let turn = Turn(view.serving.0 + line / u64::from(SCHOOLS) * u64::from(i + 1));
            let ticket = Ticket {
                turn,
                school: school.key(),
                ..ticket()
            };
            (ticket, ticket.encode(&keys), school.weight().step())
        })
        .collect();
    let stands = |turn, step| black_box(&view).standing(view.serving, turn, step, 0.5);
    for (ticket, _, step) in &waiting {
        assert!(matches!(
            stands(ticket.turn, *step),
            Standing::Waiting { .. }
        ));
    }
    let mut next = waiting.iter().cycle();
    c.bench_function("poll/standing", |b| {
        b.iter(|| {
            next.next()
                .map(|(ticket, _, step)| stands(ticket.turn, *step))
        });
    });
    c.bench_function("poll/decode and standing", |b| {
        b.iter(|| {
            let (ticket, text, step) = next.next()?;
            let known = Ticket::decode(
                &keys,
                black_box(text),
                ticket.room,
                ticket.school,
                now,
                LIFETIME,
            );
            Some(stands(known?.turn, *step))
        });
    });
}

fn registers(c: &mut Criterion) {
    let full = full_room();
    let (mut busy, mut school) = (full.clone(), 0);
    c.bench_function("room/join", |b| {
        b.iter(|| busy.join(next_of(&mut school)));
    });
    for pupils in [1, 50, 5_000] {
        c.bench_function(&format!("room/release {pupils}"), |b| {
            // Every release finds all the schools' lines as they were.
            b.iter_batched_ref(
                || full.clone(),
                |room| room.release(black_box(pupils)),
                BatchSize::SmallInput,
            );
        });
    }
    c.bench_function("room/curve", |b| b.iter(|| Curve::of(black_box(&full))));
}

fn keeper(c: &mut Criterion) {
    let mut busy = full_gatekeeper();
    c.bench_function("gatekeeper/view", |b| b.iter(|| busy.view()));
    c.bench_function("gatekeeper/state ahead", |b| {
        b.iter(|| busy.state_ahead(Duration::from_secs(1)));
    });
    let full = busy.waiting();
    let (mut now, mut school) = (Duration::ZERO, 0);
    c.bench_function("gatekeeper/tick", |b| {
        b.iter_custom(|ticks| {
            let mut spent = Duration::ZERO;
            for _ in 0..ticks {
                // One comes for each that went, so that all lines stay as long as they were.
                while busy.waiting() < full {
                    busy.join(next_of(&mut school));
                }
                now += Duration::from_millis(50);
                let begun = Instant::now();
                let granted = busy.tick(now);
                spent += begun.elapsed();
                drop(granted);
            }
            spent
        });
    });
}

fn seals(c: &mut Criterion) {
    let (keys, login) = (keys(), [b'x'; 1_024]);
    let ticket = ticket().encode(&keys);
    let seal = |plain: &[u8]| seal::seal(&keys, &ticket, [7; seal::NONCE_LENGTH], plain);
    c.bench_function("seal/1 KiB", |b| b.iter(|| seal(black_box(&login))));
    let sealed = seal(&login).expect("short enough");
    c.bench_function("seal/open 1 KiB", |b| {
        b.iter(|| seal::open(&keys, &ticket, black_box(&sealed)));
    });
}

criterion_group!(benches, tickets, polls, registers, keeper, seals);
criterion_main!(benches);
