//! A pool that has all it can do: sessions go on, logins wait, pages are shed with a page that says so.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail, and counts what metrics say"
)]

#[path = "balancing/fickle.rs"]
#[allow(unreachable_pub, dead_code, reason = "a module of a test")]
mod fickle;

mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::backend::{Backend, FINE};
use common::{Answer, Browser, Gateway, Setup, eventually, get, post, send};
use fickle::{Fickle, Mood};
use hyper::StatusCode;
use tokio::task::JoinSet;

const GYM: &str = "gym.example";
const IGS: &str = "igs.example";
const SLOW: &str = "/slow";
/// What a platform says to somebody who is in; here, to everything.
const INSIDE: &[u8] = b"HTTP/1.1 303 See Other\r\nLocation: /\r\nSet-Cookie: sid=1; Path=/\r\n\
    Content-Length: 0\r\nConnection: close\r\n\r\n";
/// Of ten requests in flight five may be pages, and eight others than those of sessions.
const TEN: &str = "[region.north.balancing]\nmax_in_flight = 10\n\
    [region.north.upstream]\nconnect_timeout = \"100ms\"\n";
const RANKED: &str = "[region.north.priorities]\npages = 0.5\nlogins = 0.8\n";

async fn gateway(backend: SocketAddr, more: &str) -> Gateway {
    let schools = [(GYM, 900), (IGS, 900)];
    Setup::default()
        .region("north", &[backend], 8, &schools, "hold = \"0s\"")
        .text(more)
        .start()
        .await
}

async fn shed(gateway: &Gateway, rank: &str) -> u64 {
    let name = "einlass_shed_requests_total{pool=\"north\"";
    let of_rank = format!("{name},rank=\"{rank}\"}}");
    gateway.metric(&of_rank).await as u64
}

/// Sends requests that the backend begins and does not answer.
async fn hold(
    held: &mut JoinSet<StatusCode>,
    browser: &Browser,
    requests: usize,
    begun: impl Fn() -> usize,
) {
    let before = begun();
    for _ in 0..requests {
        let mut browser = browser.clone();
        held.spawn(async move { browser.get(SLOW).await.status });
    }
    let all = eventually(async || begun() >= before + requests).await;
    assert!(all, "{} of {requests} begun", begun() - before);
}

/// Asks for a part of a page, as a browser does.
async fn style(browser: &Browser) -> Answer {
    let mut request = get("/style.css", &browser.host);
    let headers = request.headers_mut();
    headers.insert("sec-fetch-dest", "style".parse().unwrap());
    send(browser.address, request).await
}

