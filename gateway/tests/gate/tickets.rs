//! What a ticket is good for, and what is no ticket.

use einlass_benches::platform::HashCost;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Request, StatusCode};

use crate::common::school::{CLOSED, GYM, NOBODY_IS_HELD, OneSchool};
use crate::common::{Browser, Setup, get, platform, post, send};

const OTHER: &str = "other.example";

#[tokio::test]
async fn a_ticket_admits_once_and_never_at_another_school() {
    let two_schools = |setup: Setup| setup.school("north", OTHER, 900);
    let school = OneSchool::start_with(1, NOBODY_IS_HELD, two_schools).await;
    let mut browser = school.called().await;
    let stolen = browser.clone();

    let mut foreign = stolen.clone();
    foreign.host = OTHER.to_owned();
    assert_eq!(foreign.turn().await["state"], "none");
    assert_eq!(foreign.enter().await.location(), "/_einlass/wait");

    assert_eq!(browser.enter().await.location(), "/");
    let before = school.received();
    let mut replayed = stolen.clone();
    // For a moment the same browser may ask once more for the answer it has not heard.
    replayed.until("none").await;
    let answer = replayed.enter().await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(!replayed.logged_in());
    let mut twice = stolen;
    let answer = twice.post("/login", "einlass=enter").await;
    assert_eq!(answer.see_other(), Ok("/login"));
    assert_eq!(school.received(), before, "nothing reached the backend");
}

#[tokio::test]
async fn a_forged_or_broken_ticket_is_no_ticket() {
    let school = OneSchool::start(1, NOBODY_IS_HELD).await;
    let edge = school.gateway.edge;
    let (mut browser, form) = school.pupil().await;
    school.occupy().await;
    browser.post("/login", &form).await;
    school.work_on();
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
        let with = |mut request: Request<Full<Bytes>>| {
            if let Ok(value) = HeaderValue::from_str(&cookie) {
                request.headers_mut().insert("cookie", value);
            }
            request
        };
        let turn = send(edge, with(get("/_einlass/turn", GYM))).await;
        assert_eq!(turn.status, StatusCode::OK);
        assert_eq!(turn.json()["state"], "none", "{bad:?}");
        let page = send(edge, with(get("/_einlass/wait", GYM))).await;
        assert_eq!(page.status, StatusCode::OK);
        for path in ["/_einlass/enter", "/login"] {
            let enter = send(edge, with(post(path, GYM, "einlass=enter"))).await;
            assert_eq!(enter.see_other(), Ok("/_einlass/wait"), "{path}");
        }
        let again = send(edge, with(post("/login", GYM, form.clone()))).await;
        assert!(
            again.status.is_redirection() || again.status.is_client_error(),
            "{}",
            again.status
        );
    }
    let panics = "einlass_edge_events{event=\"panic\"}";
    assert_eq!(school.gateway.metric(panics).await, 0.0);
}

#[tokio::test]
async fn an_expired_ticket_is_a_fresh_place() {
    let platform = platform(1, 1, HashCost::QUICK).await;
    let setup = |clock| {
        let more = format!("{CLOSED}\nticket_lifetime = \"1h\"");
        Setup::default()
            .region("north", platform.backends(), 1, &[(GYM, 900)], &more)
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
    let answer = browser.clone().enter().await;
    assert_eq!(answer.see_other(), Ok("/_einlass/wait"));
    let answer = browser.post("/login", &form).await;
    assert_eq!(answer.location(), "/_einlass/wait");
    assert_ne!(
        browser.cookies["einlass_ticket"], ticket,
        "a place of its own"
    );
    assert_eq!(browser.turn().await["state"], "closed");
    let bad = "einlass_bad_tickets_total{pool=\"north\"}";
    assert!(gateway.metric(bad).await >= 1.0);
    assert_eq!(platform.snapshot(false).totals.received, 0);
}
