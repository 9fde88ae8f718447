//! Backends that are names: traffic follows them, and nothing waits for an answer that does not come.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::common::{Browser, Gateway, Setup, eventually, get, send};
use super::dns::{Dns, Says};
use super::fickle::{Fickle, Mood};
use super::{GYM, QUICK, state};

/// Backends on one port of several loopback addresses, as one name leads to them.
async fn on_one_port<const N: usize>() -> ([Fickle; N], u16) {
    'port: loop {
        let mut listeners = vec![TcpListener::bind("127.0.0.1:0").await.unwrap()];
        let port = listeners[0].local_addr().unwrap().port();
        for n in 2..=N {
            match TcpListener::bind(format!("127.0.0.{n}:{port}")).await {
                Ok(listener) => listeners.push(listener),
                Err(_) => continue 'port,
            }
        }
        let listeners: [TcpListener; N] = listeners.try_into().unwrap();
        return (
            listeners.map(|listener| Fickle::on(listener, QUICK, 1_000)),
            port,
        );
    }
}

fn ips<const N: usize>(backends: [&Fickle; N]) -> Says {
    Says::Addresses(backends.map(|backend| backend.address.ip()).to_vec(), 1)
}

async fn named(dns: &Dns, port: u16) -> Gateway {
    let text = format!(
        "[region.north]\nbackends = [\"App.School.example:{port}\"]\n\
         upstream.resolver = \"{}\"\n[[region.north.school]]\nhost = \"{GYM}\"\n",
        dns.address
    );
    Setup::default().text(&text).start().await
}

const NAME: &str = "app.school.example";

#[tokio::test]
async fn a_name_that_nobody_answers_for_holds_up_neither_start_nor_requests() {
    let ([backend], port) = on_one_port().await;
    for says in [Says::Nothing, Says::Unknown, Says::Addresses(Vec::new(), 1)] {
        let dns = Dns::start().await;
        dns.set(NAME, says.clone());
        println!("{says:?}");
        nobody_yet(&dns, &backend, port).await;
    }
}

/// The name leads nowhere at the start, and then to a backend.
async fn nobody_yet(dns: &Dns, backend: &Fickle, port: u16) {
    let gateway = named(dns, port).await;
    assert!(eventually(async || dns.asked() > 0).await);
    let began = Instant::now();
    let page = send(gateway.edge, get("/", GYM)).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    let mut browser = Browser::new(gateway.edge, GYM);
    assert_eq!(
        browser.post("/login", "user=x").await.location(),
        "/_einlass/wait"
    );
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    browser.until("held").await;
    let failures = "einlass_name_lookup_failures_total{pool=\"north\"}";
    assert!(eventually(async || gateway.metric(failures).await > 0.0).await);
    // The name has two addresses, of which one family cannot be reached at all.
    let ip = backend.address.ip();
    dns.set(
        NAME,
        Says::Addresses(vec![ip, "100::1".parse().unwrap()], 1),
    );
    browser.until("ready").await;
    assert_eq!(browser.enter().await.status, StatusCode::OK);
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}

/// Pages and logins until each of these has had some of both.
async fn reach(gateway: &Gateway, backends: &[&Fickle]) {
    let before: Vec<(usize, usize)> = backends.iter().map(|b| (b.requests(), b.posts())).collect();
    let reached = async || {
        let page = send(gateway.edge, get("/", GYM)).await;
        assert_eq!(page.status, StatusCode::OK);
        // Before the name was known the room was shut: the first may be sent to wait.
        let mut pupil = Browser::new(gateway.edge, GYM);
        let mut login = pupil.post("/login", "user=x").await;
        if login.location() == "/_einlass/wait" {
            pupil.until("ready").await;
            login = pupil.enter().await;
        }
        assert_eq!(login.status, StatusCode::OK);
        let since = backends.iter().zip(&before);
        let mut both = since.map(|(b, (all, posts))| (b.requests() - all, b.posts() - posts));
        both.all(|(all, posts)| posts > 0 && all > posts)
    };
    assert!(eventually(reached).await, "some backend gets nothing");
}

