//! Requests that wait for a backend.

use std::task::Poll;

use super::super::checks::Finding;
use super::*;
use crate::clock::Clock;

fn backends(more: &str) -> (Backends, [SocketAddr; 2]) {
    let text = format!(
        "[region.north]\nbackends = [\"10.1.0.1:80\", \"10.1.0.2:80\"]\n\
         [[region.north.school]]\nhost = \"gym.example\"\n{more}"
    );
    let config = einlass_config::load_str("test.toml", &text).unwrap();
    let backends = Backends::new(Clock::start(), &config.pools()[0]).unwrap();
    (
        backends,
        [1, 2].map(|n| SocketAddr::from(([10, 1, 0, n], 80))),
    )
}

/// The operator uses a backend again as soon as it is back, sooner than those look who wait for it.
#[tokio::test]
async fn whoever_waited_for_a_restart_goes_home_although_home_has_refused_before() {
    let (backends, [home, _other]) = backends("");
    assert!(backends.drain(home, true));
    let session = Home::Backend(home);
    let rank = || unreachable!("all are treated alike");
    let refused = backends
        .place(Kind::Read, rank, session, &[])
        .await
        .unwrap();
    assert_eq!(refused.address, home);
    refused.not_connected();

    let tried = [home];
    let mut waiting = std::pin::pin!(backends.place(Kind::Read, rank, session, &tried));
    assert!(poll(&mut waiting).await.is_pending());
    backends.checked(0, Finding::Passed);
    assert!(backends.drain(home, false));
    assert_eq!(waiting.await.unwrap().address, home);
}

/// Two backends with four places each, of which pages may use two.
const RANKED: &str = "[region.north.balancing]\nmax_in_flight = 4\n\
    [region.north.priorities]\npages = 0.5\nlogins = 0.75\n\
    [region.north.upstream]\nconnect_timeout = \"100ms\"\n";

/// Where a future is that is looked at once.
async fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(std::pin::Pin::new(&mut *future).poll(context)))
        .await
}

async fn fill(backends: &Backends, rank: Rank, places: usize) -> Vec<Busy> {
    let mut held = Vec::new();
    for _ in 0..places {
        let placed = backends.place(Kind::Read, || rank, Home::Anywhere, &[]);
        held.push(placed.await.unwrap());
    }
    held
}

#[tokio::test]
async fn who_goes_first_finds_a_place_where_others_are_shed() {
    let (backends, _) = backends(RANKED);
    let place = |rank| backends.place(Kind::Read, move || rank, Home::Anywhere, &[]);
    let mut held = Vec::new();
    for (rank, places) in [(Rank::Page, 4), (Rank::Login, 2), (Rank::Session, 2)] {
        assert!(!backends.sheds(rank));
        held.extend(fill(&backends, rank, places).await);
        assert_eq!(place(rank).await.err(), Some(Unplaced::Shed(rank)));
        assert!(backends.sheds(rank));
    }
    // What is given back is for the first again, until there is enough for all.
    held.truncate(6);
    assert!(place(Rank::Login).await.is_err());
    assert!(place(Rank::Session).await.is_ok());
    held.truncate(3);
    assert!(place(Rank::Page).await.is_ok());
}

#[tokio::test]
async fn logins_may_have_what_sessions_leave() {
    let (backends, _) = backends(RANKED);
    assert_eq!(backends.room_for_logins(0), 6);
    let _sessions = fill(&backends, Rank::Session, 5).await;
    assert_eq!(backends.room_for_logins(0), 1);
    assert_eq!(
        backends.room_for_logins(3),
        4,
        "three of the five are logins"
    );
    let _more = fill(&backends, Rank::Session, 3).await;
    assert_eq!(backends.room_for_logins(0), 0);
    let (alike, _) = super::tests::backends("[region.north.balancing]\nmax_in_flight = 4\n");
    assert_eq!(alike.room_for_logins(3), 8);
}

#[tokio::test]
async fn no_more_wait_than_could_be_given_a_place() {
    let (backends, _) = backends(RANKED);
    let _held = fill(&backends, Rank::Session, 8).await;
    let place = |rank| Box::pin(backends.place(Kind::Read, move || rank, Home::Anywhere, &[]));
    let mut line: Vec<_> = (0..8).map(|_| place(Rank::Page)).collect();
    for waiting in &mut line {
        assert!(poll(waiting).await.is_pending());
    }
    let shed = poll(&mut place(Rank::Login)).await;
    assert!(matches!(
        shed,
        Poll::Ready(Err(Unplaced::Shed(Rank::Login)))
    ));
    assert!(
        poll(&mut place(Rank::Session)).await.is_pending(),
        "it is not in that line"
    );
    line.pop();
    assert!(poll(&mut place(Rank::Page)).await.is_pending());
}

#[tokio::test]
async fn what_becomes_free_is_for_those_ahead_and_what_they_leave_for_pages() {
    let (backends, [one, other]) = backends("[region.north.balancing]\nmax_in_flight = 2\n");
    let place = |rank, home| Box::pin(backends.place(Kind::Read, move || rank, home, &[]));
    let mut held = fill(&backends, Rank::Page, 4).await;
    let mut visitor = place(Rank::Page, Home::Anywhere);
    let mut login = place(Rank::Login, Home::Anywhere);
    let mut session = place(Rank::Session, Home::Backend(other));
    assert!(poll(&mut visitor).await.is_pending());
    assert!(poll(&mut login).await.is_pending() && poll(&mut session).await.is_pending());
    // One place, at the backend that the session does not want.
    let index = held.iter().position(|busy| busy.address == one).unwrap();
    drop(held.swap_remove(index));
    assert!(
        poll(&mut place(Rank::Page, Home::Anywhere))
            .await
            .is_pending()
    );
    assert!(poll(&mut visitor).await.is_pending());
    let login = login.await.unwrap();
    assert_eq!(login.address, one);
    // The session still waits for the other, and keeps nobody from this one.
    drop(login);
    assert_eq!(visitor.await.unwrap().address, one);
    let index = held.iter().position(|busy| busy.address == other).unwrap();
    drop(held.swap_remove(index));
    drop(session);
    assert!(
        poll(&mut place(Rank::Page, Home::Anywhere))
            .await
            .is_ready()
    );
    assert!(backends.shared.lock().ahead.is_empty());
}
