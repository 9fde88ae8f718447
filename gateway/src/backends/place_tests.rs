//! Requests that wait for a backend.

use std::task::Poll;

use super::*;

fn backends() -> (Backends, [SocketAddr; 2]) {
    let text = "[region.north]\nbackends = [\"10.1.0.1:80\", \"10.1.0.2:80\"]\n\
        [[region.north.school]]\nhost = \"gym.example\"\n";
    let config = einlass_config::load_str("test.toml", text).unwrap();
    let backends = Backends::new(Clock::start(), &config.pools()[0]).unwrap();
    (
        backends,
        [1, 2].map(|n| SocketAddr::from(([10, 1, 0, n], 80))),
    )
}

/// The operator uses a backend again as soon as it is back, sooner than those look who wait for it.
#[tokio::test]
async fn whoever_waited_for_a_restart_goes_home_although_home_has_refused_before() {
    let (backends, [home, _other]) = backends();
    assert!(backends.drain(home, true));
    let session = Home::Backend(home);
    let refused = backends.place(Kind::Read, session, &[]).await.unwrap();
    assert_eq!(refused.address, home);
    refused.not_connected();

    let tried = [home];
    let mut waiting = std::pin::pin!(backends.place(Kind::Read, session, &tried));
    std::future::poll_fn(|context| {
        assert!(waiting.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    backends.checked(0, true);
    assert!(backends.drain(home, false));
    assert_eq!(waiting.await.unwrap().address, home);
}
