//! What operators see, and what a gateway does when it is told to stop or has nothing to reach.

use std::time::{Duration, Instant};

use einlass_benches::platform::HashCost;
use hyper::StatusCode;

use crate::common::{Browser, Setup, eventually, free_address, get, platform, send};
use crate::slots::{GYM, slow};

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
