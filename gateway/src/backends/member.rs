//! One backend of a pool: what it has to do, how quick it is, and whether it is to be used.

use std::net::SocketAddr;
use std::time::Duration;

use einlass_config::{Balancing, Health as CheckRules};

use super::checks::{Checks, Finding};
use super::latency::Latency;
use super::quiet::{Goods, Quiet};
use super::ramp::Ramp;
use super::signals::{Answers, Failing};
use super::slow::Slow;
use super::{Kind, State};

/// A backend that was away for less than this takes its work up again at once.
const BLINK: Duration = Duration::from_secs(2);
/// An ejection lasts at most so many times as long as the first.
const LONGEST: u32 = 10;
/// Whoever has been in for so long is forgiven earlier ejections.
const FORGIVEN: Duration = Duration::from_mins(2);
/// So many times the usual latency is not silence yet.
const PATIENCE: f64 = 4.0;
/// So long a page waits for a backend that gives no sign of life, at least: as long as a login. Many a
/// pause of a backend is shorter.
const LONG: Duration = Duration::from_secs(5);
/// So long a login is waited for to try an ejected backend; then any request may.
const TRY_ANY: Duration = Duration::from_secs(5);
/// So many times the usual latency of a page a knock is waited for, and at least and at most so long.
const KNOCK: (f64, f64, f64) = (4.0, 1.0, 5.0);
/// A drained backend that goes away is being restarted: so long its sessions wait for it.
const RESTART: Duration = Duration::from_secs(15);

/// Names a member while its pool lives.
pub(super) type Id = u32;

/// One backend, as the balancer sees it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: Id,
    pub(super) address: SocketAddr,
    pub(super) weight: f64,
    /// The configuration sends nobody new there.
    pub(super) drain: bool,
    /// What the desk has said about that since.
    pub(super) said: Option<bool>,
    /// Its name no longer leads here: it stays until nothing is in flight.
    pub(super) leaving: bool,
    pub(super) in_flight: u32,
    /// Requests that are not over: those in flight, and streams and downloads whose head is there.
    pub(super) unfinished: u32,
    /// When the last request went there.
    pub(super) last: Duration,
    pub(super) ejections: u32,
    /// Why the last time.
    pub(super) why: Option<Out>,
    /// What round robin owes it.
    pub(super) credit: f64,
    pub(super) checks: Checks,
    pub(super) slow: Slow,
    logins: Latency,
    reads: Latency,
    answers: Answers,
    ramp: Ramp,
    standing: Standing,
    /// The last connect failed, and none has succeeded since.
    unreached: bool,
    /// Since when it has not been used.
    out: Option<Duration>,
    quiet: Quiet,
    in_a_row: u32,
}

/// In, out, or on trial.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Standing {
    In {
        since: Duration,
    },
    Ejected {
        until: Duration,
    },
    /// One real login decides.
    Trial {
        since: Duration,
        /// When it was sent; and whether it is one, or a page for want of logins.
        login: Option<(Duration, Kind)>,
    },
}

/// Why it is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// Too many of its answers are failures.
    Fails,
    /// Its logins fail or get no answers, and nothing else does.
    Logins,
    /// It owes answers and gives none.
    Silent,
    /// It takes many times as long as another for the same page.
    Slow,
    /// The login that tried it was not answered well.
    Trial,
}

impl Out {
    /// For the log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fails => "its answers fail",
            Self::Logins => "its logins fail or get no answers, though its pages do",
            Self::Silent => "it gives no answers",
            Self::Slow => "it is much slower than another for the same page",
            Self::Trial => "the login that tried it was not answered",
        }
    }
}

impl Member {
    pub(super) fn new(id: Id, address: SocketAddr, weight: u32, drain: bool) -> Self {
        Self {
            id,
            address,
            weight: f64::from(weight.max(1)),
            drain,
            said: None,
            leaving: false,
            in_flight: 0,
            unfinished: 0,
            last: Duration::ZERO,
            ejections: 0,
            why: None,
            credit: 0.0,
            checks: Checks::default(),
            slow: Slow::default(),
            logins: Latency::new(),
            reads: Latency::new(),
            answers: Answers::default(),
            ramp: Ramp::new(),
            standing: Standing::In {
                since: Duration::ZERO,
            },
            unreached: false,
            out: None,
            quiet: Quiet::default(),
            in_a_row: 0,
        }
    }

