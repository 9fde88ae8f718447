//! What operators see, and what a gateway does when it is told to stop or has nothing to reach.

use std::time::{Duration, Instant};

use hyper::StatusCode;

use crate::common::school::{GYM, OneSchool};
use crate::common::{eventually, free_address, get, send, try_send};

#[tokio::test]
async fn the_desk_says_that_it_lives_and_how_its_rooms_are() {
    let school = OneSchool::start(1, "").await;
    let healthy = send(school.gateway.desk, get("/healthz", "desk")).await;
    assert_eq!(
        (healthy.status, healthy.text().as_str()),
        (StatusCode::OK, "ok\n")
    );
    let mode = async |mode: &str| {
        let name = format!("einlass_ledger_mode{{pool=\"north\",mode=\"{mode}\"}}");
        school.gateway.metric(&name).await
    };
    assert_eq!(mode("embedded").await, 1.0);
    for other in ["shared", "frozen", "recovering"] {
        assert_eq!(mode(other).await, 0.0, "{other}");
    }
    let age = async || school.number("ledger_mode_age_seconds").await;
    let before = age().await;
    assert!(eventually(async || age().await > before).await, "it grows");
}

#[tokio::test]
async fn a_host_of_no_school_gets_a_clear_page() {
    let school = OneSchool::start(1, "").await;
    let edge = school.gateway.edge;
    let answer = send(edge, get("/", "nobody.example")).await;
    assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
    assert!(answer.text().contains("gehört zu keiner Schule"));
    let mut english = get("/", "nobody.example");
    let value = "en-GB,en;q=0.9".parse().unwrap();
    english.headers_mut().insert("accept-language", value);
    let answer = send(edge, english).await;
    assert!(answer.text().contains("belongs to no school"));
}

#[tokio::test]
async fn with_a_dead_backend_the_place_is_kept_until_it_answers_again() {
    let mut school = OneSchool::start(4, "").await;
    let (mut browser, form) = school.pupil().await;

    school.platform.stop_backend(0).await.unwrap();

    let answer = browser.post("/login", &form).await;
    assert_eq!(answer.see_other(), Ok("/_einlass/wait"));
    let page = browser.get("/_einlass/wait").await;
    assert_eq!(page.status, StatusCode::OK);
    let turn = browser.until("held").await;
    let message = turn["message"].as_str().unwrap();
    assert!(message.contains("antwortet gerade nicht"), "{turn}");
    assert_eq!(turn["eta_seconds"], serde_json::Value::Null);
    let other = browser.get("/").await;
    assert_eq!(other.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(other.text().contains("antwortet nicht"));

    school.platform.restart_backend(0).await.unwrap();

    browser.until("ready").await;
    assert_eq!(browser.enter().await.see_other(), Ok("/"));
}

#[tokio::test]
async fn a_stop_finishes_the_login_in_flight_and_then_exits_at_once() {
    let mut school = OneSchool::start(1, "").await;
    let (mut browser, form) = school.pupil().await;
    school.platform.set_workers(0);
    let login = tokio::spawn(async move {
        let answer = browser.post("/login", &form).await;
        (answer, Instant::now())
    });
    assert!(eventually(async || school.platform.in_flight() == 1).await);

    school.gateway.signal("TERM");
    let desk = school.gateway.desk;
    let stopping = async || {
        let answer = try_send(desk, get("/readyz", "desk")).await;
        answer.is_ok_and(|answer| answer.status == StatusCode::SERVICE_UNAVAILABLE)
    };
    assert!(eventually(stopping).await, "it goes on as before");
    school.work_on();

    let (_, success) = school.gateway.exited().await;
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
