//! What the room costs: per poll, per join, per tick, per login. 2,000 schools, as on the morning
//! it is built for.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::expect_used, reason = "a benchmark may fail")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use einlass_admission::{
    Curve, Fixed, Gatekeeper, Keyring, Room, RoomKey, SchoolIndex, SchoolKey, Settings, Ticket,
    Turn, Unix, View, Weight, seal,
};

const SCHOOLS: u32 = 2_000;
const LIFETIME: Duration = Duration::from_hours(2);

/// 2,000 schools of 200 to 1,399 pupils; in each of them `pupils` wait.
fn room(pupils: u32) -> Room {
    let mut room = Room::new((0..SCHOOLS).map(|i| {
        let key = SchoolKey::of(&format!("school-{i}.example"));
        (key, Weight::new(200 + (i * 577) % 1_200).expect("a weight"))
    }));
    for school in 0..SCHOOLS {
        for _ in 0..pupils {
            room.join(SchoolIndex(school));
        }
    }
    room
}

fn gatekeeper(pupils: u32) -> Gatekeeper<()> {
    let settings = Settings {
        closed: false,
        ceiling: None,
        ticket_lifetime: LIFETIME,
        pass_tries: 3,
    };
    let mut keeper = Gatekeeper::new(room(0), 1, settings, Box::new(Fixed::new(200, None)));
    for school in 0..SCHOOLS {
        for _ in 0..pupils {
            keeper.join(SchoolIndex(school));
        }
    }
    keeper
}

fn ticket() -> Ticket {
    Ticket {
        room: RoomKey::of("north"),
        school: SchoolKey::of("school-7.example"),
        turn: Turn(77_000_000_000),
        issued: Unix(1_610_348_400),
        epoch: 3,
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

fn polls(c: &mut Criterion) {
    let room = room(60);
    let view = View {
        pace: Some(800.0),
        ..gatekeeper(60).view()
    };
    let turns: Vec<Turn> = room
        .schools()
        .iter()
        .map(|s| Turn(s.last().0 / 2))
        .collect();
    let mut next = 0;
    c.bench_function("poll/standing", |b| {
        b.iter(|| {
            next = (next + 1) % turns.len();
            let step = room.schools()[next].weight().step();
            black_box(&view).standing(view.serving, turns[next], step, 0.5)
        });
    });
}

fn registers(c: &mut Criterion) {
    let mut busy = room(60);
    let mut next = 0;
    c.bench_function("room/join", |b| {
        b.iter(|| {
            next = (next + 1) % SCHOOLS;
            busy.join(SchoolIndex(next))
        });
    });
    let busy = room(60);
    for pupils in [1, 50, 5_000] {
        c.bench_function(&format!("room/release {pupils}"), |b| {
            b.iter_batched_ref(
                || busy.clone(),
                |room| room.release(black_box(pupils)),
                BatchSize::SmallInput,
            );
        });
    }
    c.bench_function("room/curve", |b| b.iter(|| Curve::of(black_box(&busy))));
}

fn keeper(c: &mut Criterion) {
    let mut busy = gatekeeper(60);
    c.bench_function("gatekeeper/view", |b| b.iter(|| busy.view()));
    c.bench_function("gatekeeper/state ahead", |b| {
        b.iter(|| busy.state_ahead(Duration::from_secs(1)));
    });
    let mut now = Duration::ZERO;
    c.bench_function("gatekeeper/tick", |b| {
        b.iter(|| {
            now += Duration::from_millis(50);
            let school = SchoolIndex(u32::try_from(now.as_millis() / 50 % 2_000).unwrap_or(0));
            // One comes for each that goes, so that the backlog stays.
            busy.join(school);
            busy.tick(now)
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