    /// Nothing suggests that it does not answer, whether it is ejected or not.
    pub(super) fn reachable(&self) -> bool {
        !self.unreached && !self.checks.is_down()
    }

    /// It passes its checks, and connections stand.
    pub(super) fn passes(&self) -> bool {
        !self.unreached && !self.checks.fail()
    }

    /// From now on its checks are not heeded, or are again.
    pub(super) fn ignore_checks(&mut self, now: Duration, ignore: bool) {
        self.checks.ignore(ignore);
        self.settle(now);
    }

    /// It may be given requests of those who are there already.
    pub(super) fn usable(&self) -> bool {
        self.reachable() && !self.leaving && matches!(self.standing, Standing::In { .. })
    }

    /// It may be given requests of the sessions that live on it: while it is only slow they are better off
    /// there than logged out.
    pub(super) fn keeps_sessions(&self) -> bool {
        self.usable() || self.slow.is_out() && self.reachable() && !self.leaving
    }

    /// The operator sends nobody new there.
    pub(super) fn drains(&self) -> bool {
        self.said.unwrap_or(self.drain)
    }

    /// The operator has emptied it and it is not there: it will be back in a moment, with the
    /// sessions that live on it.
    pub(super) fn restarts(&self, now: Duration) -> bool {
        let away = self.out.map(|since| now.saturating_sub(since));
        self.drains()
            && !self.leaving
            && !self.reachable()
            && away.is_some_and(|away| away < RESTART)
    }

    /// It may be given any request.
    pub(super) fn open(&self) -> bool {
        self.usable() && !self.drains()
    }

    /// It may be given a request that decides whether it comes back.
    pub(super) fn wants_trial(&self, now: Duration, kind: Kind) -> bool {
        let Standing::Trial { since, login: None } = self.standing else {
            return false;
        };
        let fits = kind == Kind::Login || now.saturating_sub(since) >= TRY_ANY;
        fits && self.at_all()
    }

    /// It may be given a request if there is no better one.
    pub(super) fn at_all(&self) -> bool {
        self.reachable() && !self.leaving && !self.drains()
    }

    pub(super) fn is_ejected(&self) -> bool {
        !matches!(self.standing, Standing::In { .. })
    }

    /// The bound on its requests in flight.
    pub(super) fn limit(&self, now: Duration, rules: &Balancing) -> u32 {
        match self.standing {
            Standing::In { .. } => self.ramp.limit(now, rules.max_in_flight, rules.slow_start),
            Standing::Ejected { .. } | Standing::Trial { .. } => 1,
        }
    }

    /// What one more request would cost here: peak-EWMA times those in flight and this one, by
    /// weight. `unmeasured` stands for the latency of a backend that has none yet.
    pub(super) fn cost(&self, now: Duration, kind: Kind, unmeasured: impl FnOnce() -> f64) -> f64 {
        let latency = self.latency(kind).peak(now).unwrap_or_else(unmeasured);
        // Idle backends whose peaks have faded are told apart by what they have to do.
        latency.max(1e-4) * f64::from(self.in_flight + 1) / self.weight
    }

    /// Seconds; `None` before the first answer of that kind.
    pub(super) fn latency_now(&self, now: Duration, kind: Kind) -> Option<f64> {
        self.latency(kind).peak(now)
    }

    /// What answers of this kind usually take; `None` before there are enough.
    pub(super) fn usual(&self, kind: Kind) -> Option<Duration> {
        self.latency(kind).usual()
    }

    pub(super) fn state(&self) -> State {
        match self.standing {
            _ if self.leaving => State::Leaving,
            _ if !self.reachable() => State::Down,
            Standing::Ejected { .. } => State::Ejected,
            Standing::Trial { .. } => State::Trial,
            Standing::In { .. } if self.drains() => State::Draining,
            Standing::In { .. } => State::Up,
        }
    }

    /// A request is on its way there.
    pub(super) fn send(&mut self, now: Duration, kind: Kind, goods: Goods) {
        self.in_flight += 1;
        self.unfinished += 1;
        self.last = now;
        self.ramp.observe(now, self.in_flight);
        self.quiet.sent(now, kind, goods);
        let tries = self.wants_trial(now, kind) || !self.slow.is_out();
        if let Standing::Trial { login, .. } = &mut self.standing
            && tries
        {
            login.get_or_insert((now, kind));
        }
    }

