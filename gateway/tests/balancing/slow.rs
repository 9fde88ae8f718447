//! Backends that are slow, and pages that only seem so.

use std::time::Duration;

use hyper::StatusCode;

use super::common::eventually;
use super::fickle::{Fickle, Mood};
use super::outages::turns;
use super::stream::{Asked, Stream};
use super::{NIMBLE, QUICK, gateway, number, state};

#[tokio::test]
async fn a_backend_thirty_times_slower_is_left_out_and_comes_back() {
    let slow = Mood::Fine(Duration::from_millis(600));
    tokio::join!(
        turns(Asked::Login, QUICK, slow),
        turns(Asked::Page, QUICK, slow)
    );
}

/// So slow that it seems silent.
#[tokio::test]
async fn a_backend_that_takes_seconds_is_left_out_and_comes_back() {
    let usual = Mood::Fine(Duration::from_millis(100));
    let slow = Mood::Fine(Duration::from_secs(3));
    tokio::join!(
        turns(Asked::Login, usual, slow),
        turns(Asked::Page, usual, slow)
    );
}

#[tokio::test]
async fn pages_that_take_long_wherever_they_are_made_leave_nobody_out() {
    let backends = [
        Fickle::start(QUICK).await,
        Fickle::start(QUICK).await,
        Fickle::start(QUICK).await,
    ];
    let addresses = backends.each_ref().map(|backend| backend.address);
    let gateway = gateway(&addresses, NIMBLE).await;
    let streams = [
        Stream::of(Asked::Page, gateway.edge, 40),
        Stream::of(Asked::Dear, gateway.edge, 4),
    ];
    let made = || backends.iter().map(Fickle::dear).sum::<usize>();
    assert!(eventually(async || made() >= 16).await);
    let mut asked = 0;
    for stream in streams {
        let answers = stream.end().await;
        asked += answers.len();
        let fine = |status| status == Some(StatusCode::OK);
        assert!(answers.iter().all(|(_, status, _)| fine(*status)));
    }
    // The gateway has looked at some of them itself.
    let got: usize = backends.iter().map(Fickle::requests).sum();
    assert!(got > asked, "{got} requests, {asked} were asked for");
    for address in addresses {
        assert_eq!(state(&gateway, address).await, "up");
        assert!(number(&gateway, "ejections_total", address).await < 1.0);
    }
}

/// Slow logins of a backend whose pages are as quick as ever: it is in use, and hardly used.
#[tokio::test]
async fn a_backend_whose_logins_alone_take_thirty_times_as_long_gets_little() {
    let slow = Fickle::start(QUICK).await;
    let others = [Fickle::start(QUICK).await, Fickle::start(QUICK).await];
    let addresses = [slow.address, others[0].address, others[1].address];
    let gateway = gateway(&addresses, NIMBLE).await;
    let stream = Stream::start(gateway.edge, 100);
    assert!(eventually(async || slow.requests() > 50).await);
    slow.set(Mood::Logins(Duration::from_millis(600)));
    // Answers that were under way are not the slow ones yet.
    let (before, all) = (slow.requests(), others[0].requests() + others[1].requests());
    let many = async || others[0].requests() + others[1].requests() > all + 300;
    assert!(eventually(many).await);
    let (slow, all) = (
        slow.requests() - before,
        others[0].requests() + others[1].requests() - all,
    );
    println!("{slow} of {}", slow + all);
    assert!(slow * 10 < all, "{slow} of {}", slow + all);
    let logins = stream.end().await;
    assert!(
        logins
            .iter()
            .all(|(_, status, _)| *status == Some(StatusCode::OK))
    );
}
