//! Staff passes, end to end: the command makes them, a real gateway takes them.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may fail, and counters are small whole numbers"
)]

mod common;
#[path = "../../admission/tests/server/mod.rs"]
mod redis_server;

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Browser, Gateway, Setup, eventually, get, platform};
use einlass_benches::platform::{HashCost, Platform};
use hyper::StatusCode;
use redis_server::RedisServer;
use tokio::task::JoinSet;

const GYM: &str = "gym.example";
const OTHER: &str = "other.example";
/// Nobody is let in, so that places can be counted.
const CLOSED: &str = "mode = \"closed\"\nhold = \"0s\"\nstaff_share = 0.25";

fn command(config: &Path, host: &str, expires: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_einlass"))
        .args(["staff-pass", "--host", host, "--expires", expires])
        .arg("--config")
        .arg(config)
        .output()
        .unwrap()
}

/// The path of a link that the command has made.
fn link(gateway: &Gateway, host: &str, expires: &str) -> String {
    let config = gateway.dir.path().join("einlass.toml");
    let made = command(&config, host, expires);
    let said = String::from_utf8(made.stderr).unwrap();
    assert!(made.status.success(), "{said}");
    assert!(said.contains(host), "{said}");
    let printed = String::from_utf8(made.stdout).unwrap();
    let link = printed.strip_prefix(&format!("https://{host}")).unwrap();
    link.trim_end().to_owned()
}

async fn gateway(platform: &Platform, in_flight: usize, more: &str) -> Gateway {
    let schools = [(GYM, 900), (OTHER, 900)];
    Setup::default()
        .region("north", platform.backends(), in_flight, &schools, more)
        .not_new(&["north"])
        .start()
        .await
}

async fn quick() -> Platform {
    platform(1, 1, HashCost::QUICK).await
}

/// Somebody who has logged in and waits.
async fn queue(gateway: &Gateway, link: Option<&str>) -> Browser {
    let mut browser = Browser::new(gateway.edge, GYM);
    if let Some(link) = link {
        opens(&mut browser, link).await;
    }
    log_in(&mut browser).await;
    browser
}

async fn opens(browser: &mut Browser, link: &str) {
    let answer = browser.get(link).await;
    let told = (answer.status, answer.location());
    assert_eq!(told, (StatusCode::SEE_OTHER, "/"), "{}", answer.text());
}

async fn log_in(browser: &mut Browser) {
    let form = browser.form().await;
    let answer = browser.post("/login", &form).await;
    let told = (answer.status, answer.location());
    assert_eq!(told, (StatusCode::SEE_OTHER, "/_einlass/wait"));
}

async fn crowd(gateway: &Gateway, pupils: usize) -> Vec<Browser> {
    let mut crowd = Vec::new();
    for _ in 0..pupils {
        crowd.push(queue(gateway, None).await);
    }
    crowd
}

async fn ahead(browser: &mut Browser) -> u64 {
    browser.turn().await["ahead"].as_u64().unwrap()
}

async fn is_among_staff(browser: &mut Browser) -> bool {
    let page = browser.get("/_einlass/wait").await.text();
    let staff = page.contains("Vor dir unter den Lehrkräften deiner Schule");
    assert_ne!(staff, page.contains("Vor dir in deiner Schule"), "{page}");
    staff
}

async fn events(gateway: &Gateway, event: &str) -> u64 {
    let name = format!("einlass_staff_events_total{{pool=\"north\",event=\"{event}\"}}");
    gateway.metric(&name).await as u64
}

async fn staff_waiting(gateway: &Gateway) -> u64 {
    gateway
        .metric("einlass_waiting_staff{pool=\"north\"}")
        .await as u64
}

/// Polls, and goes in when the turn has come; when that was.
async fn goes_in(mut browser: Browser) -> Instant {
    browser.until("ready").await;
    let answer = browser.enter().await;
    assert_eq!(answer.location(), "/", "{}", answer.status);
    assert!(browser.logged_in());
    Instant::now()
}

