//! Somebody who comes where others wait already, and what they are shown.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use super::browser::{Browser, HTML};
use super::form::LoginForm;
use super::plan::{Connections, RushError};
use super::schools::School;
use super::trouble::Trouble;
use crate::platform::PASSWORD;

/// Longest time for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Submits a login form that was opened before, and closes the tab when the waiting page is there: how long that took.
/// `None`: something else was shown.
pub async fn shown_the_page(
    target: SocketAddr,
    school: &School,
    number: u32,
) -> Result<Option<Duration>, RushError> {
    if !target.ip().is_loopback() {
        return Err(RushError::NotLoopback(target));
    }
    let connections = Connections::PerRequest;
    let source = Ipv4Addr::LOCALHOST;
    let mut browser = Browser::new(&school.host, number, source, connections, REQUEST_TIMEOUT);
    let begun = Instant::now();
    let page = async {
        let form = LoginForm::default().body(&format!("pupil{number:05}"), PASSWORD);
        let sent = browser.post(target, "/login", form).await?;
        if sent.location.as_deref() != Some("/_einlass/wait") {
            return Err(Trouble::Status(sent.status));
        }
        browser.get(target, "/_einlass/wait", HTML).await
    };
    let shown = page.await.is_ok_and(|page| page.status == 200);
    Ok(shown.then(|| begun.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn newcomers_stay_on_this_machine() {
        let foreign = SocketAddr::from(([192, 0, 2, 1], 80));
        let refused = shown_the_page(foreign, &School::new("gym.example", 900), 1).await;
        assert!(matches!(refused, Err(RushError::NotLoopback(address)) if address == foreign));
    }
}
