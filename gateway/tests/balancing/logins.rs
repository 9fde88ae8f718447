//! Backends whose logins alone break, between pages that are as good as ever.

use std::time::{Duration, Instant};

use hyper::StatusCode;

use super::common::eventually;
use super::fickle::{Fickle, Mood};
use super::stream::{Asked, Login, Stream};
use super::{NIMBLE, QUICK, gateway, state};

/// So many of them were not answered well.
fn failed(answers: &[Login]) -> usize {
    let well = |status: Option<StatusCode>| status == Some(StatusCode::OK);
    answers
        .iter()
        .filter(|(_, status, _)| !well(*status))
        .count()
}

/// One of three breaks like this under logins and pages at once: it is out within three seconds, nobody but
/// whoever logged in there notices, and it comes back when logins work there.
async fn breaks(bad: Mood) {
    let backends = [
        Fickle::start(QUICK).await,
        Fickle::start(QUICK).await,
        Fickle::start(QUICK).await,
    ];
    let addresses = backends.each_ref().map(|backend| backend.address);
    let more = format!("{NIMBLE}[region.north.upstream]\nlogin_timeout = \"4s\"\n");
    let gateway = gateway(&addresses, &more).await;
    let logins = Stream::of(Asked::Login, gateway.edge, 30);
    let pages = Stream::of(Asked::Page, gateway.edge, 90);
    let backend = &backends[0];
    assert!(eventually(async || backend.posts() > 5).await);
    let before = backend.posts();
    backend.set(bad);
    let broken = Instant::now();
    assert!(eventually(async || state(&gateway, backend.address).await != "up").await);
    let took = broken.elapsed();
    println!("{bad:?}: out after {took:?}");
    assert!(took < Duration::from_secs(3), "out only after {took:?}");
    // Somebody tries it, and it is still no better.
    let known = backend.posts();
    assert!(eventually(async || backend.posts() > known).await);
    backend.set(QUICK);
    let mended = backend.posts();
    assert!(eventually(async || state(&gateway, backend.address).await == "up").await);
    let (logins, pages) = (logins.end().await, pages.end().await);
    assert_eq!(failed(&pages), 0, "of {} pages", pages.len());
    let (failed, sent) = (failed(&logins), mended + 2 - before);
    println!(
        "{failed} of {} logins failed, {sent} were sent to it",
        logins.len()
    );
    assert!(failed <= sent, "{failed} failed, {sent} were sent to it");
}

#[tokio::test]
async fn a_backend_whose_logins_hang_or_fail_is_left_out_though_its_pages_are_good() {
    tokio::join!(
        breaks(Mood::Logins(Duration::from_mins(1))),
        breaks(Mood::SaysToLogins(
            b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
        )),
    );
}