#[tokio::test]
async fn teachers_pass_the_crowd_that_came_before_them_and_only_by_their_share() {
    let cost = HashCost::about(Duration::from_millis(100)).unwrap();
    let platform = platform(1, 1, cost).await;
    let gateway = gateway(&platform, 1, "hold = \"0s\"\nstaff_share = 0.2").await;
    let link = link(&gateway, GYM, "12h");
    // One login takes the only slot and is not done before everybody stands in line.
    platform.set_workers(0);
    let mut first = Browser::new(gateway.edge, GYM);
    let form = first.form().await;
    let first = tokio::spawn(async move { first.post("/login", &form).await });
    assert!(eventually(|| async { platform.in_flight() > 0 }).await);

    let mut all = JoinSet::new();
    for pupil in crowd(&gateway, 40).await {
        all.spawn(async move { (goes_in(pupil).await, false) });
    }
    for _ in 0..40 {
        let teacher = queue(&gateway, Some(&link)).await;
        all.spawn(async move { (goes_in(teacher).await, true) });
    }
    let placed = events(&gateway, "Placed").await;
    platform.set_workers(1);
    first.await.unwrap();
    let mut order = all.join_all().await;
    order.sort_unstable();
    let rank = order.iter().position(|(_, teacher)| *teacher).unwrap();
    assert!(rank < 15, "came after 40, was {rank} to go in");
    // Four of the first twenty, but for who polls when.
    let early = order.iter().take(20).filter(|(_, teacher)| *teacher);
    let early = early.count();
    assert!((2..=7).contains(&early), "{early} of the first 20");
    assert_eq!(events(&gateway, "Admitted").await, placed);
    assert!((14..=18).contains(&placed), "{placed}: a fifth of 80");
    assert_eq!(events(&gateway, "Ordinary").await, 40 - placed);
    assert_eq!(staff_waiting(&gateway).await, 0);
    assert_eq!(platform.snapshot(false).max_in_flight, 1);
}

#[tokio::test]
async fn a_flood_of_staff_logins_takes_no_more_places_than_their_share() {
    let platform = quick().await;
    let gateway = gateway(&platform, 1, CLOSED).await;
    let link = link(&gateway, GYM, "1h");
    crowd(&gateway, 100).await;
    let mut teacher = queue(&gateway, Some(&link)).await;
    assert_eq!(ahead(&mut teacher).await, 0);
    assert!(is_among_staff(&mut teacher).await);
    assert!(!teacher.cookies["einlass_ticket"].is_empty());
    for _ in 0..60 {
        queue(&gateway, Some(&link)).await;
    }
    // A quarter of all 161, whoever they say they are.
    let placed = events(&gateway, "Placed").await;
    assert!((39..=41).contains(&placed), "{placed}");
    assert_eq!(staff_waiting(&gateway).await, placed);
    let waiting = gateway.metric("einlass_waiting_pupils{pool=\"north\"}");
    assert_eq!(waiting.await as u64, 161);
    assert_eq!(
        ahead(&mut teacher).await,
        0,
        "those who came later are behind"
    );
}

