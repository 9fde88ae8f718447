//! The gate, end to end: a real gateway process in front of a platform that really hashes.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test may fail, and gauges of 0 and 1 are exact"
)]

mod common;

use std::time::{Duration, Instant};

use common::{Answer, Browser, Setup, eventually, free_address, get, platform, post, send};
use einlass_benches::platform::{HashCost, Platform};
use http_body_util::Full;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const GYM: &str = "gym.example";

/// A hash of some hundred milliseconds: long enough to queue behind.
fn slow() -> HashCost {
    HashCost::about(Duration::from_millis(400)).unwrap()
}

/// Takes the only slot with a login that the backend has begun and does not end before
/// [`Platform::set_workers`] lets it.
async fn occupy(browser: &Browser, platform: &Platform) {
    platform.set_workers(0);
    let mut other = Browser::new(browser.address, &browser.host);
    let form = other.form().await;
    tokio::spawn(async move { other.post("/login", &form).await });
    assert!(eventually(|| async { platform.in_flight() > 0 }).await);
}

#[tokio::test]
async fn on_a_quiet_day_nobody_notices_the_gateway() {
    let platform = platform(2, 2, HashCost::QUICK).await;
    let gateway = Setup::default()
        .region("north", platform.backends(), 4, &[(GYM, 900)], "")
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    let answer = browser.post("/login", &form).await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/")
    );
    assert!(browser.logged_in());
    assert_eq!(browser.get("/page/1").await.status, StatusCode::OK);
    assert_eq!(browser.turn().await["state"], "none");
}

#[tokio::test]
async fn a_login_waits_its_turn_sealed_and_is_typed_once() {
    let platform = platform(1, 1, slow()).await;
    let gateway = Setup::default()
        .region(
            "north",
            platform.backends(),
            1,
            &[(GYM, 900)],
            "hold = \"0s\"",
        )
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    occupy(&browser, &platform).await;
    let answer = browser.post("/login", &form).await;
    platform.set_workers(1);
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/_einlass/wait")
    );
    let cookies = format!("{:?}", answer.headers.get_all("set-cookie"));
    assert!(
        !cookies.contains("demo-password"),
        "sealed, not written: {cookies}"
    );
    assert!(cookies.matches("HttpOnly").count() >= 2, "{cookies}");

    let page = browser.get("/_einlass/wait").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("lang=\"de\""));
    browser.until("ready").await;
    let answer = browser.enter().await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/")
    );
    assert!(browser.logged_in());
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
    assert_eq!(platform.snapshot(false).max_in_flight, 1);
    assert!(!browser.cookies.keys().any(|name| name.contains("seal")));
    let file = gateway.dir.path().join("state/rooms.json");
    assert!(eventually(|| async { file.exists() }).await);
    let state = std::fs::read_to_string(file).unwrap();
    assert!(!state.contains("demo-password") && !state.contains("pupil001"));
    assert!(!gateway.log().contains("demo-password") && !gateway.log().contains("pupil001"));
}

#[tokio::test]
async fn a_ticket_admits_once_and_never_at_another_school() {
    let platform = platform(1, 1, slow()).await;
    let gateway = Setup::default()
        .region(
            "north",
            platform.backends(),
            1,
            &[(GYM, 900), ("other.example", 900)],
            "hold = \"0s\"",
        )
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    occupy(&browser, &platform).await;
    browser.post("/login", &form).await;
    platform.set_workers(1);
    browser.until("ready").await;
    let stolen = browser.clone();

    let mut foreign = stolen.clone();
    foreign.host = "other.example".to_owned();
    assert_eq!(foreign.turn().await["state"], "none");
    assert_eq!(foreign.enter().await.location(), "/_einlass/wait");

    assert_eq!(browser.enter().await.location(), "/");
    let before = platform.snapshot(false).totals.received;
    let mut replayed = stolen.clone();
    // For a moment the same browser may ask once more for the answer it has not heard.
    replayed.until("none").await;
    let answer = replayed.enter().await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(!replayed.logged_in());
    let mut twice = stolen;
    let answer = twice.post("/login", "einlass=enter").await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/login")
    );
    assert_eq!(
        platform.snapshot(false).totals.received,
        before,
        "nothing reached the backend"
    );
}

