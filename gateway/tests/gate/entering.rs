//! How a login goes in: at once, held, or sealed and typed once.

use einlass_benches::platform::HashCost;
use hyper::StatusCode;

use crate::common::school::{CLOSED, GYM, NOBODY_IS_HELD, OneSchool};
use crate::common::{Browser, Setup, eventually, get, platform, post, send};

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

    assert_eq!(answer.see_other(), Ok("/"));
    assert!(browser.logged_in());
    assert_eq!(browser.get("/page/1").await.status, StatusCode::OK);
    assert_eq!(browser.turn().await["state"], "none");
}

#[tokio::test]
async fn a_login_waits_its_turn_sealed_and_is_typed_once() {
    let school = OneSchool::start(1, NOBODY_IS_HELD).await;
    let (mut browser, form) = school.pupil().await;
    school.occupy().await;

    let answer = browser.post("/login", &form).await;

    assert_eq!(answer.see_other(), Ok("/_einlass/wait"));
    let cookies = format!("{:?}", answer.headers.get_all("set-cookie"));
    assert!(
        !cookies.contains("demo-password"),
        "sealed, not written: {cookies}"
    );
    assert!(cookies.matches("HttpOnly").count() >= 2, "{cookies}");
    let page = browser.get("/_einlass/wait").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("lang=\"de\""));

    school.work_on();
    browser.until("ready").await;
    let answer = browser.enter().await;

    assert_eq!(answer.see_other(), Ok("/"));
    assert!(browser.logged_in());
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
    assert_eq!(school.platform.snapshot(false).max_in_flight, 1);
    assert!(!browser.cookies.keys().any(|name| name.contains("seal")));
    let file = school.gateway.dir.path().join("state/rooms.json");
    assert!(eventually(async || file.exists()).await);
    let state = std::fs::read_to_string(file).unwrap();
    assert!(!state.contains("demo-password") && !state.contains("pupil001"));
    let log = school.gateway.log();
    assert!(!log.contains("demo-password") && !log.contains("pupil001"));
}

#[tokio::test]
async fn an_app_gets_json_and_comes_back_with_its_ticket() {
    let school = OneSchool::start(1, NOBODY_IS_HELD).await;
    let edge = school.gateway.edge;
    let (browser, form) = school.pupil().await;
    school.occupy().await;
    let login = |ticket: Option<&str>| {
        let mut request = post("/login", GYM, form.clone());
        let headers = request.headers_mut();
        headers.insert("accept", "application/json".parse().unwrap());
        let cookies = browser.cookie_pairs().join("; ");
        headers.insert("cookie", cookies.parse().unwrap());
        if let Some(ticket) = ticket {
            headers.insert("einlass-ticket", ticket.parse().unwrap());
        }
        request
    };

    let answer = send(edge, login(None)).await;

    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let header = |name: &str| answer.headers[name].to_str().unwrap();
    let retry: u64 = header("retry-after").parse().unwrap();
    assert!((1..=30).contains(&retry));
    let body = answer.json();
    assert_eq!(body["state"], "waiting");
    assert!(body["since"].as_str().unwrap().ends_with('Z'));

    school.work_on();
    let ticket = header("einlass-ticket");
    let came = async || {
        let mut poll = get("/_einlass/turn", GYM);
        let headers = poll.headers_mut();
        headers.insert("einlass-ticket", ticket.parse().unwrap());
        send(edge, poll).await.json()["state"] == "ready"
    };
    assert!(eventually(came).await);
    let answer = send(edge, login(Some(ticket))).await;
    assert_eq!(answer.see_other(), Ok("/"));
}

#[tokio::test]
async fn a_mistyped_password_does_not_queue_again() {
    let school = OneSchool::start(1, NOBODY_IS_HELD).await;
    let (mut browser, form) = school.pupil().await;
    school.occupy().await;
    let mistyped = form.replace("demo-password", "vertippt");
    browser.post("/login", &mistyped).await;
    school.work_on();
    browser.until("ready").await;
    let answer = browser.enter().await;
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "the form again, under its own address"
    );
    let form = Browser::fill(&answer, "demo-password");
    school.occupy().await;
    let (mut queue, other) = school.pupil().await;
    let sent = queue.post("/login", &other).await;
    assert_eq!(sent.see_other(), Ok("/_einlass/wait"));

    school.work_on();
    let answer = browser.post("/login", &form).await;

    assert_eq!(answer.see_other(), Ok("/"));
}

#[tokio::test]
async fn a_login_that_comes_while_the_slot_is_busy_is_held_and_answered() {
    let school = OneSchool::start(1, "").await;
    let (mut browser, form) = school.pupil().await;
    school.occupy().await;

    let held = tokio::spawn(async move { (browser.post("/login", &form).await, browser) });

    let waits = async || {
        school.number("waiting_pupils").await + school.number("buffered_logins").await >= 1.0
    };
    assert!(eventually(waits).await, "it does not wait");
    assert_eq!(school.received(), 1);
    school.work_on();
    let (answer, browser) = held.await.unwrap();
    assert_eq!(answer.see_other(), Ok("/"), "no page in between");
    assert!(browser.logged_in());
    let seen = school.platform.snapshot(false);
    assert_eq!((seen.totals.received, seen.max_in_flight), (2, 1));
}

#[tokio::test]
async fn a_browser_that_asks_for_english_waits_in_english() {
    let school = OneSchool::start(1, CLOSED).await;
    let (mut browser, form) = school.pupil().await;
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
    let school = OneSchool::start(1, "max_body = \"1KiB\"").await;
    let request = post("/login", GYM, vec![b'x'; 5_000]);
    let answer = send(school.gateway.edge, request).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(school.received(), 0);
}