#[tokio::test]
async fn a_pass_that_is_none_gains_nothing_and_is_told_why() {
    let platform = quick().await;
    let schools = [(GYM, 900), (OTHER, 900)];
    let at = |clock| {
        Setup::default()
            .region("north", platform.backends(), 1, &schools, CLOSED)
            .clock(Some(clock))
    };
    let gateway = at("+0").start().await;
    let mine = link(&gateway, GYM, "1h");
    let foreign = link(&gateway, OTHER, "1h");
    let forged = format!("{}AAAA", &mine[..mine.len() - 4]);
    let later = at("+2h").start_beside(&gateway).await;

    let gone = StatusCode::GONE;
    let no = StatusCode::FORBIDDEN;
    for (gateway, link, status, german, english) in [
        (&gateway, forged.as_str(), no, "gilt nicht", "is not valid"),
        (
            &gateway,
            "/_einlass/staff",
            no,
            "gilt nicht",
            "is not valid",
        ),
        (
            &gateway,
            &foreign,
            no,
            "gehört zu einer anderen Schule",
            "belongs to another school",
        ),
        (&later, &mine, gone, "ist abgelaufen", "has expired"),
    ] {
        let refused = events(gateway, "Refused").await;
        let mut browser = Browser::new(gateway.edge, GYM);
        for (language, says) in [("de", german), ("en", english)] {
            let mut request = get(link, GYM);
            let headers = request.headers_mut();
            headers.insert("accept-language", language.parse().unwrap());
            let page = browser.send(request).await;
            assert_eq!(page.status, status, "{link}");
            let text = page.text();
            assert!(text.contains(says) && !text.contains("<script"), "{text}");
            assert!(text.contains("href=\"/login\""), "{text}");
            assert_eq!(page.headers["referrer-policy"], "no-referrer");
        }
        assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
        assert_eq!(events(gateway, "Refused").await, refused + 2);
        // And whoever puts it into the cookie waits like everybody.
        let before = crowd(gateway, 3).await.len() as u64;
        let pass = link.split_once('=').map_or("", |(_, pass)| pass);
        browser.cookies.insert("einlass_staff".into(), pass.into());
        log_in(&mut browser).await;
        assert!(!is_among_staff(&mut browser).await);
        assert!(ahead(&mut browser).await >= before);
        assert_eq!(staff_waiting(gateway).await, 0);
    }
    // A place among the staff is good at the school it was given at.
    let mut teacher = queue(&gateway, Some(&mine)).await;
    assert!(is_among_staff(&mut teacher).await);
    teacher.host = OTHER.to_owned();
    assert_eq!(teacher.turn().await["state"], "none");
    assert!(!gateway.log().contains("pass="), "no pass is logged");
}

#[tokio::test]
async fn whoever_waits_already_may_still_take_out_the_pass() {
    let platform = quick().await;
    let gateway = gateway(&platform, 1, CLOSED).await;
    let link = link(&gateway, GYM, "1h");
    crowd(&gateway, 60).await;
    let mut teacher = queue(&gateway, None).await;
    assert_eq!(ahead(&mut teacher).await, 60);
    opens(&mut teacher, &link).await;
    assert_eq!(ahead(&mut teacher).await, 60, "the place is still there");
    log_in(&mut teacher).await;
    assert_eq!(ahead(&mut teacher).await, 0);
    assert!(is_among_staff(&mut teacher).await);
    // And keeps that place when logging in once more.
    let ticket = teacher.cookies["einlass_ticket"].clone();
    log_in(&mut teacher).await;
    assert_eq!(teacher.cookies["einlass_ticket"], ticket);
    assert_eq!(staff_waiting(&gateway).await, 1);
}