#[tokio::test]
async fn pages_are_shed_first_logins_take_a_turn_and_sessions_go_on() {
    let backend = Backend::holding_below(SLOW, INSIDE).await;
    let gateway = gateway(backend.address, &format!("{TEN}{RANKED}")).await;
    let mut pupil = Browser::new(gateway.edge, GYM);
    assert_eq!(pupil.post("/login", "user=x").await.location(), "/");
    let mut visitor = Browser::new(gateway.edge, GYM);
    let mut held = JoinSet::new();
    let begun = || backend.count();

    hold(&mut held, &visitor, 5, begun).await;
    let page = visitor.get("/").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page.headers["cache-control"], "no-store");
    let after: u64 = page.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((10..=20).contains(&after), "{after}");
    let text = page.text();
    assert!(
        text.contains("Gerade ist zu viel los") && text.contains("geht vor"),
        "{text}"
    );
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"{after}\">");
    assert!(
        text.contains(&refresh) && text.contains(&format!("etwa {after} Sekunden")),
        "{text}"
    );
    assert!(
        text.contains("href=\"/login\"") && !text.contains("<script"),
        "{text}"
    );
    let mut english = get("/", GYM);
    let headers = english.headers_mut();
    headers.insert("accept-language", "en".parse().unwrap());
    let english = send(gateway.edge, english).await.text();
    assert!(
        english.contains("Too much is going on") && english.contains("goes first"),
        "{english}"
    );
    // Loaded again by itself it would ask for something else.
    let posted = send(gateway.edge, post("/contact", GYM, "text=x")).await;
    assert_eq!(posted.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(posted.text().contains("nicht angekommen") && !posted.text().contains("refresh"));
    assert_eq!(
        (shed(&gateway, "Page").await, shed(&gateway, "Login").await),
        (3, 0)
    );
    // The form, what belongs to a page, and a login.
    for answer in [visitor.get("/login").await, style(&visitor).await] {
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
    }
    let mut early = Browser::new(gateway.edge, GYM);
    assert_eq!(early.post("/login", "user=y").await.location(), "/");
    assert_eq!(pupil.get("/").await.status, StatusCode::SEE_OTHER);

    hold(&mut held, &pupil, 3, begun).await;
    for answer in [visitor.get("/login").await, style(&visitor).await] {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    let mut late = Browser::new(gateway.edge, GYM);
    assert_eq!(
        late.post("/login", "user=z").await.location(),
        "/_einlass/wait"
    );
    assert_eq!(late.get("/_einlass/wait").await.status, StatusCode::OK);
    assert_ne!(late.turn().await["state"], "none");
    assert_eq!(pupil.get("/").await.status, StatusCode::SEE_OTHER);

    hold(&mut held, &pupil, 2, begun).await;
    let page = pupil.get("/").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    let text = page.text();
    assert!(
        text.contains("An deiner Anmeldung ändert das nichts"),
        "{text}"
    );
    assert_eq!(shed(&gateway, "Session").await, 1);
    assert_eq!(shed(&gateway, "Login").await, 3);
    let desk = send(gateway.desk, get("/", "desk")).await.text();
    assert!(desk.contains("<td>3 / 3 / 1<td>up"), "{desk}");

    backend.open();
    while let Some(status) = held.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::SEE_OTHER);
    }
    assert_eq!(visitor.get("/").await.status, StatusCode::SEE_OTHER);
    late.until("ready").await;
    assert_eq!(late.enter().await.location(), "/");
    assert!(late.cookies.contains_key("einlass_inside"));
    assert_eq!(shed(&gateway, "Page").await, 3);
}

#[tokio::test]
async fn where_nothing_is_written_no_place_is_kept_back_and_who_finds_none_is_told_why() {
    let backend = Backend::holding_below(SLOW, INSIDE).await;
    let gateway = gateway(backend.address, TEN).await;
    let mut pupil = Browser::new(gateway.edge, GYM);
    assert_eq!(pupil.post("/login", "user=x").await.location(), "/");
    assert!(!pupil.cookies.contains_key("einlass_inside"));
    let mut visitor = Browser::new(gateway.edge, GYM);
    let mut held = JoinSet::new();
    hold(&mut held, &visitor, 9, || backend.count()).await;
    assert_eq!(visitor.get("/").await.status, StatusCode::SEE_OTHER);
    hold(&mut held, &visitor, 1, || backend.count()).await;
    // The other one has a cookie by now.
    let page = Browser::new(gateway.edge, GYM).get("/").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    let text = page.text();
    assert!(
        text.contains("Gerade ist zu viel los") && text.contains("geht vor"),
        "the server answers, and has too much to do: {text}"
    );
    assert!(text.contains("href=\"/login\""), "{text}");
    let page = pupil.get("/").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    let text = page.text();
    assert!(
        text.contains("An deiner Anmeldung ändert das nichts"),
        "{text}"
    );
    // A login keeps a place.
    let mut late = Browser::new(gateway.edge, GYM);
    assert_eq!(
        late.post("/login", "user=z").await.location(),
        "/_einlass/wait"
    );
    for (rank, times) in [("Page", 1), ("Login", 0), ("Session", 1)] {
        assert_eq!(shed(&gateway, rank).await, times, "{rank}");
    }
}

