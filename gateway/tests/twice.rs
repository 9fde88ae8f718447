//! Who asks twice: a double click, a reload, a second tab, a replay.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::backend::{Backend, FINE};
use common::school::{GYM, NOBODY_IS_HELD, OneSchool};
use common::{Answer, Browser, Gateway, Setup, eventually, get, post, send};
use hyper::StatusCode;
use tokio::task::JoinSet;

#[tokio::test]
async fn a_double_click_loses_nothing() {
    let school = OneSchool::start(1, NOBODY_IS_HELD).await;
    let mut browser = school.called().await;
    let before = school.received();
    // Nothing is answered before both clicks have come.
    school.platform.set_workers(0);
    let first = browser.post_unheard("/login", "einlass=enter").await;
    assert!(eventually(async || school.platform.in_flight() > 0).await);
    // The second click drops the first request.
    drop(first);
    let mut reloaded = browser.clone();
    assert_eq!(reloaded.turn().await["state"], "ready", "a reload goes on");
    let mut other_tab = browser.clone();
    school.work_on();
    let answer = browser.enter().await;
    assert_eq!((answer.location(), browser.logged_in()), ("/", true));
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
    let answer = other_tab.enter().await;
    assert_eq!((answer.location(), other_tab.logged_in()), ("/", true));
    assert_eq!(
        browser.cookies["einlass_pass"], other_tab.cookies["einlass_pass"],
        "one place is one pass, however often it is asked for"
    );
    assert_eq!(school.received(), before + 1);
    assert!(!browser.cookies.contains_key("einlass_ticket"));
}

#[tokio::test]
async fn many_at_once_with_one_ticket_are_one_login() {
    let school = OneSchool::start(1, NOBODY_IS_HELD).await;
    let browser = school.called().await;
    let before = school.received();
    let all = (0..12).map(|_| {
        let mut browser = browser.clone();
        tokio::spawn(async move { browser.enter().await.location().to_owned() })
    });
    for one in all.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), "/");
    }
    assert_eq!(school.received(), before + 1);
}

/// One login that is answered when the backend is opened, and the pass of an earlier one.
async fn occupied(tries: u8) -> (Backend, Gateway, String) {
    let backend = Backend::holding(FINE).await;
    let gateway = Setup::default()
        .region(
            "north",
            &[backend.address],
            1,
            &[(GYM, 900)],
            &format!("hold = \"0s\"\npass_tries = {tries}"),
        )
        .text("[region.north.upstream]\nlogin_timeout = \"60s\"\n")
        .not_new(&["north"])
        .start()
        .await;
    let edge = gateway.edge;
    let first = tokio::spawn(async move { send(edge, post("/login", GYM, "user=a")).await });
    assert!(eventually(async || backend.count() == 1).await);
    backend.open();
    let pass = pass(&first.await.unwrap());
    backend.close();
    tokio::spawn(async move { send(edge, post("/login", GYM, "user=b")).await });
    assert!(eventually(async || backend.count() == 2).await);
    (backend, gateway, pass)
}

