//! What a ticket is good for, and what is no ticket.

use einlass_benches::platform::HashCost;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::body::Bytes;

use crate::common::{Browser, Setup, get, platform, post, send};
use crate::slots::{GYM, occupy, slow};

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
