//! Whether a pool gives signs of life, and how one that gave none comes back.
//!
//! A port that refuses is known at once. A backend that takes logins and answers none of them looks
//! like a slow one at first, and the pacer cuts its cap; when nothing at all has come back for a while
//! it is no question of pace any more. Then, and after every outage, nobody is let in but a trickle of
//! real logins that try: a health check that passes says that somebody listens, not that a password
//! can be checked. The first answer to a login opens the room again, and the pacer begins low.

use std::time::Duration;

/// So many logins lost in a row, but not more than the cap allows at once.
const LOST: u32 = 3;
/// And for so long no answer.
const SILENCE: Duration = Duration::from_secs(2);
/// Logins that may try at once, over all gateways: the first of them may hang for long.
pub(crate) const TRIALS: u32 = 4;
/// Released and on the way to try, at most: not everybody comes.
const ON_THE_WAY: u64 = 8;
/// The pause between two that try, and between two who are called to.
const PAUSE: Duration = Duration::from_secs(1);
/// While they fail it grows up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What happened at a pool since the last step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beat {
    /// Answers, whatever they said, but for those that say that it cannot work.
    pub(crate) answers: u32,
    /// Logins lost.
    pub(crate) losses: u32,
    /// No backend can be reached.
    pub(crate) unreachable: bool,
    /// Logins that may be in flight.
    pub(crate) cap: u32,
}

/// One pool's pulse.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pulse {
    silent: bool,
    /// Lost since the last answer.
    lost: u32,
    /// When the last answer came; without one, when the first was lost.
    quiet_since: Option<Duration>,
    /// When somebody was last called to try.
    called: Option<Duration>,
}

impl Pulse {
    /// Takes in what happened. True while the pool gives no sign of life: nobody but those who try
    /// is let in.
    pub(crate) fn step(&mut self, now: Duration, beat: Beat) -> bool {
        if beat.answers > 0 {
            self.silent = false;
            self.lost = 0;
            self.quiet_since = Some(now);
        }
        if beat.losses > 0 {
            self.quiet_since.get_or_insert(now);
            self.lost = self.lost.saturating_add(beat.losses);
        }
        let quiet = self.quiet_since.map(|since| now.saturating_sub(since));
        let long = quiet.is_some_and(|quiet| quiet >= SILENCE);
        if beat.unreachable || (long && self.lost >= LOST.min(beat.cap.max(1))) {
            self.silent = true;
            self.lost = 0;
        }
        self.silent
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }

    /// What another gateway has found out.
    pub(crate) fn hear(&mut self, silent: bool) {
        if self.silent != silent {
            *self = Self {
                silent,
                ..Self::default()
            };
        }
    }

    /// How many to call so that somebody tries, while it is silent. `owed` are called already.
    pub(crate) fn call(&mut self, now: Duration, free: u32, owed: u64, waiting: u64) -> u64 {
        let due = self.called.is_none_or(|at| now.saturating_sub(at) >= PAUSE);
        if !due || free == 0 || owed >= ON_THE_WAY || waiting == 0 {
            return 0;
        }
        self.called = Some(now);
        1
    }
}

/// When the next login may try a silent pool, at one gateway.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trials {
    last: Option<Duration>,
    failed: u32,
}

impl Trials {
    /// Whether one may try now.
    pub(crate) fn due(&self, now: Duration) -> bool {
        let pause = PAUSE
            .saturating_mul(2_u32.saturating_pow(self.failed.saturating_sub(1)))
            .min(LONGEST_PAUSE);
        self.last
            .is_none_or(|last| now.saturating_sub(last) >= pause)
    }

    /// One tries.
    pub(crate) fn begin(&mut self, now: Duration) {
        self.last = Some(now);
        self.failed = self.failed.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CAP: u32 = 64;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn beat(answers: u32, losses: u32) -> Beat {
        Beat {
            answers,
            losses,
            unreachable: false,
            cap: CAP,
        }
    }

    #[test]
    fn silence_takes_lost_logins_and_time_and_ends_with_one_answer() {
        let mut pulse = Pulse::default();
        assert!(!pulse.step(at(0.0), beat(10, 0)));
        assert!(!pulse.step(at(1.9), beat(0, 40)), "too soon to say");
        assert!(pulse.step(at(2.0), beat(0, 0)));
        assert!(pulse.step(at(60.0), beat(0, 1)));
        assert!(!pulse.step(at(61.0), beat(1, 5)), "an answer");
        assert!(!pulse.step(at(62.0), beat(0, 0)));
    }

    #[test]
    fn one_lost_login_among_answers_is_no_silence() {
        let mut pulse = Pulse::default();
        for second in 0..100 {
            assert!(!pulse.step(at(f64::from(second)), beat(1, 2)));
        }
    }

    #[test]
    fn nobody_logs_in_is_no_silence() {
        let mut pulse = Pulse::default();
        assert!(!pulse.step(at(0.0), beat(1, 0)));
        assert!(!pulse.step(at(1_000.0), beat(0, 2)));
        assert!(!pulse.step(at(2_000.0), beat(0, 0)));
    }

    #[test]
    fn where_one_may_be_in_flight_one_that_is_lost_says_it() {
        let mut pulse = Pulse::default();
        let one = |losses| Beat {
            cap: 1,
            ..beat(0, losses)
        };
        assert!(!pulse.step(at(0.0), one(1)));
        assert!(pulse.step(at(2.0), one(0)));
    }

    #[test]
    fn a_pool_that_can_be_reached_again_has_to_answer_first() {
        let mut pulse = Pulse::default();
        let unreachable = Beat {
            unreachable: true,
            ..beat(0, 0)
        };
        assert!(pulse.step(at(0.0), unreachable));
        assert!(pulse.step(at(1.0), beat(0, 0)));
        assert!(!pulse.step(at(2.0), beat(1, 0)));
    }

    #[test]
    fn a_few_are_called_one_after_the_other() {
        let mut pulse = Pulse::default();
        let calls: u64 = (0..40)
            .map(|n| pulse.call(at(0.05 * f64::from(n)), 4, 0, 500))
            .sum();
        assert_eq!(calls, 2, "in two seconds");
        assert_eq!(pulse.call(at(10.0), 4, ON_THE_WAY, 500), 0);
        assert_eq!(pulse.call(at(10.0), 0, 0, 500), 0, "all who try hang");
        assert_eq!(pulse.call(at(10.0), 4, 0, 0), 0);
    }

    proptest! {
        #[test]
        fn whatever_happens_a_pool_that_answers_is_not_silent(
            beats in prop::collection::vec((0_u32..3, 0_u32..50, any::<bool>()), 1..200)
        ) {
            let mut pulse = Pulse::default();
            for (n, (answers, losses, unreachable)) in (0_u32..).zip(beats) {
                let beat = Beat { answers, losses, unreachable, cap: CAP };
                let silent = pulse.step(at(f64::from(n)), beat);
                prop_assert!(unreachable || answers == 0 || !silent);
            }
        }

        #[test]
        fn those_who_try_are_a_trickle(asked in prop::collection::vec(0.0_f64..0.4, 1..500)) {
            let mut trials = Trials::default();
            let (mut now, mut began) = (0.0, Vec::new());
            for pause in asked {
                now += pause;
                if trials.due(at(now)) {
                    trials.begin(at(now));
                    began.push(now);
                }
            }
            for (n, pair) in began.windows(2).enumerate() {
                let least = [1.0, 2.0, 4.0].get(n).copied().unwrap_or(5.0);
                prop_assert!(pair[1] - pair[0] >= least - 1e-6);
            }
        }
    }
}
