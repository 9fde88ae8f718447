//! What checks and answers say of a backend, and when they are not believed.

use std::time::{Duration, Instant};

use einlass_benches::platform::HashCost;
use hyper::StatusCode;

use super::common::{self, Browser, eventually, get, post, send};
use super::fickle::{Fickle, Mood};
use super::{GYM, NIMBLE, QUICK, gateway, state};

#[tokio::test]
async fn the_last_backend_is_never_left_out() {
    let no = Mood::Says(b"HTTP/1.1 503 No\r\nContent-Length: 7\r\n\r\nits own");
    let backends = [Fickle::start(no).await, Fickle::start(no).await];
    let gateway = gateway(&[backends[0].address, backends[1].address], NIMBLE).await;
    for _ in 0..60 {
        let answer = send(gateway.edge, get("/", GYM)).await;
        assert_eq!(answer.text(), "its own", "it is the platform that says so");
    }
    let out = async || {
        let states = [
            state(&gateway, backends[0].address).await,
            state(&gateway, backends[1].address).await,
        ];
        let up = states.iter().filter(|state| *state == "up").count();
        assert!(up >= 1, "{states:?}");
        up == 1
    };
    assert!(eventually(out).await);
}

#[tokio::test]
async fn a_backend_that_fails_its_check_is_left_out_although_it_answers() {
    let backends = [Fickle::start(QUICK).await, Fickle::start(QUICK).await];
    let [ill, well] = backends.each_ref().map(|backend| backend.address);
    let more = "[region.north.health]\nkind = \"http\"\npath = \"/health\"\n\
        interval = \"200ms\"\n";
    let gateway = gateway(&[ill, well], more).await;
    assert!(eventually(async || state(&gateway, ill).await == "up").await);
    backends[0].set(Mood::Ill);
    assert!(eventually(async || state(&gateway, ill).await == "down").await);
    let before = backends[0].requests();
    for _ in 0..20 {
        assert_eq!(
            send(gateway.edge, get("/", GYM)).await.text(),
            well.to_string()
        );
    }
    assert_eq!(backends[0].requests(), before);
    backends[0].set(QUICK);
    assert!(eventually(async || state(&gateway, ill).await == "up").await);
}

/// The page is there, and the password is asked for: nothing less is a platform that works.
#[tokio::test]
async fn a_backend_without_a_login_page_is_left_out() {
    let platform = common::platform(1, 2, HashCost::QUICK).await;
    let without = Fickle::start(QUICK).await;
    let backends = [platform.backends()[0], without.address];
    let more = "[region.north.health]\nkind = \"login\"\ninterval = \"200ms\"\n";
    let gateway = gateway(&backends, more).await;
    let out = async || state(&gateway, without.address).await == "down";
    assert!(eventually(out).await);
    assert_eq!(state(&gateway, platform.backends()[0]).await, "up");
    for _ in 0..10 {
        Browser::new(gateway.edge, GYM).form().await;
    }
}

#[tokio::test]
async fn a_wrong_expectation_of_a_check_closes_no_region() {
    let backends = [Fickle::start(QUICK).await, Fickle::start(QUICK).await];
    let addresses = backends.each_ref().map(|backend| backend.address);
    let more = "[region.north.health]\nkind = \"http\"\npath = \"/health\"\nstatus = 204\n\
        interval = \"200ms\"\n";
    let gateway = gateway(&addresses, more).await;
    let told = async || gateway.log().contains("No backend gives the answer");
    assert!(eventually(told).await);
    for _ in 0..10 {
        let page = send(gateway.edge, get("/", GYM)).await;
        assert_eq!(page.status, StatusCode::OK);
        let login = send(gateway.edge, post("/login", GYM, "user=x")).await;
        assert_eq!(login.status, StatusCode::OK);
    }
    // An answer that says that nothing works is another matter.
    for backend in &backends {
        backend.set(Mood::Ill);
    }
    let down = async || gateway.metric("einlass_pool_down{pool=\"north\"}").await > 0.0;
    assert!(eventually(down).await);
}

#[tokio::test]
async fn while_no_backend_passes_the_room_keeps_the_places_and_opens_by_itself() {
    let backend = Fickle::start(QUICK).await;
    let more = "[region.north.health]\nkind = \"http\"\npath = \"/health\"\n\
        interval = \"200ms\"\n";
    let gateway = gateway(&[backend.address], more).await;
    backend.set(Mood::Ill);
    let down = async || gateway.metric("einlass_pool_down{pool=\"north\"}").await > 0.0;
    assert!(eventually(down).await);
    let mut browser = Browser::new(gateway.edge, GYM);
    let answer = browser.post("/login", "user=x").await;
    assert_eq!(answer.location(), "/_einlass/wait");
    let held = browser.until("held").await;
    assert!(
        held["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    let began = Instant::now();
    let page = send(gateway.edge, get("/", GYM)).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(backend.posts(), 0);
    backend.set(QUICK);
    browser.until("ready").await;
    assert_eq!(browser.enter().await.status, StatusCode::OK);
    assert_eq!(backend.posts(), 1);
}
