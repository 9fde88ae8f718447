//! What happened at the platform itself: the truth that a gateway's effect is judged by.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Width of one entry of the in-flight series, in milliseconds.
pub const BUCKET_MILLIS: u64 = 100;
const BUCKET_MICROS: u64 = BUCKET_MILLIS * 1_000;
/// One hour of in-flight series; older entries are forgotten.
const SERIES_KEPT: usize = 36_000;
const LOGINS_KEPT: usize = 200_000;

/// How a login request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Still in the queue or being hashed.
    Open,
    /// The password was right.
    LoggedIn,
    /// The password was hashed and wrong.
    WrongPassword,
    /// The form's token did not agree with its cookie, or was too old. Nothing was hashed.
    CsrfRefused,
    /// The queue was full. Nothing was hashed.
    Overloaded,
}

/// One login request. Carries no user name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoginRecord {
    /// Order of arrival, from 0.
    pub sequence: u64,
    /// The Host header.
    pub host: String,
    /// The `X-Rush-Pupil` header, if there was one.
    pub tag: Option<String>,
    /// Microseconds from the platform's start to the request's arrival.
    pub arrived: u64,
    /// When the hash began, same clock.
    pub began: Option<u64>,
    /// When the hash ended, same clock.
    pub ended: Option<u64>,
    /// The end it took.
    pub outcome: Outcome,
    /// The browser had gone when the hash was done: capacity spent for nobody.
    pub abandoned: bool,
}

/// Counters since the platform's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Login requests received.
    pub received: u64,
    /// Right passwords.
    pub logged_in: u64,
    /// Wrong passwords.
    pub wrong_password: u64,
    /// Logins refused because of their CSRF token.
    pub csrf_refused: u64,
    /// Logins refused because the queue was full.
    pub overloaded: u64,
    /// Hashes computed for browsers that had gone.
    pub abandoned: u64,
    /// Requests for a page with a session that nobody here knows: it was begun elsewhere, or is lost.
    pub strangers: u64,
}

/// The record as JSON: `GET /_platform/record` on the control listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// The platform's name.
    pub name: String,
    /// Microseconds since its start.
    pub now_micros: u64,
    /// Hashing threads at the moment.
    pub workers: usize,
    /// Measured time of one hash on an idle core, in milliseconds.
    pub hash_millis: f64,
    /// Login requests received and not yet answered, now.
    pub in_flight: usize,
    /// The largest that has been.
    pub max_in_flight: usize,
    /// Counters since the start.
    pub totals: Totals,
    /// Time of the series' first entry, in microseconds since the start.
    pub series_from_micros: u64,
    /// Largest number in flight in each [`BUCKET_MILLIS`].
    pub in_flight_series: Vec<u32>,
    /// Time spent in flight by all logins together in each [`BUCKET_MILLIS`], in microseconds: the largest number
    /// alone hides how long the slots stood empty in between.
    #[serde(default)]
    pub in_flight_micros_series: Vec<u64>,
    /// Time spent by all workers together with logins in each [`BUCKET_MILLIS`], in microseconds: what the backend
    /// does, without what only stands in its queue.
    #[serde(default)]
    pub worked_micros_series: Vec<u64>,
    /// Right passwords answered in each [`BUCKET_MILLIS`].
    pub logged_in_series: Vec<u32>,
    /// Only when asked for with `?logins=1`; the latest ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logins: Vec<LoginRecord>,
}

impl Snapshot {
    /// Only what happened after `earlier`, a snapshot of the same platform: one run's part of a long record.
    #[must_use]
    pub fn after(mut self, earlier: &Self) -> Self {
        let skip = (earlier.now_micros.saturating_sub(self.series_from_micros)) / BUCKET_MICROS;
        let skip = usize::try_from(skip)
            .unwrap_or(usize::MAX)
            .min(self.in_flight_series.len());
        self.in_flight_series.drain(..skip);
        self.logged_in_series.drain(..skip);
        // A record written before there was this series has none.
        for times in [
            &mut self.in_flight_micros_series,
            &mut self.worked_micros_series,
        ] {
            times.drain(..skip.min(times.len()));
        }
        self.series_from_micros += skip as u64 * BUCKET_MICROS;
        self.max_in_flight = self
            .in_flight_series
            .iter()
            .max()
            .map_or(self.in_flight, |most| *most as usize);
        self.logins
            .retain(|login| login.arrived >= earlier.now_micros);
        let (now, then) = (&mut self.totals, &earlier.totals);
        now.received -= then.received.min(now.received);
        now.logged_in -= then.logged_in.min(now.logged_in);
        now.wrong_password -= then.wrong_password.min(now.wrong_password);
        now.csrf_refused -= then.csrf_refused.min(now.csrf_refused);
        now.overloaded -= then.overloaded.min(now.overloaded);
        now.abandoned -= then.abandoned.min(now.abandoned);
        now.strangers -= then.strangers.min(now.strangers);
        self
    }

