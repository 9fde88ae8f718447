//! The platform over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use common::{ask, cookie, send, until};
use einlass_benches::platform::{
    CSRF_COOKIE, HashCost, Outcome, PASSWORD, Platform, PlatformOptions, SESSION_COOKIE, Snapshot,
};

/// Some tens of milliseconds: long enough to see logins overlap.
const SLOW: HashCost = HashCost {
    memory_kib: 8192,
    passes: 4,
};

async fn platform(options: PlatformOptions) -> Platform {
    Platform::start(options).await.unwrap()
}

/// Opens the form; returns its token and the cookie that carries it.
async fn form(to: SocketAddr) -> (String, String) {
    let page = ask(to, "GET", "/login", "", "").await;
    let token = cookie(&page, CSRF_COOKIE).unwrap();
    assert!(
        page.contains(&format!(r#"name="csrf" value="{token}""#)),
        "{page}"
    );
    let cookies = format!("{CSRF_COOKIE}={token}");
    (token, cookies)
}

async fn log_in(to: SocketAddr, password: &str) -> String {
    let (token, cookies) = form(to).await;
    ask(
        to,
        "POST",
        "/login",
        &cookies,
        &format!("csrf={token}&username=pupil1&password={password}"),
    )
    .await
}

#[tokio::test]
async fn a_right_password_opens_a_session() {
    let platform = platform(PlatformOptions::default()).await;
    let to = platform.backends()[0];
    let answer = log_in(to, PASSWORD).await;
    assert!(
        answer.starts_with("HTTP/1.1 303") && answer.contains("location: /\r\n"),
        "{answer}"
    );
    assert!(
        answer
            .lines()
            .any(|line| line.contains(SESSION_COOKIE) && line.contains("HttpOnly")),
        "{answer}"
    );
    let cookies = format!(
        "{SESSION_COOKIE}={}",
        cookie(&answer, SESSION_COOKIE).unwrap()
    );
    for path in ["/", "/page/3"] {
        assert!(
            ask(to, "GET", path, &cookies, "")
                .await
                .starts_with("HTTP/1.1 200")
        );
        assert!(
            ask(to, "GET", path, "", "")
                .await
                .contains("location: /login")
        );
    }
    ask(to, "GET", "/logout", &cookies, "").await;
    assert!(
        ask(to, "GET", "/", &cookies, "")
            .await
            .starts_with("HTTP/1.1 303")
    );
}

#[tokio::test]
async fn a_wrong_password_is_hashed_and_gets_the_form_again() {
    let platform = platform(PlatformOptions::default()).await;
    let answer = log_in(platform.backends()[0], "vertippt").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("ist falsch"),
        "{answer}"
    );
    assert!(cookie(&answer, CSRF_COOKIE).is_some() && cookie(&answer, SESSION_COOKIE).is_none());
    let record = &platform.snapshot(true).logins[0];
    assert_eq!(
        (record.outcome, record.tag.as_deref()),
        (Outcome::WrongPassword, Some("7"))
    );
    assert!(record.arrived <= record.began.unwrap() && record.began < record.ended);
}

#[tokio::test]
async fn a_token_that_does_not_agree_is_forbidden_and_costs_no_hash() {
    let platform = platform(PlatformOptions::default()).await;
    let to = platform.backends()[0];
    let (token, cookies) = form(to).await;
    for (cookies, token) in [("", &*token), (&*cookies, "guessed"), ("", "")] {
        let body = format!("csrf={token}&username=pupil1&password={PASSWORD}");
        let answer = ask(to, "POST", "/login", cookies, &body).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    let seen = platform.snapshot(true);
    assert_eq!(
        (
            seen.totals.csrf_refused,
            seen.totals.logged_in,
            seen.in_flight
        ),
        (3, 0, 0)
    );
    assert!(seen.logins.iter().all(|login| login.began.is_none()));
}

#[tokio::test]
async fn a_form_kept_too_long_is_forbidden() {
    let options = PlatformOptions {
        csrf_lifetime: Duration::ZERO,
        ..PlatformOptions::default()
    };
    let platform = platform(options).await;
    let answer = log_in(platform.backends()[0], PASSWORD).await;
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("abgelaufen"),
        "{answer}"
    );
}

#[tokio::test]
async fn all_backends_together_hash_with_no_more_than_the_workers() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = PlatformOptions {
        listen: vec![any, any],
        workers: 2,
        cost: SLOW,
        ..PlatformOptions::default()
    };
    let platform = platform(options).await;
    let logins: Vec<_> = (0..12)
        .map(|index| log_in(platform.backends()[index % 2], PASSWORD))
        .collect();
    let logins: Vec<_> = logins
        .into_iter()
        .map(|login| tokio::spawn(login))
        .collect();
    for login in logins {
        assert!(login.await.unwrap().starts_with("HTTP/1.1 303"));
    }
    let seen = platform.snapshot(true);
    assert_eq!((seen.totals.logged_in, seen.in_flight), (12, 0));
    assert!(
        seen.max_in_flight > 2,
        "the queue counts: {}",
        seen.max_in_flight
    );
    assert_eq!(
        seen.in_flight_series
            .iter()
            .max()
            .map(|most| *most as usize),
        Some(seen.max_in_flight)
    );
    assert_eq!(most_at_once(&seen), 2);
}

