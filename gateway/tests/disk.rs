//! What the disk may do: full, damaged, from another version, open to others.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use common::backend::{Backend, FINE};
use common::school::{CLOSED, GYM};
use common::{Browser, Gateway, Setup, eventually, free_address};

/// A pupil with a place in a room that is closed.
async fn waiting(backend: &Backend) -> (Gateway, Browser) {
    let gateway = Setup::default()
        .region("north", &[backend.address], 1, &[(GYM, 900)], CLOSED)
        .start()
        .await;
    let mut browser = Browser::new(gateway.edge, GYM);
    let sent = browser.post("/login", "user=x").await;
    assert_eq!(sent.location(), "/_einlass/wait");
    (gateway, browser)
}

async fn write_errors(gateway: &Gateway) -> f64 {
    gateway.metric("einlass_state_file_errors_total").await
}

#[tokio::test]
async fn whatever_the_state_file_holds_the_gateway_starts_and_the_place_is_kept() {
    let backend = Backend::start(FINE).await;
    let (mut gateway, mut browser) = waiting(&backend).await;
    let file = gateway.dir.path().join("state/rooms.json");
    let huge = "[".repeat(1 << 20);
    for text in [
        "",
        "{\"version\":1,\"rooms\":{\"north\":{\"serv",
        "null",
        "{\"version\":99,\"rooms\":{}}",
        "{\"version\":1,\"rooms\":{\"north\":{\"serving\":-1,\"last\":{}}}}",
        "\u{0}\u{0}\u{0}",
        &huge,
    ] {
        gateway.stop().await;
        std::fs::write(&file, text).unwrap();
        gateway.run().await;
        let start: String = text.chars().take(40).collect();
        assert_eq!(browser.turn().await["state"], "closed", "{start}");
        let aside = file.with_extension("set-aside");
        assert_eq!(std::fs::read_to_string(aside).unwrap(), text, "{start}");
        assert!(gateway.log().contains("set aside"), "{start}");
    }
    assert!(!gateway.log().contains("panicked"));
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_said_once_and_loses_nobody() {
    let backend = Backend::start(FINE).await;
    let (mut gateway, mut browser) = waiting(&backend).await;
    let fresh = gateway.dir.path().join("state/rooms.new");
    // A folder in the way of the file: no user may write it.
    let blocked = async || std::fs::create_dir(&fresh).is_ok();
    assert!(eventually(blocked).await);
    let known = &gateway;
    assert!(eventually(async || write_errors(known).await >= 2.0).await);
    assert_eq!(gateway.log().matches("State file not written").count(), 1);
    assert_eq!(browser.turn().await["state"], "closed");
    std::fs::remove_dir(&fresh).unwrap();
    let again = async || known.log().contains("State file is written again");
    assert!(eventually(again).await);
    gateway.stop().await;
    gateway.run().await;
    assert_eq!(browser.turn().await["state"], "closed");
}

/// A pipe that nobody reads, where the file is to be written: whoever opens it waits.
#[tokio::test]
async fn a_disk_that_hangs_stops_nothing_else() {
    // Its port takes connections as long as it lives, and that is all that is checked.
    let backend = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = backend.local_addr().unwrap();
    let gateway = Setup::default()
        .region("north", &[address], 1, &[(GYM, 900)], "")
        .text("[region.north.health]\ninterval = \"200ms\"\n")
        .start()
        .await;
    let pipe = gateway.dir.path().join("state/rooms.new");
    let made = async || {
        let mut making = Command::new("mkfifo");
        making.arg(&pipe).stderr(Stdio::null());
        making.status().unwrap().success()
    };
    assert!(eventually(made).await);
    assert!(eventually(async || write_errors(&gateway).await >= 2.0).await);
    assert_eq!(gateway.log().matches("State file not written").count(), 1);
    drop(backend);
    let noticed = async || gateway.log().contains("Backend left out");
    assert!(eventually(noticed).await, "nothing moves on");
    // The disk is back: somebody reads, and what hangs comes to its end.
    let reading = std::fs::File::open(&pipe).unwrap();
    std::fs::remove_file(&pipe).unwrap();
    drop(reading);
    let again = async || gateway.log().contains("State file is written again");
    assert!(eventually(again).await);
}

#[tokio::test]
async fn a_key_file_that_others_may_read_is_complained_about() {
    let backend = Backend::start(FINE).await;
    let (mut gateway, mut browser) = waiting(&backend).await;
    let keys = gateway.dir.path().join("state/keys");
    let mode = || std::fs::metadata(&keys).unwrap().permissions().mode();
    assert_eq!(mode() & 0o777, 0o600);
    assert!(!gateway.log().contains("chmod 600"));
    gateway.stop().await;
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).unwrap();
    // What a first start left that was cut off in the middle.
    std::fs::write(keys.with_extension("new"), "1 ab").unwrap();
    gateway.run().await;
    assert!(gateway.log().contains("chmod 600"), "{}", gateway.log());
    assert_eq!(browser.turn().await["state"], "closed");
}

/// Tries to start a gateway whose folder of state is as prepared, and returns what it says.
fn refused(prepare: impl FnOnce(&Path)) -> String {
    let dir = tempfile::TempDir::new().unwrap();
    let state = dir.path().join("state");
    prepare(&state);
    let config = dir.path().join("einlass.toml");
    let (edge, desk, backend) = (free_address(), free_address(), free_address());
    let text = format!(
        "[edge]\nlisten = [\"{edge}\"]\n[desk]\nlisten = \"{desk}\"\n[state]\ndirectory = \"state\"\n\
         [region.north]\nbackends = [\"{backend}\"]\n[[region.north.school]]\nhost = \"{GYM}\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_einlass"))
        .args(["run", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{said}");
    said
}

#[test]
fn without_usable_keys_the_start_is_refused_with_the_reason() {
    let file = |text: &'static str| {
        refused(move |state| {
            std::fs::create_dir(state).unwrap();
            std::fs::write(state.join("keys"), text).unwrap();
        })
    };
    assert!(file("").contains("no key in it"));
    assert!(file("1 dG9vIHNob3J0\n").contains("line 1"));
    assert!(file("# only a comment\n1 \n").contains("line 2"));
    let said = refused(|state| std::fs::write(state, "a file").unwrap());
    assert!(said.contains("must be a folder"), "{said}");
}