#[tokio::test]
async fn without_a_share_a_pass_is_an_ordinary_place() {
    let platform = quick().await;
    let mut gateway = gateway(&platform, 1, CLOSED).await;
    let link = link(&gateway, GYM, "1h");
    crowd(&gateway, 5).await;
    let mut placed = queue(&gateway, Some(&link)).await;
    let config = gateway.dir.path().join("einlass.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("staff_share = 0.25", "")).unwrap();
    gateway.stop().await;
    gateway.run().await;
    let mut teacher = queue(&gateway, Some(&link)).await;
    assert_eq!(ahead(&mut teacher).await, 5);
    assert!(!is_among_staff(&mut teacher).await);
    assert_eq!(placed.turn().await["state"], "none", "switched off");
}

#[tokio::test]
async fn a_staff_place_outlives_restart_and_rotation_and_a_pass_its_key() {
    let platform = quick().await;
    let mut gateway = gateway(&platform, 1, CLOSED).await;
    let old = link(&gateway, GYM, "30d");
    crowd(&gateway, 40).await;
    let mut teachers = Vec::new();
    for _ in 0..3 {
        teachers.push(queue(&gateway, Some(&old)).await);
    }
    let keys = gateway.dir.path().join("state/keys");
    let first = std::fs::read_to_string(&keys).unwrap();
    let second = format!("2 {}\n", STANDARD.encode([7_u8; 32]));
    gateway.stop().await;
    std::fs::write(&keys, format!("{second}{first}")).unwrap();
    gateway.run().await;
    for (place, teacher) in (0..).zip(&mut teachers) {
        assert_eq!(ahead(teacher).await, place);
        assert!(is_among_staff(teacher).await);
    }
    assert_eq!(staff_waiting(&gateway).await, 3);
    let new = link(&gateway, GYM, "30d");
    let mut next = queue(&gateway, Some(&old)).await;
    assert_eq!(ahead(&mut next).await, 3, "the old pass is still good");
    let mut next = queue(&gateway, Some(&new)).await;
    assert!(is_among_staff(&mut next).await);

    gateway.stop().await;
    std::fs::write(&keys, second).unwrap();
    gateway.run().await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let answer = browser.get(&old).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    opens(&mut browser, &new).await;
}

#[tokio::test]
async fn a_fleet_has_one_line_for_a_schools_staff() {
    let platform = quick().await;
    let redis = RedisServer::start(&[]);
    let store = format!("[store]\nredis = \"redis://127.0.0.1:{}\"\n", redis.port);
    let schools = [(GYM, 900), (OTHER, 900)];
    let setup = Setup::default()
        .region("north", platform.backends(), 1, &schools, CLOSED)
        .text(&store);
    let one = setup.clone().start().await;
    let other = setup.start_beside(&one).await;
    for gateway in [&one, &other] {
        gateway.until_mode("shared").await;
    }
    let link = link(&one, GYM, "1h");
    crowd(&one, 30).await;
    let mut teachers = Vec::new();
    for gateway in [&one, &other, &one, &other] {
        // The other gateway hears of those who wait with the next exchange.
        let gateway_knows = async || {
            let waiting = gateway.metric("einlass_waiting_pupils{pool=\"north\"}");
            waiting.await >= 30.0
        };
        assert!(eventually(gateway_knows).await);
        teachers.push(queue(gateway, Some(&link)).await);
    }
    for gateway in [&one, &other] {
        let all = async || staff_waiting(gateway).await == 4;
        assert!(eventually(all).await, "{}", staff_waiting(gateway).await);
        for (place, teacher) in (0..).zip(&mut teachers) {
            teacher.address = gateway.edge;
            assert_eq!(ahead(teacher).await, place);
            assert!(is_among_staff(teacher).await);
        }
    }
}

#[test]
fn the_command_says_why_it_makes_no_pass() {
    let dir = tempfile::TempDir::new().unwrap();
    let config = dir.path().join("einlass.toml");
    let write = |share: &str| {
        let text = format!(
            "[state]\ndirectory = \"state\"\n[region.north]\nbackends = [\"127.0.0.1:1\"]\n\
             school = [{{ host = \"{GYM}\" }}]\n[region.north.admission]\n{share}"
        );
        std::fs::write(&config, text).unwrap();
    };
    let refused = |host: &str, expires: &str, says: &str| {
        let out = command(&config, host, expires);
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains(says) && out.stdout.is_empty(), "{said}");
    };
    write("staff_share = 2");
    refused(GYM, "1h", "7:15: `staff_share` must be between 0 and 0.5");
    write("");
    refused(
        GYM,
        "1h",
        "`staff_share = 0.05` in [region.north.admission]",
    );
    write("staff_share = 0.25");
    refused(OTHER, "1h", "no school of the configuration has the host");
    refused(GYM, "soon", "how long it is good");
    refused(GYM, "2020-01-01", "from now on, and for 400 days at most");
    refused(GYM, "1h", "start the gateway once");
    let state = dir.path().join("state");
    assert!(!state.exists(), "keys are the gateway's to make");
}