#[tokio::test]
async fn a_forged_or_broken_ticket_is_no_ticket() {
    let platform = platform(1, 1, slow()).await;
    let gateway = Setup::default()
        .region(
            "north",
            platform.backends(),
            1,
            &[(GYM, 900)],
            "hold = \"0s\"",
        )
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    occupy(&browser, &platform).await;
    browser.post("/login", &form).await;
    platform.set_workers(1);
    let ticket = browser.cookies["einlass_ticket"].clone();
    let mut changed = ticket.clone();
    changed.replace_range(30..31, if &ticket[30..31] == "A" { "B" } else { "A" });
    let long = "A".repeat(5_000);
    for bad in [
        "",
        "x",
        &ticket[..40],
        &changed,
        "\u{1}",
        &long,
        "%00%ff",
        "VAEB",
    ] {
        let cookie = format!("einlass_ticket={bad}; einlass_seal_0=AAAA; einlass_pass={bad}");
        let with = |mut request: hyper::Request<Full<Bytes>>| {
            if let Ok(value) = hyper::header::HeaderValue::from_str(&cookie) {
                request.headers_mut().insert("cookie", value);
            }
            request
        };
        let turn = send(gateway.edge, with(get("/_einlass/turn", GYM))).await;
        assert_eq!(turn.status, StatusCode::OK);
        assert_eq!(turn.json()["state"], "none", "{bad:?}");
        let page = send(gateway.edge, with(get("/_einlass/wait", GYM))).await;
        assert_eq!(page.status, StatusCode::OK);
        let enter = send(
            gateway.edge,
            with(post("/_einlass/enter", GYM, "einlass=enter")),
        )
        .await;
        assert_eq!(
            (enter.status, enter.location()),
            (StatusCode::SEE_OTHER, "/_einlass/wait")
        );
        let enter = send(gateway.edge, with(post("/login", GYM, "einlass=enter"))).await;
        assert_eq!(
            (enter.status, enter.location()),
            (StatusCode::SEE_OTHER, "/_einlass/wait")
        );
        let again = send(gateway.edge, with(post("/login", GYM, form.clone()))).await;
        assert!(
            again.status.is_redirection() || again.status.is_client_error(),
            "{}",
            again.status
        );
    }
    assert!(gateway.metric("einlass_edge_events{event=\"panic\"}").await == 0.0);
}

#[tokio::test]
async fn an_app_gets_json_and_comes_back_with_its_ticket() {
    let platform = platform(1, 1, slow()).await;
    let gateway = Setup::default()
        .region(
            "north",
            platform.backends(),
            1,
            &[(GYM, 900)],
            "hold = \"0s\"",
        )
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    occupy(&browser, &platform).await;
    let cookies: Vec<String> = browser
        .cookies
        .iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    let login = |ticket: Option<&str>| {
        let mut request = post("/login", GYM, form.clone());
        let headers = request.headers_mut();
        headers.insert("accept", "application/json".parse().unwrap());
        headers.insert("cookie", cookies.join("; ").parse().unwrap());
        if let Some(ticket) = ticket {
            headers.insert("einlass-ticket", ticket.parse().unwrap());
        }
        request
    };
    let answer = send(gateway.edge, login(None)).await;
    platform.set_workers(1);
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let retry: u64 = answer.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=30).contains(&retry));
    let ticket = answer.headers["einlass-ticket"]
        .to_str()
        .unwrap()
        .to_owned();
    let body = answer.json();
    assert_eq!(body["state"], "waiting");
    assert!(body["since"].as_str().unwrap().ends_with('Z'));
    let came = || async {
        let mut poll = get("/_einlass/turn", GYM);
        poll.headers_mut()
            .insert("einlass-ticket", ticket.parse().unwrap());
        send(gateway.edge, poll).await.json()["state"] == "ready"
    };
    assert!(eventually(came).await);
    let answer = send(gateway.edge, login(Some(&ticket))).await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/")
    );
}

#[tokio::test]
async fn a_mistyped_password_does_not_queue_again() {
    let platform = platform(1, 1, slow()).await;
    let gateway = Setup::default()
        .region(
            "north",
            platform.backends(),
            1,
            &[(GYM, 900)],
            "hold = \"0s\"",
        )
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    occupy(&browser, &platform).await;
    browser
        .post("/login", &form.replace("demo-password", "vertippt"))
        .await;
    platform.set_workers(1);
    browser.until("ready").await;
    let answer = browser.enter().await;
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "the form again, under its own address"
    );
    let form = Browser::fill(&answer, "demo-password");
    occupy(&browser, &platform).await;
    let mut queue = Browser::new(gateway.edge, GYM);
    let other = queue.form().await;
    assert_eq!(
        queue.post("/login", &other).await.location(),
        "/_einlass/wait"
    );
    platform.set_workers(1);
    let answer = browser.post("/login", &form).await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/")
    );
}

