//! What the waiting page's script reads: the answer of `GET /_einlass/turn`.

use std::time::Duration;

use serde::Deserialize;

/// One answer to a poll.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Turn {
    pub(super) state: State,
    #[serde(default)]
    pub(super) ahead: Option<u64>,
    #[serde(default)]
    pub(super) eta_seconds: Option<Eta>,
    #[serde(default)]
    poll_after_seconds: Option<f64>,
}

/// Where the pupil stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Others are ahead.
    Waiting,
    /// Go in.
    Ready,
    /// The room lets nobody in for the moment.
    Held,
    /// The gateway knows no place of this browser.
    None,
    /// The room is closed.
    Closed,
}

/// The interval in which the turn should come, in seconds from the answer.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(super) struct Eta {
    pub(super) low: f32,
    pub(super) likely: f32,
    pub(super) high: f32,
}

impl Turn {
    /// When to ask again. Bounded, because a page that never asks or only asks is a bug to survive.
    pub(super) fn poll_after(&self) -> Duration {
        Duration::from_secs_f64(self.poll_after_seconds.unwrap_or(1.0).clamp(0.02, 120.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_answer_is_understood() {
        let json = r#"{"state":"waiting","ahead":12,"eta_seconds":{"low":3,"likely":5,"high":9},
            "poll_after_seconds":2.5,"since":"2021-01-11T08:00:00Z","message":null}"#;
        let turn: Turn = serde_json::from_str(json).unwrap();
        assert_eq!((turn.state, turn.ahead), (State::Waiting, Some(12)));
        assert_eq!(
            turn.eta_seconds,
            Some(Eta {
                low: 3.0,
                likely: 5.0,
                high: 9.0
            })
        );
        assert_eq!(turn.poll_after(), Duration::from_millis(2500));
    }

    #[test]
    fn no_place_needs_no_numbers() {
        let turn: Turn = serde_json::from_str(r#"{"state":"none","eta_seconds":null}"#).unwrap();
        assert_eq!(
            (turn.state, turn.ahead, turn.eta_seconds),
            (State::None, None, None)
        );
    }
}
