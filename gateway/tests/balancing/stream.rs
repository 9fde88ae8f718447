//! Requests at a steady rate, and how they were answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tokio::task::JoinHandle;

use super::GYM;
use super::common::{get, post, try_send};
use super::fickle::DEAR;

/// When a login began, how it was answered, and after how long.
pub(super) type Login = (Instant, Option<StatusCode>, Duration);

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Login,
    /// A page, over connections that the backends keep.
    Page,
    /// One that takes long wherever it is made.
    Dear,
}

/// Requests at a steady rate, as they come at a school's door: none waits for another.
pub(super) struct Stream {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<JoinHandle<Login>>>,
}

impl Stream {
    pub(super) fn start(edge: SocketAddr, per_second: u32) -> Self {
        Self::of(Asked::Login, edge, per_second)
    }

    pub(super) fn of(asked: Asked, edge: SocketAddr, per_second: u32) -> Self {
        Self::at(asked, edge, GYM, per_second)
    }

    pub(super) fn at(asked: Asked, edge: SocketAddr, host: &'static str, per_second: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut logins = Vec::new();
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
            while !stopped.load(Ordering::SeqCst) {
                ticks.tick().await;
                logins.push(tokio::spawn(async move {
                    let began = Instant::now();
                    let request = match asked {
                        Asked::Login => post("/login", host, "user=x"),
                        Asked::Page => get("/", host),
                        Asked::Dear => get(DEAR, host),
                    };
                    let answer = try_send(edge, request).await;
                    let status = answer.ok().map(|answer| answer.status);
                    (began, status, began.elapsed())
                }));
            }
            logins
        });
        Self { stop, task }
    }

    pub(super) async fn end(self) -> Vec<Login> {
        self.stop.store(true, Ordering::SeqCst);
        let mut logins = Vec::new();
        for login in self.task.await.unwrap() {
            logins.push(login.await.unwrap());
        }
        logins
    }
}