#[tokio::test]
async fn a_login_that_comes_while_the_slot_is_busy_is_held_and_answered() {
    let platform = platform(1, 1, HashCost::QUICK).await;
    let gateway = Setup::default()
        .region("north", platform.backends(), 1, &[(GYM, 900)], "")
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    occupy(&browser, &platform).await;
    let held = tokio::spawn(async move { (browser.post("/login", &form).await, browser) });
    let gateway = &gateway;
    let waits = async || {
        let waiting = gateway
            .metric("einlass_waiting_pupils{pool=\"north\"}")
            .await;
        waiting
            + gateway
                .metric("einlass_buffered_logins{pool=\"north\"}")
                .await
            >= 1.0
    };
    assert!(eventually(waits).await, "it does not wait");
    assert_eq!(platform.snapshot(false).totals.received, 1);
    platform.set_workers(1);
    let (answer, browser) = held.await.unwrap();
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/"),
        "no page in between"
    );
    assert!(browser.logged_in());
    let seen = platform.snapshot(false);
    assert_eq!((seen.totals.received, seen.max_in_flight), (2, 1));
}

#[tokio::test]
async fn an_expired_ticket_is_a_fresh_place() {
    let platform = platform(1, 1, HashCost::QUICK).await;
    let setup = |clock| {
        let more = "mode = \"closed\"\nticket_lifetime = \"1h\"";
        Setup::default()
            .region("north", platform.backends(), 1, &[(GYM, 900)], more)
            .clock(Some(clock))
    };
    // Only time that passes counts, so later is at gateways that began later.
    let first = setup("+0").start().await;
    let mut browser = Browser::new(first.edge, GYM);
    let form = browser.form().await;
    browser.post("/login", &form).await;
    let ticket = browser.cookies["einlass_ticket"].clone();
    let soon = setup("+50m").start_beside(&first).await;
    browser.address = soon.edge;
    assert_eq!(browser.clone().turn().await["state"], "closed");
    let gateway = setup("+70m").start_beside(&first).await;
    browser.address = gateway.edge;
    assert_eq!(browser.clone().turn().await["state"], "none");
    let page = browser.clone().get("/_einlass/wait").await;
    assert_eq!(page.status, StatusCode::OK);
    let mut late = browser.clone();
    let answer = late.enter().await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/_einlass/wait")
    );
    let answer = browser.post("/login", &form).await;
    assert_eq!(answer.location(), "/_einlass/wait");
    assert_ne!(
        browser.cookies["einlass_ticket"], ticket,
        "a place of its own"
    );
    assert_eq!(browser.turn().await["state"], "closed");
    assert!(
        gateway
            .metric("einlass_bad_tickets_total{pool=\"north\"}")
            .await
            >= 1.0
    );
    assert_eq!(platform.snapshot(false).totals.received, 0);
}

#[tokio::test]
async fn a_browser_that_asks_for_english_waits_in_english() {
    let platform = platform(1, 1, HashCost::QUICK).await;
    let closed = "mode = \"closed\"";
    let gateway = Setup::default()
        .region("north", platform.backends(), 1, &[(GYM, 900)], closed)
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    browser.post("/login", &form).await;
    for (asked, code, says) in [
        (
            "en-GB,en;q=0.9,de;q=0.1",
            "lang=\"en\"",
            "Your place is safe",
        ),
        ("de-DE,de;q=0.9", "lang=\"de\"", "Dein Platz ist dir sicher"),
    ] {
        let mut request = get("/_einlass/wait", GYM);
        let headers = request.headers_mut();
        headers.insert("accept-language", asked.parse().unwrap());
        let page = browser.send(request).await;
        assert_eq!(page.status, StatusCode::OK);
        let text = page.text();
        assert!(
            text.contains(code) && text.contains(says),
            "{asked}: {text}"
        );
    }
}

