//! The waiting page and its script: poll until the turn has come.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::browser::{HTML, JSON};
use super::live::count;
use super::order::Micros;
use super::pupil::{Pupil, Step};
use super::trouble::Trouble;
use super::turn::{State, Turn};

/// The pause of the page's script after a poll that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Waits until the turn has come, the place is lost, or this pupil does not want to any more.
pub(super) async fn wait(pupil: &mut Pupil) -> Result<Step, Trouble> {
    let world = std::sync::Arc::clone(&pupil.world);
    let _waiting = world.plan.live.wait_begins();
    pupil.story.wait_began(world.seconds());
    match pupil.get("/_einlass/wait", HTML).await {
        Ok(page) if page.status == 200 => {}
        // The gateway knows already that there is nothing to wait for.
        Ok(page) if matches!(page.status, 302 | 303) => {}
        Ok(page) => world.note(Trouble::Status(page.status)),
        Err(trouble) => world.note(trouble),
    }
    let mut failed_in_a_row = 0;
    loop {
        let pause = match poll(pupil).await {
            Ok(Turn {
                state: State::Ready,
                ..
            }) => {
                let now = world.seconds();
                pupil.story.ready(now);
                if let Some(place) = pupil.place {
                    world.doors[usize::from(pupil.school)].let_in(place.join_sent);
                }
                return Ok(Step::Enter);
            }
            Ok(Turn {
                state: State::None, ..
            }) => {
                count(&world.plan.live.lost_place);
                pupil.place = None;
                return Ok(Step::OpenForm);
            }
            Ok(_) if pupil.no_show => return Ok(Step::CloseTab),
            Ok(turn) => {
                failed_in_a_row = 0;
                turn.poll_after()
            }
            Err(trouble) => {
                world.note(trouble);
                failed_in_a_row += 1;
                if failed_in_a_row > world.plan.failed_polls {
                    return Err(Trouble::DeadPage);
                }
                AFTER_FAILURE
            }
        };
        pupil.browser.pause(Instant::now() + pause).await;
    }
}

/// One poll, and what it proves about the order and the promises made.
async fn poll(pupil: &mut Pupil) -> Result<Turn, Trouble> {
    let door = &pupil.world.doors[usize::from(pupil.school)];
    let mark = door.mark();
    let answer = pupil.get("/_einlass/turn", JSON).await?;
    let turn: Turn = match serde_json::from_slice(&answer.body) {
        Ok(turn) => turn,
        Err(_) if answer.status == 200 => return Err(Trouble::NotJson),
        Err(_) => return Err(Trouble::Status(answer.status)),
    };
    let live = &pupil.world.plan.live;
    let apart = pupil.world.plan.joins_apart.as_micros();
    let apart = Micros::try_from(apart).unwrap_or(Micros::MAX);
    live.polls.fetch_add(1, Relaxed);
    if turn.state != State::Waiting {
        return Ok(turn);
    }
    if let Some(place) = &mut pupil.place {
        if mark.overtaken(place.join_received, apart) {
            count(&live.inversions);
        }
        if let Some(ahead) = turn.ahead {
            if place.ahead.is_some_and(|before| ahead > before) {
                count(&live.place_grew);
            }
            place.ahead = Some(ahead);
        }
    }
    if let Some(eta) = turn.eta_seconds {
        pupil.story.told(pupil.world.seconds(), eta);
    }
    Ok(turn)
}
