//! Who gets how much, where nothing is broken.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hyper::StatusCode;

use super::common::{Setup, post, send};
use super::fickle::{Fickle, Mood};
use super::{GYM, QUICK, gateway, state};

/// What came of a crowd at four backends, the last of which works at half the speed of the others.
struct Balanced {
    /// The part of the logins that the slow one got, of what is its due.
    slow: f64,
    /// How long 99 of 100 logins took at most, in seconds.
    p99: f64,
}

/// Twenty pupils, one login after the other each: all workers are busy, and there are lines.
async fn crowd_under(policy: &'static str) -> Balanced {
    const WORKERS: usize = 2;
    const LENGTH: Duration = Duration::from_secs(6);
    let mut backends = Vec::new();
    for ms in [60, 60, 60, 120] {
        let mood = Mood::Fine(Duration::from_millis(ms));
        backends.push(Fickle::with_workers(mood, WORKERS).await);
    }
    let addresses: Vec<SocketAddr> = backends.iter().map(|b| b.address).collect();
    let more = format!("[region.north.balancing]\npolicy = \"{policy}\"\n");
    let gateway = gateway(&addresses, &more).await;
    let (edge, begun) = (gateway.edge, Instant::now());
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..20 {
        crowd.spawn(async move {
            let mut took = Vec::new();
            while begun.elapsed() < LENGTH {
                let asked = Instant::now();
                let answer = send(edge, post("/login", GYM, "user=x")).await;
                assert_eq!(answer.status, StatusCode::OK);
                took.push(asked.elapsed().as_secs_f64());
            }
            took
        });
    }
    let mut took: Vec<f64> = crowd.join_all().await.into_iter().flatten().collect();
    took.sort_by(f64::total_cmp);
    let got: Vec<usize> = backends.iter().map(Fickle::posts).collect();
    let all: usize = got.iter().sum();
    assert_eq!(all, took.len(), "none was sent twice");
    let balanced = Balanced {
        slow: got[3] as f64 / all as f64 * 7.0,
        p99: took[(all - 1) * 99 / 100],
    };
    println!(
        "{policy}: {got:?}, the slow one has {:.3} of its due; 99 of 100 within {:.0} ms",
        balanced.slow,
        balanced.p99 * 1e3
    );
    balanced
}

/// Side by side, so that a machine that pauses does so for all.
#[tokio::test]
async fn logins_follow_the_speed_of_the_backends_and_are_sooner_done_than_under_other_policies() {
    let (ours, round_robin, least) = tokio::join!(
        crowd_under("peak_ewma"),
        crowd_under("round_robin"),
        crowd_under("least_in_flight")
    );
    assert!((0.9..=1.1).contains(&ours.slow), "{}", ours.slow);
    assert!(round_robin.slow > 1.3, "{}", round_robin.slow);
    for other in [round_robin, least] {
        assert!(ours.p99 < other.p99, "{} and {}", ours.p99, other.p99);
    }
}

#[tokio::test]
async fn weights_and_draining_are_followed() {
    let backends = [
        Fickle::start(QUICK).await,
        Fickle::start(QUICK).await,
        Fickle::start(QUICK).await,
    ];
    let [one, three, drained] = backends.each_ref().map(|backend| backend.address);
    let text = format!(
        "[region.north]\nbackends = [\"{one}\", {{ address = \"{three}\", weight = 3 }}, \
         {{ address = \"{drained}\", drain = true }}]\nadmission.in_flight = {{ max = 400 }}\n\
         [[region.north.school]]\nhost = \"{GYM}\"\n"
    );
    let gateway = Setup::default().text(&text).start().await;
    assert_eq!(state(&gateway, drained).await, "draining");
    let edge = gateway.edge;
    let crowd: Vec<_> = (0..16)
        .map(|_| {
            tokio::spawn(async move {
                for _ in 0..20 {
                    send(edge, post("/login", GYM, "user=x")).await;
                }
            })
        })
        .collect();
    for pupil in crowd {
        pupil.await.unwrap();
    }
    let got: Vec<usize> = backends.iter().map(Fickle::posts).collect();
    assert_eq!(got[2], 0);
    let times = got[1] as f64 / got[0] as f64;
    assert!((2.0..=4.5).contains(&times), "{got:?}");
}