#[tokio::test]
async fn all_addresses_of_a_name_are_used_from_the_start_and_one_that_goes_finishes_its_work() {
    let ([one, two, three, four], port) = on_one_port().await;
    let dns = Dns::start().await;
    dns.set(NAME, ips([&one, &two, &three]));
    let gateway = named(&dns, port).await;
    for backend in [&one, &two, &three] {
        let up = async || state(&gateway, backend.address).await == "up";
        assert!(eventually(up).await);
    }
    reach(&gateway, &[&one, &two, &three]).await;
    assert_eq!(four.requests(), 0);
    dns.set(NAME, ips([&one, &two, &three, &four]));
    assert!(eventually(async || state(&gateway, four.address).await == "up").await);
    reach(&gateway, &[&one, &two, &three, &four]).await;
    // One goes that is at work.
    two.set(Mood::Fine(Duration::from_secs(3)));
    let edge = gateway.edge;
    let mut under_way = JoinSet::new();
    while two.at_work() == 0 {
        for _ in 0..4 {
            under_way.spawn(async move { send(edge, get("/", GYM)).await });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    dns.set(NAME, ips([&one, &three, &four]));
    assert!(eventually(async || state(&gateway, two.address).await == "leaving").await);
    let begun = two.requests();
    reach(&gateway, &[&one, &three, &four]).await;
    assert_eq!(two.requests(), begun, "nobody new");
    for page in under_way.join_all().await {
        assert_eq!(page.status, StatusCode::OK);
    }
    let gone = async || state(&gateway, two.address).await.is_empty();
    assert!(eventually(gone).await);
}

#[tokio::test]
async fn traffic_follows_a_name_and_what_is_under_way_finishes() {
    let ([one, two, three], port) = on_one_port().await;
    let dns = Dns::start().await;
    dns.set(NAME, ips([&one]));
    let gateway = named(&dns, port).await;
    assert!(eventually(async || state(&gateway, one.address).await == "up").await);
    assert_eq!(
        send(gateway.edge, get("/", GYM)).await.text(),
        one.address.to_string()
    );
    // Several addresses are several backends.
    dns.set(NAME, ips([&one, &two]));
    assert!(eventually(async || state(&gateway, two.address).await == "up").await);
    for _ in 0..40 {
        send(gateway.edge, get("/", GYM)).await;
    }
    assert!(one.requests() > 1 && two.requests() > 0);
    // A slow request is under way at both when the name moves on.
    for backend in [&one, &two] {
        backend.set(Mood::Fine(Duration::from_secs(4)));
    }
    let before = one.requests() + two.requests();
    let edge = gateway.edge;
    let slow: Vec<_> = (0..4)
        .map(|_| tokio::spawn(async move { send(edge, get("/", GYM)).await }))
        .collect();
    assert!(eventually(async || one.requests() + two.requests() == before + 4).await);
    dns.set(NAME, ips([&three]));
    assert!(eventually(async || state(&gateway, three.address).await == "up").await);
    let leaving = [
        state(&gateway, one.address).await,
        state(&gateway, two.address).await,
    ];
    assert!(
        leaving.iter().any(|state| state == "leaving"),
        "{leaving:?}"
    );
    for _ in 0..10 {
        assert_eq!(
            send(edge, get("/", GYM)).await.text(),
            three.address.to_string()
        );
    }
    for request in slow {
        assert_eq!(request.await.unwrap().status, StatusCode::OK);
    }
    let gone = async || {
        state(&gateway, one.address).await.is_empty()
            && state(&gateway, two.address).await.is_empty()
    };
    assert!(eventually(gone).await);
    let failures = "einlass_name_lookup_failures_total{pool=\"north\"}";
    // No such name, one without an address, and then no answer at all: what was known stays, and nobody
    // waits for more.
    for says in [Says::Unknown, Says::Addresses(Vec::new(), 1), Says::Nothing] {
        let failed = gateway.metric(failures).await;
        dns.set(NAME, says);
        assert!(eventually(async || gateway.metric(failures).await > failed).await);
        let began = Instant::now();
        for _ in 0..10 {
            let page = send(edge, get("/", GYM)).await;
            assert_eq!(page.text(), three.address.to_string());
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    one.set(QUICK);
    dns.set(NAME, ips([&one]));
    let back = async || send(edge, get("/", GYM)).await.text() == one.address.to_string();
    assert!(eventually(back).await);
}
