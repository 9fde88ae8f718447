//! A region with one slot, and a login that takes it.

use std::time::Duration;

use einlass_benches::platform::{HashCost, Platform};

use crate::common::{Browser, eventually};

pub(crate) const GYM: &str = "gym.example";

/// A hash of some hundred milliseconds: long enough to queue behind.
pub(crate) fn slow() -> HashCost {
    HashCost::about(Duration::from_millis(400)).unwrap()
}

/// Takes the only slot with a login that the backend has begun and does not end before
/// [`Platform::set_workers`] lets it.
pub(crate) async fn occupy(browser: &Browser, platform: &Platform) {
    platform.set_workers(0);
    let mut other = Browser::new(browser.address, &browser.host);
    let form = other.form().await;
    tokio::spawn(async move { other.post("/login", &form).await });
    assert!(eventually(|| async { platform.in_flight() > 0 }).await);
}