    /// How many were in flight on average over some entries of the series; 0 if there are none.
    pub fn mean_in_flight(&self, entries: Range<usize>) -> f64 {
        mean(&self.in_flight_micros_series, entries)
    }

    /// How many workers were busy on average over some entries of the series; 0 if there are none.
    pub fn mean_at_work(&self, entries: Range<usize>) -> f64 {
        mean(&self.worked_micros_series, entries)
    }

    /// Right passwords in each whole second of the series.
    pub fn logins_per_second(&self) -> Vec<u32> {
        self.logged_in_series
            .chunks(10)
            .map(|second| second.iter().sum())
            .collect()
    }
}

fn mean(times: &[u64], entries: Range<usize>) -> f64 {
    let end = entries.end.min(times.len());
    let times = &times[entries.start.min(end)..end];
    let width = times.len() as u64 * BUCKET_MICROS;
    times.iter().sum::<u64>() as f64 / width.max(1) as f64
}

/// The shared book that requests write into.
#[derive(Clone)]
pub(super) struct Record(Arc<Book>);

struct Book {
    start: Instant,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    in_flight: usize,
    /// Of them those that a worker has taken.
    at_work: usize,
    max_in_flight: usize,
    totals: Totals,
    logins: VecDeque<LoginRecord>,
    first_bucket: u64,
    in_flight_series: VecDeque<u32>,
    in_flight_micros_series: VecDeque<u64>,
    worked_micros_series: VecDeque<u64>,
    /// Up to when the time in flight is in its series.
    accounted: u64,
    logged_in_series: VecDeque<u32>,
}

/// A login in flight: from its arrival until this is dropped.
pub(super) struct Login {
    record: Record,
    sequence: u64,
}

impl Record {
    pub(super) fn new() -> Self {
        Self(Arc::new(Book {
            start: Instant::now(),
            pages: Mutex::default(),
        }))
    }

