//! Single calls: what each leaves behind.

use std::time::Duration;

use einlass_admission::ledger::{
    Caller, Events, Exchange, Join, Leave, MemberId, PACER_LEASE, Publish, Seen, TicketKey,
};
use einlass_admission::{RoomKey, SchoolKey, Serving};

use crate::reaching::connected;
use crate::saying::{publication, wants};
use crate::server::RedisServer;

#[tokio::test(flavor = "multi_thread")]
async fn flushed_functions_are_loaded_again() {
    let server = RedisServer::start(&[]);
    let ledger = connected(&server).await;
    let room = ledger.room(RoomKey(5));
    let mut call = Join {
        caller: Caller {
            member: MemberId(1),
            nonce: 5,
            seen: Seen::default(),
        },
        schools: vec![(SchoolKey(1), 0, 1)],
    };
    room.join(&call).await.unwrap();
    server.cli(&["FUNCTION", "FLUSH"]);
    call.caller.nonce = 6;
    let begun = std::time::Instant::now();
    let joined = loop {
        match room.join(&call).await {
            Ok(joined) => break joined,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(5), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!((joined.epoch, joined.upto), (6, vec![2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pacer_that_was_stopped_can_publish_nothing() {
    let server = RedisServer::start(&[]);
    let ledger = connected(&server).await;
    let room = ledger.room(RoomKey(9));
    let first = room.exchange(&wants(1, 5, Seen::default())).await.unwrap();
    let epoch = first.seen.epoch;
    let old = first.conduct.expect("the first is the pacer").fence;
    let publish = publication(1, epoch, old, 100, 4);
    assert!(room.publish(&publish).await.unwrap());
    // While its lease runs it stays the pacer, and nobody else can say anything with its fence.
    let second = room.exchange(&wants(2, 6, Seen::default())).await.unwrap();
    assert_eq!((second.conduct, second.cap), (None, 4));
    let stolen = publication(2, epoch, old, 900, 99);
    assert!(!room.publish(&stolen).await.unwrap());
    tokio::time::sleep(PACER_LEASE + Duration::from_millis(100)).await;
    let second = room.exchange(&wants(2, 7, second.seen)).await.unwrap();
    let new = second.conduct.expect("nobody else asked in time").fence;
    assert!(new > old, "{new} after {old}");
    // The first wakes up in the middle of what it was about to say, with each fence it could have.
    for (member, fence) in [(1, old), (1, new), (2, old)] {
        let late = publication(member, epoch, fence, 500, 99);
        assert!(!room.publish(&late).await.unwrap(), "{member} with {fence}");
    }
    let seen = room.exchange(&wants(2, 8, second.seen)).await.unwrap();
    assert_eq!((seen.cap, seen.serving), (4, Serving(100)));
    let right = publication(2, epoch, new, 200, 6);
    assert!(room.publish(&right).await.unwrap());
    let seen = room.exchange(&wants(1, 9, first.seen)).await.unwrap();
    assert_eq!((seen.cap, seen.serving), (6, Serving(200)));
    assert_eq!(seen.conduct, None, "the first is the pacer no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_good_bye_leaves_slots_at_once_and_its_tickets_used() {
    let server = RedisServer::start(&[]);
    let ledger = connected(&server).await;
    let room = ledger.room(RoomKey(3));
    let ticket = |tooth| TicketKey {
        epoch: 5,
        school: SchoolKey(1),
        tooth,
    };
    let first = room.exchange(&wants(1, 5, Seen::default())).await.unwrap();
    let second = room.exchange(&wants(2, 6, Seen::default())).await.unwrap();
    let fence = first.conduct.expect("the first is the pacer").fence;
    // Nothing is decided in the first second.
    let mut last = second;
    while last.recovering {
        tokio::time::sleep(Duration::from_millis(50)).await;
        room.exchange(&wants(1, 7, first.seen)).await.unwrap();
        last = room.exchange(&wants(2, 8, last.seen)).await.unwrap();
    }
    let claims = Exchange {
        claims: vec![ticket(1), ticket(2)],
        ..wants(1, 9, first.seen)
    };
    assert_eq!(room.exchange(&claims).await.unwrap().refused, []);
    let publish = publication(1, first.seen.epoch, fence, 1, 4);
    assert!(room.publish(&publish).await.unwrap());
    assert_eq!(
        room.exchange(&wants(1, 10, first.seen))
            .await
            .unwrap()
            .share,
        4
    );
    let leave = Leave {
        member: MemberId(1),
        events: Events {
            left: 1,
            ..Events::default()
        },
        sent: vec![ticket(1)],
        released: vec![ticket(2)],
    };
    room.leave(&leave).await.unwrap();
    let claims = Exchange {
        claims: vec![ticket(1), ticket(2)],
        ..wants(2, 11, last.seen)
    };
    let after = room.exchange(&claims).await.unwrap();
    assert_eq!(after.refused, [ticket(1)]);
    let conduct = after.conduct.expect("nobody else is left to be the pacer");
    assert_eq!(conduct.members.len(), 1);
    assert_eq!(conduct.events.iter().map(|e| e.left).sum::<u32>(), 1);
    let all = Publish {
        shares: vec![(MemberId(2), 4)],
        ..publication(2, after.seen.epoch, conduct.fence, 1, 4)
    };
    assert!(room.publish(&all).await.unwrap());
    assert_eq!(
        room.exchange(&wants(2, 12, after.seen))
            .await
            .unwrap()
            .share,
        4
    );
}