/// How those were answered who asked for a page so often, and for so long, none waiting for another.
async fn asked(browser: Browser, per_second: u32, length: Duration) -> Vec<StatusCode> {
    let mut asking = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    let begun = Instant::now();
    while begun.elapsed() < length {
        ticks.tick().await;
        let mut browser = browser.clone();
        asking.spawn(async move { browser.get("/").await.status });
    }
    asking.join_all().await
}

/// Nobody has written who goes first, and three times as many ask as the backend can answer: those of whom
/// nobody can say that they are not logged in are served, whatever their cookie is called.
#[tokio::test]
async fn when_places_have_run_out_visitors_wait_behind_all_who_may_be_logged_in() {
    let backend = Fickle::start(Mood::Fine(Duration::from_millis(200))).await;
    let more = "[region.north.balancing]\nmax_in_flight = 4\n\
        [region.north.upstream]\nconnect_timeout = \"2s\"\n";
    let gateway = gateway(backend.address, more).await;
    let visitor = Browser::new(gateway.edge, GYM);
    let mut pupil = visitor.clone();
    pupil.cookies.insert("PHPSESSID".to_owned(), "1".to_owned());
    let length = Duration::from_secs(5);
    let visitors = tokio::spawn(asked(visitor, 60, length));
    let turned_away = async || shed(&gateway, "Page").await > 0;
    assert!(eventually(turned_away).await);
    let pupils = asked(pupil, 8, length / 2).await;
    let visitors = visitors.await.unwrap();
    let served = |all: &[StatusCode]| all.iter().filter(|s| **s == StatusCode::OK).count();
    println!(
        "{} of {} visitors and {} of {} pupils served",
        served(&visitors),
        visitors.len(),
        served(&pupils),
        pupils.len()
    );
    assert_eq!(served(&pupils), pupils.len(), "a pupil was turned away");
    let away = visitors.len() - served(&visitors);
    assert!(away > visitors.len() / 4, "nobody was turned away: {away}");
    // What the pupils leave is the visitors'.
    assert!(served(&visitors) > pupils.len(), "{visitors:?}");
    assert_eq!(shed(&gateway, "Page").await as usize, away);
    assert_eq!(shed(&gateway, "Session").await, 0);
}

#[tokio::test]
async fn a_bound_that_nobody_has_set_and_nobody_reaches_sheds_nobody() {
    let backend = Backend::holding_below(SLOW, INSIDE).await;
    let gateway = gateway(backend.address, "[region.north.priorities]\n").await;
    let mut visitor = Browser::new(gateway.edge, GYM);
    let mut held = JoinSet::new();
    hold(&mut held, &visitor, 100, || backend.count()).await;
    assert_eq!(visitor.get("/").await.status, StatusCode::SEE_OTHER);
    assert_eq!(shed(&gateway, "Page").await, 0);
}

/// Replaces a character in the middle of what is signed.
fn forged(text: &str) -> String {
    let middle = text.len() / 2;
    let other = if &text[middle..=middle] == "A" {
        "B"
    } else {
        "A"
    };
    format!("{}{other}{}", &text[..middle], &text[middle + 1..])
}

#[tokio::test]
async fn whose_session_it_is_is_known_by_our_own_mark_unless_a_cookie_is_named() {
    let backend = Backend::holding_below(SLOW, INSIDE).await;
    let gateway = gateway(backend.address, &format!("{TEN}{RANKED}")).await;
    let mut pupil = Browser::new(gateway.edge, GYM);
    pupil.post("/login", "user=x").await;
    let mark = pupil.cookies["einlass_inside"].clone();
    let mut held = JoinSet::new();
    let visitor = Browser::new(gateway.edge, GYM);
    hold(&mut held, &visitor, 5, || backend.count()).await;
    let goes_first = async |host: &str, name: &str, value: &str| {
        let mut browser = Browser::new(gateway.edge, host);
        browser.cookies.insert(name.to_owned(), value.to_owned());
        browser.get("/").await.status == StatusCode::SEE_OTHER
    };
    assert!(goes_first(GYM, "einlass_inside", &mark).await);
    // A mistyped password is no reason to wait: the form must come.
    assert!(goes_first(GYM, "einlass_pass", &pupil.cookies["einlass_pass"]).await);
    assert!(!goes_first(GYM, "einlass_inside", &forged(&mark)).await);
    assert!(
        !goes_first(IGS, "einlass_inside", &mark).await,
        "another school's"
    );
    assert!(
        !goes_first(GYM, "sid", "1").await,
        "every visitor may have that"
    );
    assert!(!goes_first(GYM, "einlass_pass", &mark).await);
}