    pub(super) fn free(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.in_flight == 0 {
            self.quiet.forgive();
        }
    }

    pub(super) fn connected(&mut self, now: Duration) {
        self.unreached = false;
        self.settle(now);
    }

    pub(super) fn not_connected(&mut self, now: Duration) {
        self.unreached = true;
        self.checks.hurry(now);
        self.settle(now);
    }

    /// It begins to answer well; `latency` if the time it took means something. Whether it ends so is
    /// another matter: a body that breaks off would else end every row of failures that it is part of.
    pub(super) fn answered(&mut self, now: Duration, kind: Kind, latency: Option<Duration>) {
        self.quiet.answered(kind);
        match (kind, latency) {
            (Kind::Login, Some(took)) => self.logins.observe(now, took),
            (Kind::Read, Some(took)) => self.reads.observe(now, took),
            (Kind::Write, _) | (_, None) => {}
        }
    }

    /// It has answered what was sent at `sent` so far that a trial is over. What was under way when it was
    /// ejected decides nothing, however late it is answered.
    /// A login that tries one whose logins alone failed is not proven by its pages.
    pub(super) fn proven(&mut self, now: Duration, sent: Duration, kind: Kind) {
        if let Standing::Trial {
            login: Some((at, by)),
            ..
        } = self.standing
            && sent >= at
            && (kind == by || !self.slow.is_out())
        {
            self.standing = Standing::In { since: now };
            self.slow.back();
            // It is judged by what it does from now on.
            (self.logins, self.reads) = (Latency::new(), Latency::new());
            self.settle(now);
        }
    }

    pub(super) fn whole(&mut self, now: Duration, kind: Kind) {
        self.answers.good(now, kind);
    }

    /// It has failed: by what it answered, or because it did not.
    pub(super) fn failed(&mut self, now: Duration, kind: Kind) {
        self.quiet.settled(kind);
        self.answers.failed(now, kind);
    }

    /// Why it should be ejected, if it should: its answers fail, or it owes some and gives none, while the rest
    /// of the pool has given several.
    pub(super) fn outlier(
        &self,
        now: Duration,
        rules: &Balancing,
        usual: f64,
        goods: Goods,
    ) -> Option<Out> {
        let patience = self.patience(now, rules, usual);
        if let Some(failing) = self.answers.failing(now, rules) {
            return Some(match failing {
                Failing::Any => Out::Fails,
                Failing::Logins => Out::Logins,
            });
        }
        if self.quiet.is_silent(now, patience, goods) {
            return Some(Out::Silent);
        }
        let hangs = self.quiet.hangs_logins(now, patience, goods);
        hangs.then_some(Out::Logins)
    }

    /// It answers nothing at all.
    pub(super) fn is_mute(&self) -> bool {
        self.quiet.is_mute()
    }

    /// How long it is to be asked for a sign of life, if it is to be asked now.
    pub(super) fn knock(
        &mut self,
        now: Duration,
        rules: &Balancing,
        usual: f64,
    ) -> Option<Duration> {
        let (times, least, most) = KNOCK;
        let page = self.reads.peak(now).unwrap_or(0.0);
        let within = Duration::from_secs_f64((times * page).clamp(least, most));
        let patience = self.patience(now, rules, usual);
        let due = !self.leaving && self.reachable() && self.quiet.knock(now, patience);
        due.then_some(within)
    }

    pub(super) fn knocked(&mut self, now: Duration, rules: &Balancing, usual: f64, answered: bool) {
        let patience = self.patience(now, rules, usual);
        self.quiet.knocked(now, patience, answered);
    }

    /// Whether the answer to a knock that came too late is to be waited for.
    pub(super) fn waits_on(&mut self) -> bool {
        self.quiet.waits_on()
    }

    /// The answer to a late knock has come, after so long; or none will.
    pub(super) fn late(&mut self, now: Duration, took: Option<Duration>) {
        self.quiet.late(took.is_some());
        if let Some(took) = took {
            self.reads.observe(now, took);
        }
    }

    /// How long a page waits here for an answer when nothing else is answered either: longer where pages
    /// have taken long.
    pub(super) fn page_patience(&self, now: Duration) -> Duration {
        let usual = PATIENCE * self.reads.peak(now).unwrap_or(0.0);
        LONG.max(Duration::from_secs_f64(usual))
    }