#[tokio::test]
async fn the_desk_says_that_it_lives_and_how_its_rooms_are() {
    let platform = platform(1, 1, HashCost::QUICK).await;
    let gateway = Setup::default()
        .region("north", platform.backends(), 1, &[(GYM, 900)], "")
        .start()
        .await;
    let healthy = send(gateway.desk, get("/healthz", "desk")).await;
    assert_eq!(
        (healthy.status, healthy.text().as_str()),
        (StatusCode::OK, "ok\n")
    );
    let gateway = &gateway;
    let mode = async |mode: &str| {
        let name = format!("einlass_ledger_mode{{pool=\"north\",mode=\"{mode}\"}}");
        gateway.metric(&name).await
    };
    let age = async || {
        gateway
            .metric("einlass_ledger_mode_age_seconds{pool=\"north\"}")
            .await
    };
    assert_eq!(mode("embedded").await, 1.0);
    for other in ["shared", "frozen", "recovering"] {
        assert_eq!(mode(other).await, 0.0, "{other}");
    }
    let before = age().await;
    assert!(eventually(async || age().await > before).await, "it grows");
}

#[tokio::test]
async fn a_host_of_no_school_gets_a_clear_page() {
    let platform = platform(1, 1, HashCost::QUICK).await;
    let gateway = Setup::default()
        .region("north", platform.backends(), 1, &[(GYM, 900)], "")
        .start()
        .await;
    let answer = send(gateway.edge, get("/", "nobody.example")).await;
    assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
    assert!(answer.text().contains("gehört zu keiner Schule"));
    let mut english = get("/", "nobody.example");
    let value = "en-GB,en;q=0.9".parse().unwrap();
    english.headers_mut().insert("accept-language", value);
    assert!(
        send(gateway.edge, english)
            .await
            .text()
            .contains("belongs to no school")
    );
}

#[tokio::test]
async fn with_a_dead_backend_the_place_is_kept_until_it_answers_again() {
    let mut platform = platform(1, 1, HashCost::QUICK).await;
    let gateway = Setup::default()
        .region("north", platform.backends(), 4, &[(GYM, 900)], "")
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    platform.stop_backend(0).await.unwrap();
    let answer = browser.post("/login", &form).await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/_einlass/wait")
    );
    let page = browser.get("/_einlass/wait").await;
    assert_eq!(page.status, StatusCode::OK);
    let turn = browser.until("held").await;
    assert!(
        turn["message"]
            .as_str()
            .unwrap()
            .contains("antwortet gerade nicht"),
        "{turn}"
    );
    assert_eq!(turn["eta_seconds"], serde_json::Value::Null);
    let other = browser.get("/").await;
    assert_eq!(other.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(other.text().contains("antwortet nicht"));
    platform.restart_backend(0).await.unwrap();
    browser.until("ready").await;
    let answer = browser.enter().await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/")
    );
}

#[tokio::test]
async fn a_browser_that_hangs_up_does_not_free_its_slot_early() {
    let platform = platform(1, 1, slow()).await;
    let gateway = Setup::default()
        .region(
            "north",
            platform.backends(),
            1,
            &[(GYM, 900)],
            "hold = \"0s\"",
        )
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    let cookie = browser
        .cookies
        .iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect::<Vec<_>>();
    let mut raw = TcpStream::connect(gateway.edge).await.unwrap();
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {GYM}\r\nCookie: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        cookie.join("; "),
        form.len()
    );
    raw.write_all(head.as_bytes()).await.unwrap();
    assert!(eventually(|| async { platform.in_flight() == 1 }).await);
    drop(raw);
    let counted = gateway
        .metric("einlass_in_flight_logins{pool=\"north\"}")
        .await;
    let working = platform.in_flight();
    // Read in this order: if the platform still works, the gateway must have counted it before.
    assert!(
        working == 0 || counted >= 1.0,
        "slot freed while the backend still hashes"
    );
    let mut second = Browser::new(gateway.edge, GYM);
    let form = second.form().await;
    second.post("/login", &form).await;
    assert!(eventually(|| async { platform.snapshot(false).totals.logged_in >= 1 }).await);
    let gateway = &gateway;
    let idle = || async {
        gateway
            .metric("einlass_in_flight_logins{pool=\"north\"}")
            .await
            == 0.0
    };
    assert!(eventually(idle).await, "the slot comes back");
    assert_eq!(platform.snapshot(false).max_in_flight, 1);
}