fn pass(answer: &Answer) -> String {
    let set = answer.headers["set-cookie"].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

fn with_cookie(cookie: &str) -> hyper::Request<http_body_util::Full<hyper::body::Bytes>> {
    let mut request = post("/login", GYM, "user=a");
    let headers = request.headers_mut();
    headers.insert("cookie", cookie.parse().unwrap());
    request
}

#[tokio::test]
async fn a_ticket_admits_one_login_and_no_other_beside_it() {
    let (backend, gateway, _) = occupied(1).await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let sent = browser.post("/login", "user=c").await;
    assert_eq!(sent.location(), "/_einlass/wait");
    backend.open();
    browser.until("ready").await;
    backend.close();
    let mut other = browser.clone();
    let going = tokio::spawn(async move { browser.enter().await });
    assert!(eventually(async || backend.count() == 3).await);
    let ticket = other.cookies["einlass_ticket"].clone();
    let answer = other.post("/login", "user=d").await;
    assert_eq!(answer.location(), "/_einlass/wait", "a place of its own");
    assert_ne!(other.cookies["einlass_ticket"], ticket);
    backend.open();
    assert_eq!(going.await.unwrap().status, StatusCode::OK);
    assert_eq!(backend.count(), 3);
}

#[tokio::test]
async fn a_pass_has_its_tries_and_no_more_however_fast_they_come() {
    let (backend, gateway, pass) = occupied(2).await;
    let edge = gateway.edge;
    let (mut all, answered) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..12 {
        let (request, answered) = (with_cookie(&pass), Arc::clone(&answered));
        all.spawn(async move {
            let answer = send(edge, request).await;
            answered.fetch_add(1, Ordering::Relaxed);
            answer.status
        });
    }
    // The backend is still busy: everybody has been sent to wait, or waits for the slot.
    let (gateway, waiting) = (&gateway, "einlass_buffered_logins{pool=\"north\"}");
    let all_here = async || {
        let waiting = gateway.metric(waiting).await;
        #[allow(clippy::cast_precision_loss, reason = "twelve")]
        let answered = answered.load(Ordering::Relaxed) as f64;
        waiting >= 2.0 && waiting + answered >= 12.0
    };
    assert!(eventually(all_here).await);
    backend.open();
    let mut let_in = 0;
    while let Some(status) = all.join_next().await {
        let_in += usize::from(status.unwrap() == StatusCode::OK);
    }
    // Some had a turn of their own, which came at once.
    let held = "einlass_turns_total{pool=\"north\",outcome=\"Held\"}";
    let held = gateway.metric(held).await;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few"
    )]
    let held = held as usize;
    assert_eq!((let_in, backend.count()), (2 + held, 4 + held));
}

#[tokio::test]
async fn nobody_waits_without_an_answer_for_a_backend_that_hangs() {
    let (backend, gateway, pass) = occupied(5).await;
    let waiting = send(gateway.edge, with_cookie(&pass));
    let answer = tokio::time::timeout(Duration::from_secs(40), waiting).await;
    let answer = answer.expect("sooner than the backend gives up");
    assert_eq!(answer.location(), "/_einlass/wait");
    let buffered = "einlass_buffered_logins{pool=\"north\"}";
    assert!(gateway.metric(buffered).await < 1.0);
    backend.open();
    let in_flight = "einlass_in_flight_logins{pool=\"north\"}";
    let gateway = &gateway;
    assert!(eventually(async || gateway.metric(in_flight).await == 0.0).await);
}

#[tokio::test]
async fn of_several_tickets_the_good_one_counts() {
    let school = OneSchool::start(1, NOBODY_IS_HELD).await;
    let browser = school.called().await;
    let good = &browser.cookies["einlass_ticket"];
    for cookie in [
        format!("einlass_ticket=bad; einlass_ticket={good}"),
        format!("einlass_ticket={good}; einlass_ticket=bad"),
    ] {
        let mut request = get("/_einlass/turn", GYM);
        let headers = request.headers_mut();
        headers.insert("cookie", cookie.parse().unwrap());
        headers.insert("einlass-ticket", "bad".parse().unwrap());
        let turn = send(school.gateway.edge, request).await.json();
        assert_eq!(turn["state"], "ready", "{cookie}");
    }
}

#[tokio::test]
async fn a_gated_page_is_fetched_again_and_never_in_circles() {
    let backend = Backend::start(FINE).await;
    let gateway = Setup::default()
        .region(
            "north",
            &[backend.address],
            4,
            &[(GYM, 900)],
            "hold = \"0s\"\nlogins_per_second = 0.5",
        )
        .text("[region.north.gate]\npage = [{ method = \"GET\", path = \"/anmelden\" }]\n")
        .not_new(&["north"])
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    while !browser.cookies.contains_key("einlass_ticket") {
        browser.cookies.clear();
        browser.get("/anmelden").await;
    }
    browser.until("ready").await;
    let again = browser.clone();
    let answer = browser.post("/_einlass/enter", "einlass=enter").await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/anmelden")
    );
    let answer = browser.get("/anmelden").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (StatusCode::OK, "ok")
    );
    // A seal without its ticket is no login, and does not send to wait for nothing.
    let mut lost = again;
    lost.cookies.remove("einlass_ticket");
    lost.get("/anmelden").await;
    assert!(
        lost.cookies.contains_key("einlass_ticket") || lost.cookies.contains_key("einlass_pass")
    );
}
