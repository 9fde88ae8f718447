//! A real application nobody here wrote (Django's own login, PBKDF2 at its default cost, CSRF
//! protection on) and a real browser: the password is typed once, the crowd is in the way, and the
//! pupil ends up logged in, with and without JavaScript.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Browser, Gateway, Setup, eventually, free_address, get, try_send};

const HOST: &str = "gym.example";
const PASSWORD: &str = "geheim-2021";
const LOGIN: &str = "/accounts/login/";
const CROWD: u32 = 40;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// Django behind gunicorn, killed when dropped.
struct Django {
    child: Child,
    address: SocketAddr,
    _data: tempfile::TempDir,
}

impl Django {
    async fn start() -> Self {
        let setup = Command::new(folder().join("setup"))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(setup.success(), "gateway/tests/browser/setup failed");
        let data = tempfile::TempDir::new().unwrap();
        let address = free_address();
        let child = Command::new(folder().join("django/serve"))
            .arg(address.to_string())
            .arg("2")
            .arg(data.path())
            .arg(HOST)
            .arg((CROWD + 2).to_string())
            .arg(PASSWORD)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let answers = || async move { try_send(address, get(LOGIN, HOST)).await.is_ok() };
        assert!(eventually(answers).await, "Django does not answer");
        Self {
            child,
            address,
            _data: data,
        }
    }
}

impl Drop for Django {
    fn drop(&mut self) {
        // The script has become gunicorn; its workers die with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One of the crowd: logs in like a browser. True if it ended up logged in.
async fn pupil(edge: SocketAddr, number: u32) -> bool {
    let mut browser = Browser::new(edge, HOST);
    let page = browser.get(LOGIN).await.text();
    let token = page.split("name=\"csrfmiddlewaretoken\"").nth(1).unwrap();
    let token = token.split('"').nth(1).unwrap();
    let form = format!("csrfmiddlewaretoken={token}&username=pupil{number}&password={PASSWORD}");
    let mut answer = browser.post(LOGIN, &form).await;
    while answer.location() == "/_einlass/wait" {
        let mut turn = browser.turn().await;
        while turn["state"] == "waiting" {
            let pause = turn["poll_after_seconds"].as_f64().unwrap();
            tokio::time::sleep(Duration::from_secs_f64(pause)).await;
            turn = browser.turn().await;
        }
        answer = browser.enter().await;
    }
    browser.cookies.contains_key("sessionid")
}

/// Sends the crowd, and while it waits one real browser. What the browser saw, as JSON.
async fn one_browser_in_a_crowd(mode: &str) -> serde_json::Value {
    let django = Django::start().await;
    let gateway: Gateway = Setup::default()
        .region("north", &[django.address], 2, &[(HOST, 900)], "")
        .platform("django")
        .start()
        .await;
    // A browser takes seconds to start, in which a crowd may have gone in: it comes first.
    let signs = tempfile::TempDir::new().unwrap();
    let child = tokio::process::Command::new("node")
        .arg(folder().join("login.mjs"))
        .args(["--url", &format!("http://{HOST}:{}", gateway.edge.port())])
        .args(["--user", &format!("pupil{}", CROWD + 1)])
        .args(["--password", PASSWORD, "--mode", mode, "--expect-wait"])
        .args(["--timeout", "100", "--submit-when"])
        .arg(signs.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let filled = signs.path().join("filled");
    assert!(
        eventually(async || filled.exists()).await,
        "no form filled in"
    );
    let crowd: Vec<_> = (1..=CROWD)
        .map(|number| tokio::spawn(pupil(gateway.edge, number)))
        .collect();
    let waiting = || async {
        gateway
            .metric("einlass_waiting_pupils{pool=\"north\"}")
            .await
            >= 15.0
    };
    assert!(eventually(waiting).await, "no crowd in the room");
    std::fs::write(signs.path().join("go"), "").unwrap();
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    for pupil in crowd {
        assert!(pupil.await.unwrap(), "one of the crowd is not in");
    }
    assert!(!gateway.log().contains(PASSWORD));
    serde_json::from_str(said.lines().last().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_types_once_waits_and_is_in() {
    let seen = one_browser_in_a_crowd("js").await;
    assert_eq!(seen["login_posts"], 1, "{seen}");
    assert_eq!(seen["clicks_on_enter"], 0, "{seen}");
    assert_eq!(seen["lang"], "de", "{seen}");
    assert_eq!(seen["console_errors"], serde_json::json!([]), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_javascript_the_button_does_the_same() {
    let seen = one_browser_in_a_crowd("nojs").await;
    assert_eq!(seen["login_posts"], 1, "{seen}");
    assert_eq!(seen["polls"], 0, "{seen}");
    assert_eq!(seen["clicks_on_enter"], 1, "{seen}");
}
