//! Logins at a school on a quiet day, one after the other.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Browser;

/// Somebody logs in every so often until this is ended.
pub struct Steady {
    over: watch::Sender<bool>,
    task: JoinHandle<Vec<Result<(), String>>>,
}

impl Steady {
    pub fn start(edge: SocketAddr, host: &'static str, every: Duration) -> Self {
        let over = watch::Sender::new(false);
        let ended = over.subscribe();
        let task = tokio::spawn(async move {
            let mut logins = Vec::new();
            let mut ticks = tokio::time::interval(every);
            while !*ended.borrow() {
                ticks.tick().await;
                logins.push(tokio::spawn(login(edge, host)));
            }
            let mut all = Vec::new();
            for login in logins {
                all.push(login.await.unwrap());
            }
            all
        });
        Self { over, task }
    }

    /// How many logged in without noticing the gateway, and what happened to the others.
    pub async fn end(self) -> (usize, Vec<String>) {
        self.over.send_replace(true);
        let all = self.task.await.unwrap();
        let fine = all.iter().filter(|login| login.is_ok()).count();
        (fine, all.into_iter().filter_map(Result::err).collect())
    }
}

async fn login(edge: SocketAddr, host: &str) -> Result<(), String> {
    let mut browser = Browser::new(edge, host);
    let form = browser.form().await;
    let answer = browser.post("/login", &form).await;
    let inside = (answer.status, answer.location()) == (StatusCode::SEE_OTHER, "/");
    if inside && browser.logged_in() {
        return Ok(());
    }
    Err(format!("{} {}", answer.status, answer.location()))
}
