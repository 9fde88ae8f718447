//! One school on a quiet day or a busy one: its platform, and a gateway in front of it.

use einlass_benches::platform::{HashCost, Platform};
use tokio::task::JoinHandle;

use super::{Answer, Browser, Gateway, Setup, eventually, platform};

pub const GYM: &str = "gym.example";
/// For the admission table: whoever does not go straight in is sent to wait at once.
pub const NOBODY_IS_HELD: &str = "hold = \"0s\"";
/// For the admission table: nobody goes in, and whoever comes is sent to wait at once.
pub const CLOSED: &str = "mode = \"closed\"\nhold = \"0s\"";

/// A school with a pool of its own, called `north`. Its platform has one worker and a quick hash.
pub struct OneSchool {
    pub platform: Platform,
    pub gateway: Gateway,
}

impl OneSchool {
    /// Its pool may have `in_flight` logins in flight. `more` goes into the admission table.
    pub async fn start(in_flight: usize, more: &str) -> Self {
        Self::start_with(in_flight, more, |setup| setup).await
    }

    /// The same with what else is to be in the set-up.
    pub async fn start_with(
        in_flight: usize,
        more: &str,
        also: impl FnOnce(Setup) -> Setup,
    ) -> Self {
        let platform = platform(1, 1, HashCost::QUICK).await;
        let schools = [(GYM, 900)];
        let setup = Setup::default()
            .region("north", platform.backends(), in_flight, &schools, more)
            .not_new(&["north"]);
        let gateway = also(setup).start().await;
        Self { platform, gateway }
    }

    /// Somebody who has the login page, and the form they filled in.
    pub async fn pupil(&self) -> (Browser, String) {
        let mut browser = Browser::new(self.gateway.edge, GYM);
        let form = browser.form().await;
        (browser, form)
    }

    /// Takes a slot with a login that the backend has begun and does not end before [`Self::work_on`].
    pub async fn occupy(&self) -> JoinHandle<Answer> {
        self.occupy_by("/login").await
    }

    /// The same with a login at this address.
    pub async fn occupy_by(&self, path: &'static str) -> JoinHandle<Answer> {
        self.platform.set_workers(0);
        let (mut other, form) = self.pupil().await;
        let busy = tokio::spawn(async move { other.post(path, &form).await });
        assert!(eventually(async || self.platform.in_flight() > 0).await);
        busy
    }

    /// The platform goes on with what it has been sent.
    pub fn work_on(&self) {
        self.platform.set_workers(1);
    }

    /// Somebody whose login came while the only slot was taken, and whose turn has come since.
    pub async fn called(&self) -> Browser {
        let (mut browser, form) = self.pupil().await;
        let busy = self.occupy().await;
        let sent = browser.post("/login", &form).await;
        assert_eq!(sent.see_other(), Ok("/_einlass/wait"));
        self.work_on();
        busy.await.unwrap();
        browser.until("ready").await;
        browser
    }

    /// Logins that have reached the platform.
    pub fn received(&self) -> u64 {
        self.platform.snapshot(false).totals.received
    }

    /// One number of the room.
    pub async fn number(&self, name: &str) -> f64 {
        let line = format!("einlass_{name}{{pool=\"north\"}}");
        self.gateway.metric(&line).await
    }
}