/// The most hashes that were being computed at the same time.
fn most_at_once(seen: &Snapshot) -> usize {
    let spans: Vec<_> = seen
        .logins
        .iter()
        .map(|login| login.began.unwrap()..login.ended.unwrap())
        .collect();
    spans
        .iter()
        .map(|span| {
            spans
                .iter()
                .filter(|other| other.contains(&span.start))
                .count()
        })
        .max()
        .unwrap()
}

#[tokio::test]
async fn the_hash_is_computed_even_if_the_browser_has_gone() {
    let platform = platform(PlatformOptions {
        workers: 0,
        ..PlatformOptions::default()
    })
    .await;
    let to = platform.backends()[0];
    let (token, cookies) = form(to).await;
    let mut gone = send(
        to,
        "POST",
        "/login",
        &cookies,
        &format!("csrf={token}&password={PASSWORD}"),
    )
    .await;
    until(|| platform.in_flight() == 1).await;
    gone.shutdown().await.unwrap();
    let mut rest = String::new();
    gone.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "", "the backend has noticed and closed");
    assert_eq!(platform.in_flight(), 1);
    platform.set_workers(1);
    until(|| platform.in_flight() == 0).await;
    let totals = platform.snapshot(false).totals;
    assert_eq!((totals.logged_in, totals.abandoned), (1, 1));
}

#[tokio::test]
async fn a_full_queue_is_answered_with_503() {
    let options = PlatformOptions {
        workers: 0,
        queue_limit: Some(1),
        ..PlatformOptions::default()
    };
    let platform = platform(options).await;
    let to = platform.backends()[0];
    let (token, cookies) = form(to).await;
    let _queued = send(
        to,
        "POST",
        "/login",
        &cookies,
        &format!("csrf={token}&password={PASSWORD}"),
    )
    .await;
    until(|| platform.in_flight() == 1).await;
    let answer = log_in(to, PASSWORD).await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: "),
        "{answer}"
    );
    assert_eq!(platform.snapshot(false).totals.overloaded, 1);
}

#[tokio::test]
async fn with_bounded_places_logins_starve_the_pages_too() {
    let options = PlatformOptions {
        workers: 0,
        places: Some(1),
        ..PlatformOptions::default()
    };
    let platform = platform(options).await;
    let to = platform.backends()[0];
    let (token, cookies) = form(to).await;
    let _hashing = send(
        to,
        "POST",
        "/login",
        &cookies,
        &format!("csrf={token}&password={PASSWORD}"),
    )
    .await;
    until(|| platform.in_flight() == 1).await;
    let page = tokio::spawn(ask(to, "GET", "/login", "", ""));
    assert!(
        ask(to, "GET", "/healthz", "", "")
            .await
            .starts_with("HTTP/1.1 200"),
        "a health check needs no place"
    );
    assert!(!page.is_finished());
    platform.set_workers(1);
    assert!(page.await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn the_record_and_the_workers_are_reached_on_the_control_listener_only() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let platform = platform(PlatformOptions {
        control: Some(any),
        ..PlatformOptions::default()
    })
    .await;
    let (to, control) = (platform.backends()[0], platform.control().unwrap());
    log_in(to, PASSWORD).await;
    let record = |answer: &str| {
        serde_json::from_str::<Snapshot>(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    };
    assert!(
        record(&ask(control, "GET", "/_platform/record", "", "").await)
            .logins
            .is_empty()
    );
    let seen = record(&ask(control, "GET", "/_platform/record?logins=1", "", "").await);
    assert_eq!(
        (seen.totals.logged_in, seen.logins.len(), seen.workers),
        (1, 1, 1)
    );
    assert_eq!(seen.logins_per_second().iter().sum::<u32>(), 1);
    ask(control, "POST", "/_platform/workers?n=3", "", "").await;
    assert_eq!(platform.snapshot(false).workers, 3);
    assert!(
        ask(to, "GET", "/_platform/record", "", "")
            .await
            .starts_with("HTTP/1.1 404")
    );
}

#[tokio::test]
async fn a_stopped_backend_refuses_and_comes_back_on_its_address() {
    let mut platform = platform(PlatformOptions::default()).await;
    let to = platform.backends()[0];
    platform.stop_backend(0).await.unwrap();
    assert!(tokio::net::TcpStream::connect(to).await.is_err());
    platform.restart_backend(0).await.unwrap();
    assert!(log_in(to, PASSWORD).await.starts_with("HTTP/1.1 303"));
}
