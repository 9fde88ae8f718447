//! The deadlines of HTTP/1.1: for the silence between requests, and for a request's head.
//!
//! The stream looks at what the client sends until the head is complete, and notes in [`Progress`] how
//! far the client is; the connection watches a [`Watch`] beside the application and drops both when the
//! client is too slow. Nothing here needs the application's help.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The longest head of a request, in bytes. Browsers stay below 32 KiB even with all their cookies; the
/// application may refuse earlier with a proper answer.
const MAX_HEAD: usize = 64 * 1024;

/// How far the client is with its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Nothing has come yet.
    Quiet = 0,
    /// Some of the head has come.
    Head = 1,
    /// The head has come; from here on the application keeps the time.
    Busy = 2,
    /// More came than a head may have.
    TooLong = 3,
}

/// The phase, written by the stream and read by the connection, both in the same task.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicU8);

impl Progress {
    pub(super) fn phase(&self) -> Phase {
        match self.0.load(Ordering::Relaxed) {
            0 => Phase::Quiet,
            1 => Phase::Head,
            2 => Phase::Busy,
            _ => Phase::TooLong,
        }
    }

    pub(super) fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }
}

/// Looks for the empty line that ends a head (RFC 9112 section 2.2): as tolerant as the parser behind
/// it, so that both agree on when a head is complete.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    length: usize,
    /// Line ends since the last byte of text; none counts before the first text.
    line_ends: u8,
    text: bool,
}

impl HeadScan {
    /// The phase after these bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Phase {
        for (index, byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' if self.text => self.line_ends += 1,
                b'\r' | b'\n' => {}
                _ => {
                    self.text = true;
                    self.line_ends = 0;
                }
            }
            if self.line_ends == 2 {
                let fits = self.length + index < MAX_HEAD;
                return if fits { Phase::Busy } else { Phase::TooLong };
            }
        }
        self.length += bytes.len();
        if self.length > MAX_HEAD {
            Phase::TooLong
        } else {
            Phase::Head
        }
    }
}

/// Why a connection is given up before its request is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// No request for too long: the usual end of a connection.
    Idle,
    /// A head that was begun, or the first one, did not come in time.
    HeadTimeout,
    /// A head without an end.
    HeadTooLong,
}

/// Keeps the time for one connection.
#[derive(Debug)]
pub(super) struct Watch {
    progress: Arc<Progress>,
    header_timeout: Duration,
    keepalive_timeout: Duration,
    /// Until when the head must be complete, once that is known.
    head_by: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    /// The phase the timer is set for.
    timed: Phase,
}

impl Watch {
    /// For a new connection: its first request has to be there after the header timeout.
    pub(super) fn new(
        progress: Arc<Progress>,
        header_timeout: Duration,
        keepalive_timeout: Duration,
    ) -> Self {
        let head_by = Instant::now() + header_timeout;
        Self {
            progress,
            header_timeout,
            keepalive_timeout,
            head_by: Some(head_by),
            timer: Box::pin(sleep_until(head_by)),
            timed: Phase::Quiet,
        }
    }

    /// The last request is done: wait for the next.
    pub(super) fn next_request(&mut self) {
        self.progress.set(Phase::Quiet);
        self.head_by = None;
        self.timer
            .as_mut()
            .reset(Instant::now() + self.keepalive_timeout);
        self.timed = Phase::Quiet;
    }

    /// Bytes of the next request are in the application's hands already, where they cannot be
    /// watched: leave the time to the application.
    pub(super) fn hand_over(&mut self) {
        self.progress.set(Phase::Busy);
    }

    pub(super) fn phase(&self) -> Phase {
        self.progress.phase()
    }

    /// Ready when the client has been too slow. The phase changes only while the same task polls the
    /// application, so that asking after each of its polls is enough.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<GivenUp> {
        let phase = self.progress.phase();
        match phase {
            Phase::Busy => return Poll::Pending,
            Phase::TooLong => return Poll::Ready(GivenUp::HeadTooLong),
            Phase::Head if self.timed != Phase::Head => {
                let by = *self
                    .head_by
                    .get_or_insert_with(|| Instant::now() + self.header_timeout);
                self.timer.as_mut().reset(by);
                self.timed = Phase::Head;
            }
            Phase::Quiet | Phase::Head => {}
        }
        self.timer.as_mut().poll(cx).map(|()| {
            if self.head_by.is_some() {
                GivenUp::HeadTimeout
            } else {
                GivenUp::Idle
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{HeadScan, MAX_HEAD, Phase};

    #[test]
    fn a_head_is_complete_at_its_empty_line_however_it_is_cut() {
        let head = b"\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n";
        for cut in 1..head.len() {
            let mut scan = HeadScan::default();
            let (before, after) = head.split_at(cut);
            assert_eq!(scan.feed(before), Phase::Head, "cut at {cut}");
            assert_eq!(scan.feed(after), Phase::Busy, "cut at {cut}");
        }
    }

    #[test]
    fn bare_line_feeds_end_a_head_too() {
        assert_eq!(
            HeadScan::default().feed(b"GET / HTTP/1.1\nhost: a\n\n"),
            Phase::Busy
        );
        assert_eq!(
            HeadScan::default().feed(b"GET / HTTP/1.1\nhost: a\n\r\n"),
            Phase::Busy
        );
    }

    #[test]
    fn empty_lines_before_a_request_end_nothing() {
        assert_eq!(HeadScan::default().feed(b"\r\n\r\n\r\n\r\n"), Phase::Head);
    }

    #[test]
    fn a_head_without_an_end_is_too_long() {
        let mut scan = HeadScan::default();
        let mut fed = 0;
        while fed < MAX_HEAD {
            assert_eq!(scan.feed(&[b'x'; 1024]), Phase::Head);
            fed += 1024;
        }
        assert_eq!(scan.feed(b"x"), Phase::TooLong);
    }
}