#[tokio::test]
async fn cookies_in_several_http2_fields_reach_an_http1_backend_as_one() {
    let platform = platform(1, 1, HashCost::QUICK).await;
    let gateway = Setup::default()
        .region("north", platform.backends(), 4, &[(GYM, 900)], "")
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    let stream = TcpStream::connect(gateway.edge).await.unwrap();
    let (mut http2, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut fields = vec!["first=1".to_owned()];
    fields.extend(browser.cookies.iter().map(|(n, v)| format!("{n}={v}")));
    fields.push("last=2".to_owned());
    let with_cookies = |mut request: hyper::http::request::Builder| {
        for field in &fields {
            request = request.header("cookie", field);
        }
        request
    };
    let request = with_cookies(hyper::Request::post(format!("http://{GYM}/login")))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(form)))
        .unwrap();
    let answer = Answer::read(http2.send_request(request).await.unwrap())
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/"),
        "{}",
        answer.text()
    );
    let session = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|v| v.to_str().ok()?.split(';').next())
        .find(|c| c.starts_with(einlass_benches::platform::SESSION_COOKIE))
        .unwrap()
        .to_owned();
    fields.push(session);
    let request = {
        let mut request = hyper::Request::get(format!("http://{GYM}/"));
        for field in &fields {
            request = request.header("cookie", field);
        }
        request.body(Full::default()).unwrap()
    };
    let answer = Answer::read(http2.send_request(request).await.unwrap())
        .await
        .unwrap();
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "the session cookie was one of the fields"
    );
}

#[tokio::test]
async fn ten_thousand_polls_on_one_connection_never_see_it_closed() {
    let platform = platform(1, 1, slow()).await;
    let gateway = Setup::default()
        .region(
            "north",
            platform.backends(),
            1,
            &[(GYM, 900)],
            "mode = \"closed\"",
        )
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    browser.post("/login", &form).await;
    let ticket = browser.cookies["einlass_ticket"].clone();
    let stream = TcpStream::connect(gateway.edge).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    for poll in 0..10_000 {
        let mut request = get("/_einlass/turn", GYM);
        let cookie = format!("einlass_ticket={ticket}").parse().unwrap();
        request.headers_mut().insert("cookie", cookie);
        let response = sender.send_request(request).await;
        let answer = Answer::read(response.unwrap_or_else(|e| panic!("poll {poll}: {e}")))
            .await
            .unwrap();
        assert!(answer.text().contains("\"closed\""), "{}", answer.text());
        sender.ready().await.unwrap();
    }
}

#[tokio::test]
async fn a_login_that_is_too_large_is_refused_with_a_page() {
    let platform = platform(1, 1, HashCost::QUICK).await;
    let gateway = Setup::default()
        .region(
            "north",
            platform.backends(),
            1,
            &[(GYM, 900)],
            "max_body = \"1KiB\"",
        )
        .start()
        .await;
    let answer = send(gateway.edge, post("/login", GYM, vec![b'x'; 5_000])).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(platform.snapshot(false).totals.received, 0);
}

#[tokio::test]
async fn a_stop_finishes_the_login_in_flight_and_then_exits_at_once() {
    let platform = platform(1, 1, slow()).await;
    let mut gateway = Setup::default()
        .region("north", platform.backends(), 1, &[(GYM, 900)], "")
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let form = browser.form().await;
    let login = tokio::spawn(async move {
        let answer = browser.post("/login", &form).await;
        (answer, Instant::now())
    });
    assert!(eventually(|| async { platform.in_flight() == 1 }).await);
    let (_, success) = gateway.stop().await;
    let stopped = Instant::now();
    let (answer, answered) = login.await.unwrap();
    assert_eq!(answer.location(), "/");
    assert!(success);
    let idle = stopped.saturating_duration_since(answered);
    assert!(
        idle < Duration::from_secs(5),
        "{idle:?} after the last answer"
    );
}

#[tokio::test]
async fn a_configuration_with_mistakes_is_reported_with_its_places() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("bad.toml");
    let backend = free_address();
    let text = format!(
        "[edge]\nlistne = []\n[region.north]\nbackends = [\"{backend}\"]\n[[region.north.school]]\nhost = \"a b\"\n"
    );
    std::fs::write(&file, &text).unwrap();
    for command in ["check", "run"] {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_einlass"))
            .args([command, "--config"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        let place = |at: &str| said.contains(&format!("{}:{at}", file.display()));
        assert!(place("2:1: ") && place("6:8: "), "{said}");
    }
    let right = text
        .replace("listne = []", "listen = [\"127.0.0.1:0\"]")
        .replace("a b", GYM);
    std::fs::write(&file, right).unwrap();
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_einlass"))
        .args(["check", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(0), "{out:?}");
}