    /// How long it may owe a login. `usual`: the latency of the pool's, in seconds.
    fn patience(&self, now: Duration, rules: &Balancing, usual: f64) -> Duration {
        let own = self.logins.peak(now).unwrap_or(0.0).max(usual);
        rules.silence.max(Duration::from_secs_f64(PATIENCE * own))
    }

    /// Whether the login that decides has failed: `failed` says so, or it takes too long.
    pub(super) fn trial_lost(&self, now: Duration, rules: &Balancing, usual: f64) -> bool {
        let Standing::Trial {
            login: Some((at, _)),
            ..
        } = self.standing
        else {
            return false;
        };
        let patience = rules.silence.as_secs_f64().max(PATIENCE * usual);
        self.answers.just_failed() || now.saturating_sub(at).as_secs_f64() > patience
    }

    pub(super) fn eject(&mut self, now: Duration, rules: &Balancing, out: Out) {
        if let Standing::In { since } = self.standing
            && now.saturating_sub(since) > FORGIVEN
        {
            self.in_a_row = 0;
        }
        let times = 2_u32.saturating_pow(self.in_a_row).min(LONGEST);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.ejections += 1;
        self.why = Some(out);
        self.standing = Standing::Ejected {
            until: now + rules.ejection * times,
        };
        self.answers.clear();
        self.quiet.left_out();
        let stay = match out {
            Out::Slow | Out::Logins => true,
            // The login that tried it says nothing of its pages.
            Out::Trial => self.slow.is_out(),
            Out::Fails | Out::Silent => false,
        };
        self.slow.left_out(stay);
        self.settle(now);
    }

    /// Its time out is over if nothing else speaks against it: of one that was slow, that it still is, which is
    /// known when it is compared.
    pub(super) fn tick(&mut self, now: Duration, compares: bool) {
        if self.has_served(now) && !(self.slow.is_out() && compares) {
            self.try_it(now);
        }
    }

    /// It is ejected, and for long enough.
    fn has_served(&self, now: Duration) -> bool {
        matches!(self.standing, Standing::Ejected { until } if now >= until)
    }

    fn try_it(&mut self, now: Duration) {
        self.standing = Standing::Trial {
            since: now,
            login: None,
        };
        self.answers.clear();
    }

    /// Whether to ask it now for what another one is asked for.
    pub(super) fn comparison_is_due(&self, now: Duration) -> bool {
        let returns = self.slow.is_out() && self.has_served(now);
        let fits = self.usable() || returns && self.keeps_sessions();
        fits && self.slow.is_due(now, returns)
    }

    /// It was slow, compared with another one, or not; or there was no answer.
    pub(super) fn compared(&mut self, now: Duration, rules: &Balancing, slow: Option<bool>) {
        self.slow.compared(now, slow);
        if self.slow.is_out() && self.has_served(now) {
            match slow {
                Some(true) => self.eject(now, rules, Out::Slow),
                Some(false) | None => self.try_it(now),
            }
        }
    }

    /// A request that was to decide has ended without deciding.
    pub(super) fn undecided(&mut self, now: Duration) {
        if let Standing::Trial { login, .. } = &mut self.standing
            && self.in_flight == 0
        {
            *login = None;
        }
        self.settle(now);
    }

    pub(super) fn checked(
        &mut self,
        now: Duration,
        finding: Finding,
        rules: &CheckRules,
        spread: f64,
    ) {
        let out = self.unreached;
        self.checks.ended(now, finding, out, rules, spread);
        self.unreached &= matches!(finding, Finding::Failed | Finding::Unmade);
        self.settle(now);
    }

    fn latency(&self, kind: Kind) -> &Latency {
        match kind {
            Kind::Login => &self.logins,
            Kind::Read | Kind::Write => &self.reads,
        }
    }

    /// Whoever comes back after more than a blink starts slowly.
    fn settle(&mut self, now: Duration) {
        match (self.usable(), self.out) {
            (false, None) => {
                self.out = Some(now);
                self.ramp.leave(now);
            }
            (true, Some(since)) => {
                self.out = None;
                self.answers.clear();
                if now.saturating_sub(since) >= BLINK {
                    self.ramp.start(now);
                }
            }
            _ => {}
        }
    }
}
