//! Sessions and schools that stay at one backend.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::common::{Browser, Setup, drain, eventually, get, post, send};
use super::fickle::{self, Fickle, Mood};
use super::{GYM, NIMBLE, QUICK, gateway, state};

/// Answers a login with a session cookie, and everything with its own name.
async fn with_sessions() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let noted = Arc::clone(&noted);
            tokio::spawn(async move {
                let Some(head) = fickle::read(&mut stream).await else {
                    return;
                };
                let session = if head.starts_with("POST /login") {
                    "Set-Cookie: sessionid=abc; Path=/\r\n"
                } else {
                    ""
                };
                noted.lock().unwrap().push(head);
                let text = address.to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\n{session}Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
                    text.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    (address, seen)
}

#[tokio::test]
async fn a_session_stays_where_its_login_was_answered() {
    let mut backends = Vec::new();
    for _ in 0..3 {
        backends.push(with_sessions().await);
    }
    let addresses: Vec<SocketAddr> = backends.iter().map(|(address, _)| *address).collect();
    let more = "[region.north.affinity]\ncookie = \"sessionid\"\n";
    let gateway = gateway(&addresses, more).await;
    let mut homes = std::collections::BTreeSet::new();
    for _ in 0..12 {
        let mut browser = Browser::new(gateway.edge, GYM);
        browser.get("/").await;
        assert!(
            !browser.cookies.contains_key("einlass_home"),
            "there is no session yet"
        );
        let home = browser.post("/login", "user=x").await.text();
        assert!(browser.cookies.contains_key("einlass_home"));
        for _ in 0..6 {
            assert_eq!(browser.get("/").await.text(), home);
        }
        assert_eq!(browser.post("/save", "text=y").await.text(), home);
        homes.insert(home);
    }
    assert!(homes.len() > 1, "sessions are spread");
    for (_, seen) in &backends {
        let seen = seen.lock().unwrap();
        assert!(seen.iter().all(|head| !head.contains("einlass")));
        assert!(seen.iter().any(|head| head.contains("sessionid=abc")));
    }
}

#[tokio::test]
async fn a_session_whose_backend_is_gone_goes_on_elsewhere() {
    let backends = [Fickle::start(QUICK).await, Fickle::start(QUICK).await];
    let addresses = backends.each_ref().map(|backend| backend.address);
    let more = format!("[region.north.affinity]\ncookie = \"sessionid\"\n{NIMBLE}");
    let gateway = gateway(&addresses, &more).await;
    let cookie =
        Mood::Says(b"HTTP/1.1 200 OK\r\nSet-Cookie: sessionid=1\r\nContent-Length: 0\r\n\r\n");
    for backend in &backends {
        backend.set(cookie);
    }
    let mut browser = Browser::new(gateway.edge, GYM);
    browser.post("/login", "user=x").await;
    let home = usize::from(backends[1].posts() == 1);
    for backend in &backends {
        backend.set(QUICK);
    }
    let there = addresses[home].to_string();
    assert_eq!(browser.get("/").await.text(), there);
    backends[home].stop();
    let refuses = async || TcpStream::connect(addresses[home]).await.is_err();
    assert!(eventually(refuses).await);
    let other = addresses[1 - home].to_string();
    assert_eq!(
        browser.get("/").await.text(),
        other,
        "at once, with no error in between"
    );
    backends[home].start_again().await;
    let back = async || state(&gateway, addresses[home]).await == "up";
    assert!(eventually(back).await);
    assert_eq!(browser.get("/").await.text(), there);
}

#[tokio::test]
async fn a_school_keeps_its_backend() {
    let mut backends = Vec::new();
    for _ in 0..4 {
        backends.push(Fickle::start(QUICK).await);
    }
    let addresses: Vec<SocketAddr> = backends.iter().map(|b| b.address).collect();
    let hosts: Vec<String> = (0..12).map(|n| format!("s{n}.example")).collect();
    let schools: Vec<(&str, u32)> = hosts.iter().map(|host| (host.as_str(), 500)).collect();
    let gateway = Setup::default()
        .region("north", &addresses, 400, &schools, "")
        .text("[region.north.affinity]\nby = \"school\"\n")
        .start()
        .await;
    let mut used = std::collections::BTreeSet::new();
    for host in &hosts {
        let home = send(gateway.edge, get("/", host)).await.text();
        for _ in 0..3 {
            assert_eq!(send(gateway.edge, get("/", host)).await.text(), home);
            let login = send(gateway.edge, post("/login", host, "user=x")).await;
            assert_eq!(login.text(), home);
        }
        used.insert(home);
    }
    assert!(
        used.len() >= 3,
        "twelve schools over four backends: {used:?}"
    );
}

#[tokio::test]
async fn a_session_stays_where_it_began_although_its_school_has_moved() {
    let mut backends = Vec::new();
    for _ in 0..3 {
        backends.push(with_sessions().await.0);
    }
    let more = "[region.north.affinity]\nby = \"school\"\n";
    let gateway = gateway(&backends, more).await;
    let mut old = Browser::new(gateway.edge, GYM);
    let home = old.post("/login", "user=x").await.text();
    drain(&gateway, "north", home.parse().unwrap(), true).await;
    let mut new = Browser::new(gateway.edge, GYM);
    let other = new.post("/login", "user=x").await.text();
    assert_ne!(home, other);
    for ends in [true, false] {
        for _ in 0..6 {
            assert_eq!(old.get("/").await.text(), home);
            assert_eq!(new.get("/").await.text(), other);
        }
        if ends {
            drain(&gateway, "north", home.parse().unwrap(), false).await;
        }
    }
}
