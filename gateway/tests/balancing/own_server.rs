//! What becomes of a school's own server, which nobody but that school may notice.

use std::time::Duration;

use hyper::StatusCode;

use super::common::{Browser, eventually, post, send};
use super::fickle::{Fickle, Mood};
use super::stream::{Asked, Stream};
use super::{QUICK, gateway};

/// Everybody else is looked at from before it breaks until it works again.
async fn breaks(dies: impl AsyncFn(&Fickle), lives: impl AsyncFn(&Fickle)) {
    const OLD: &str = "old.example";
    const OTHER: &str = "other.example";
    let region = Fickle::start(QUICK).await;
    let own = [Fickle::start(QUICK).await, Fickle::start(QUICK).await];
    let school = |host: &str, backend: &Fickle| {
        let backend = backend.address;
        format!("[[region.north.school]]\nhost = \"{host}\"\nbackends = [\"{backend}\"]\n")
    };
    let text = format!(
        "{}{}[region.north.upstream]\nlogin_timeout = \"6s\"\n",
        school(OLD, &own[0]),
        school(OTHER, &own[1])
    );
    let gateway = gateway(&[region.address], &text).await;
    // Its room learns how long a login takes.
    for _ in 0..10 {
        let login = send(gateway.edge, post("/login", OLD, "user=x")).await;
        assert_eq!(login.status, StatusCode::OK);
    }
    let everybody_else = [
        Stream::start(gateway.edge, 40),
        Stream::of(Asked::Page, gateway.edge, 40),
        Stream::at(Asked::Login, gateway.edge, OTHER, 20),
    ];
    assert!(eventually(async || own[1].posts() > 10 && region.posts() > 10).await);
    dies(&own[0]).await;
    // A few find out.
    let mut finding_out = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let edge = gateway.edge;
        finding_out.spawn(async move { send(edge, post("/login", OLD, "user=x")).await.status });
    }
    let down = |pool: &str| format!("einlass_pool_down{{pool=\"{pool}\"}}");
    let gone = down("north/old.example");
    assert!(eventually(async || gateway.metric(&gone).await > 0.0).await);
    let mut pupil = Browser::new(gateway.edge, OLD);
    let place =
        async || pupil.clone().post("/login", "user=x").await.location() == "/_einlass/wait";
    // One of the first may be among those who try.
    assert!(eventually(place).await);
    assert_eq!(
        pupil.post("/login", "user=x").await.location(),
        "/_einlass/wait"
    );
    pupil.until("held").await;
    let page = pupil.get("/_einlass/wait").await.text();
    assert!(
        page.contains("Der Server deiner Schule antwortet nicht"),
        "{page}"
    );
    for other in ["north", "north/other.example"] {
        assert!(gateway.metric(&down(other)).await < 1.0, "{other}");
    }
    lives(&own[0]).await;
    pupil.until("ready").await;
    assert_eq!(pupil.enter().await.status, StatusCode::OK);
    for status in finding_out.join_all().await {
        let told = [StatusCode::SEE_OTHER, StatusCode::GATEWAY_TIMEOUT];
        assert!(told.contains(&status), "{status}");
    }
    let mut seen = 0;
    for stream in everybody_else {
        let answers = stream.end().await;
        seen += answers.len();
        let missed = answers.iter().find(|(_, status, took)| {
            *status != Some(StatusCode::OK) || *took > Duration::from_secs(5)
        });
        assert!(missed.is_none(), "{missed:?}");
    }
    let waited = async |pool: &str| {
        let turns = format!("einlass_turns_total{{pool=\"{pool}\",outcome=\"Queued\"}}");
        gateway.metric(&turns).await
    };
    println!("{seen} requests of others, none of which noticed");
    for pool in ["north", "north/other.example"] {
        assert!(waited(pool).await < 1.0, "{pool}");
    }
}

#[tokio::test]
async fn a_schools_own_server_dies_and_only_that_school_sees_it() {
    breaks(async |own| own.stop(), async |own| own.start_again().await).await;
}

#[tokio::test]
async fn a_schools_own_server_falls_silent_and_only_that_school_sees_it() {
    let falls = async |own: &Fickle| own.set(Mood::Silent);
    breaks(falls, async |own| own.set(QUICK)).await;
}