#[tokio::test]
async fn a_cookie_that_only_sessions_have_may_be_named_and_a_wrong_password_begins_none() {
    let backend = Backend::holding_below(SLOW, FINE).await;
    let named = format!("{TEN}{RANKED}session_cookie = \"nc_username\"\n");
    let gateway = gateway(backend.address, &named).await;
    let mut pupil = Browser::new(gateway.edge, GYM);
    // The form once more.
    assert_eq!(pupil.post("/login", "user=x").await.status, StatusCode::OK);
    assert!(pupil.cookies.contains_key("einlass_pass"));
    assert!(!pupil.cookies.contains_key("einlass_inside"));
    let mut held = JoinSet::new();
    let mut visitor = Browser::new(gateway.edge, GYM);
    hold(&mut held, &visitor, 5, || backend.count()).await;
    assert_eq!(
        visitor.get("/").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    visitor
        .cookies
        .insert("nc_username".to_owned(), "x".to_owned());
    assert_eq!(visitor.get("/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_backend_that_starts_slowly_is_for_sessions_first() {
    let backend = Fickle::start(Mood::Fine(Duration::from_secs(1))).await;
    let slowly = "slow_start = \"10m\"\n[region.north.upstream]\nconnect_timeout = \"100ms\"\n\
        [region.north.health]\ninterval = \"200ms\"\ntimeout = \"200ms\"\n";
    let more = format!("{RANKED}session_cookie = \"sid\"\n[region.north.balancing]\n{slowly}");
    let gateway = &gateway(backend.address, &more).await;
    let mut visitor = Browser::new(gateway.edge, GYM);
    let mut pupil = visitor.clone();
    pupil.cookies.insert("sid".to_owned(), "1".to_owned());
    // It usually has some dozens in flight.
    let mut held = JoinSet::new();
    hold(&mut held, &visitor, 60, || backend.requests()).await;
    while let Some(status) = held.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::OK);
    }
    backend.stop();
    let down = "einlass_pool_down{pool=\"north\"}";
    assert!(eventually(async || gateway.metric(down).await > 0.0).await);
    let went = Instant::now();
    // Shorter outages are no reason to start slowly.
    assert!(eventually(async || went.elapsed() > Duration::from_millis(2_100)).await);
    backend.set(Mood::Silent);
    backend.start_again().await;
    let named = format!("pool=\"north\",backend=\"{}\"", backend.address);
    let up = format!("einlass_backend_state{{{named},state=\"up\"}}");
    assert!(eventually(async || gateway.metric(&up).await > 0.0).await);
    let limit = format!("einlass_backend_limit_requests{{{named}}}");
    let bound = gateway.metric(&limit).await as u64;
    assert!((2..10).contains(&bound), "{bound}");
    for _ in 0..bound / 2 {
        hold(&mut held, &visitor, 1, || backend.requests()).await;
    }
    backend.set(Mood::Fine(Duration::ZERO));
    assert_eq!(gateway.metric(&limit).await as u64, bound);
    assert_eq!(
        visitor.get("/").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(pupil.get("/").await.status, StatusCode::OK);
    assert_eq!(shed(gateway, "Page").await, 1);
}