    pub(super) fn now_micros(&self) -> u64 {
        u64::try_from(self.0.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A login request has arrived: it is in flight from here.
    pub(super) fn arrived(&self, host: &str, tag: Option<&str>) -> Login {
        let now = self.now_micros();
        let mut pages = self.0.pages.lock();
        let sequence = pages.totals.received;
        pages.totals.received += 1;
        if pages.logins.len() == LOGINS_KEPT {
            pages.logins.pop_front();
        }
        pages.logins.push_back(LoginRecord {
            sequence,
            host: host.to_owned(),
            tag: tag.map(str::to_owned),
            arrived: now,
            began: None,
            ended: None,
            outcome: Outcome::Open,
            abandoned: false,
        });
        pages.advance(now);
        pages.in_flight += 1;
        pages.note_in_flight();
        Login {
            record: self.clone(),
            sequence,
        }
    }

    /// Somebody came with a session that is not known here.
    pub(super) fn stranger(&self) {
        self.0.pages.lock().totals.strangers += 1;
    }

    pub(super) fn in_flight(&self) -> usize {
        self.0.pages.lock().in_flight
    }

    /// Everything but the fields that the platform knows itself.
    pub(super) fn snapshot(&self, logins: bool) -> Snapshot {
        let now = self.now_micros();
        let mut pages = self.0.pages.lock();
        pages.advance(now);
        Snapshot {
            name: String::new(),
            now_micros: now,
            workers: 0,
            hash_millis: 0.0,
            in_flight: pages.in_flight,
            max_in_flight: pages.max_in_flight,
            totals: pages.totals,
            series_from_micros: pages.first_bucket * BUCKET_MICROS,
            in_flight_series: pages.in_flight_series.iter().copied().collect(),
            in_flight_micros_series: pages.in_flight_micros_series.iter().copied().collect(),
            worked_micros_series: pages.worked_micros_series.iter().copied().collect(),
            logged_in_series: pages.logged_in_series.iter().copied().collect(),
            logins: if logins {
                pages.logins.iter().cloned().collect()
            } else {
                Vec::new()
            },
        }
    }
}

impl Pages {
    /// Fills the series up to now: what was in flight stayed so since the last event.
    fn advance(&mut self, now_micros: u64) {
        loop {
            let next = self.first_bucket + self.in_flight_series.len() as u64;
            // To the end of the latest entry, or as far as time has come.
            let upto = now_micros.min(next * BUCKET_MICROS);
            let passed = upto.saturating_sub(self.accounted);
            self.accounted += passed;
            if let Some(last) = self.in_flight_micros_series.back_mut() {
                *last += passed * self.in_flight as u64;
            }
            if let Some(last) = self.worked_micros_series.back_mut() {
                *last += passed * self.at_work as u64;
            }
            if next > now_micros / BUCKET_MICROS {
                return;
            }
            if self.in_flight_series.len() == SERIES_KEPT {
                self.in_flight_series.pop_front();
                self.in_flight_micros_series.pop_front();
                self.worked_micros_series.pop_front();
                self.logged_in_series.pop_front();
                self.first_bucket += 1;
            }
            self.in_flight_series
                .push_back(u32::try_from(self.in_flight).unwrap_or(u32::MAX));
            self.in_flight_micros_series.push_back(0);
            self.worked_micros_series.push_back(0);
            self.logged_in_series.push_back(0);
        }
    }

    fn note_in_flight(&mut self) {
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
        if let Some(last) = self.in_flight_series.back_mut() {
            *last = (*last).max(u32::try_from(self.in_flight).unwrap_or(u32::MAX));
        }
    }

    fn login(&mut self, sequence: u64) -> Option<&mut LoginRecord> {
        let first = self.logins.front()?.sequence;
        self.logins
            .get_mut(usize::try_from(sequence.checked_sub(first)?).ok()?)
    }
}

impl Login {
    /// A worker has taken it.
    pub(super) fn began(&self) {
        let now = self.record.now_micros();
        let mut pages = self.record.0.pages.lock();
        pages.advance(now);
        pages.at_work += 1;
        if let Some(login) = pages.login(self.sequence) {
            login.began = Some(now);
        }
    }

    /// The hash is computed.
    pub(super) fn ended(&mut self, right: bool, abandoned: bool) {
        let now = self.record.now_micros();
        let mut pages = self.record.0.pages.lock();
        pages.advance(now);
        pages.at_work -= 1;
        if right {
            pages.totals.logged_in += 1;
            if let Some(last) = pages.logged_in_series.back_mut() {
                *last += 1;
            }
        } else {
            pages.totals.wrong_password += 1;
        }
        pages.totals.abandoned += u64::from(abandoned);
        if let Some(login) = pages.login(self.sequence) {
            login.ended = Some(now);
            login.outcome = if right {
                Outcome::LoggedIn
            } else {
                Outcome::WrongPassword
            };
            login.abandoned = abandoned;
        }
    }

    /// It was turned away without hashing.
    pub(super) fn refused(self, outcome: Outcome) {
        let mut pages = self.record.0.pages.lock();
        match outcome {
            Outcome::CsrfRefused => pages.totals.csrf_refused += 1,
            _ => pages.totals.overloaded += 1,
        }
        if let Some(login) = pages.login(self.sequence) {
            login.outcome = outcome;
        }
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let now = self.record.now_micros();
        let mut pages = self.record.0.pages.lock();
        pages.advance(now);
        pages.in_flight -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_flight_counts_from_arrival_to_the_end_of_the_hash() {
        let record = Record::new();
        let first = record.arrived("a.example", Some("7"));
        let mut second = record.arrived("a.example", None);
        assert_eq!(record.in_flight(), 2);
        second.began();
        assert_eq!(record.0.pages.lock().at_work, 1);
        second.ended(true, false);
        assert_eq!(record.0.pages.lock().at_work, 0);
        drop(second);
        first.refused(Outcome::Overloaded);
        let seen = record.snapshot(true);
        assert_eq!((seen.in_flight, seen.max_in_flight), (0, 2));
        assert_eq!((seen.totals.logged_in, seen.totals.overloaded), (1, 1));
        assert_eq!(seen.logins[0].tag.as_deref(), Some("7"));
        assert_eq!(seen.logins[1].outcome, Outcome::LoggedIn);
    }

    #[test]
    fn time_in_flight_is_counted_to_the_microsecond() {
        let mut pages = Pages {
            in_flight: 2,
            at_work: 1,
            ..Pages::default()
        };
        pages.advance(150_000);
        pages.in_flight = 12;
        // A moment's peak in an entry that was half empty.
        pages.note_in_flight();
        pages.advance(151_000);
        pages.in_flight = 0;
        pages.at_work = 0;
        pages.advance(350_000);
        assert_eq!(pages.in_flight_series, [2, 12, 0, 0]);
        assert_eq!(pages.in_flight_micros_series, [200_000, 112_000, 0, 0]);
        let record = Record::new();
        *record.0.pages.lock() = pages;
        let seen = record.snapshot(false);
        assert!((seen.mean_in_flight(0..2) - 1.56).abs() < 1e-9);
        assert!((seen.mean_at_work(0..2) - 0.755).abs() < 1e-9);
        assert!(seen.mean_in_flight(9..12).abs() < 1e-9);
    }

    #[test]
    fn a_later_snapshot_can_forget_what_came_before() {
        let record = Record::new();
        let mut pages = record.0.pages.lock();
        pages.advance(350_000);
        pages.in_flight_series[0] = 9;
        pages.max_in_flight = 9;
        drop(pages);
        let mut early = record.snapshot(false);
        early.now_micros = 250_000;
        let late = record.snapshot(false).after(&early);
        assert_eq!(late.max_in_flight, 0);
        assert_eq!(late.series_from_micros, 200_000);
    }
}
