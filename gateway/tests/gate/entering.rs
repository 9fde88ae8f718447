//! How a login goes in: at once, held, or sealed and typed once.

use einlass_benches::platform::HashCost;
use hyper::StatusCode;

use crate::common::{Browser, Setup, eventually, get, platform, post, send};
use crate::slots::{GYM, occupy, slow};

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
