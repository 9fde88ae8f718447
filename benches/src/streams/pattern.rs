//! Bytes that tell where they belong: a long body is checked wherever it is cut, and nobody keeps it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// A prime, so that no buffer's size is a multiple of it: a part that is lost or doubled shows.
const PERIOD: usize = 251;
/// The largest part of a body.
const PART: usize = 64 * 1024;

static BLOCK: LazyLock<Bytes> = LazyLock::new(|| {
    // The remainder fits into a byte.
    let byte = |at: usize| u8::try_from(at % PERIOD).unwrap_or_default();
    (0..PART + PERIOD).map(byte).collect()
});

/// The first bytes of the pattern from `at` on: at most `most` of them, and not none.
fn part(at: u64, most: u64) -> Bytes {
    let start = usize::try_from(at % PERIOD as u64).unwrap_or_default();
    let length = usize::try_from(most).unwrap_or(usize::MAX).min(PART);
    BLOCK.slice(start..start + length)
}

/// Whether these are the pattern's bytes from `at` on.
pub(crate) fn fits(mut at: u64, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let expected = part(at, bytes.len() as u64);
        let (these, rest) = bytes.split_at(expected.len());
        if these != expected {
            return false;
        }
        at += these.len() as u64;
        bytes = rest;
    }
    true
}

/// A body made of the pattern, part by part as it is asked for.
#[derive(Debug)]
pub(crate) struct Pattern {
    at: u64,
    end: u64,
    /// Grows by what has been asked for.
    made: Arc<AtomicU64>,
}

impl Pattern {
    pub(crate) fn new(from: u64, end: u64, made: Arc<AtomicU64>) -> Self {
        Self {
            at: from,
            end: end.max(from),
            made,
        }
    }
}

impl Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let part = part(self.at, self.end - self.at);
        self.at += part.len() as u64;
        self.made.fetch_add(part.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn a_byte_lost_doubled_or_changed_is_seen() {
        let made = Arc::default();
        let body = Pattern::new(1_000, 201_000, Arc::clone(&made));
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(
            (bytes.len(), made.load(Ordering::Relaxed)),
            (200_000, 200_000)
        );
        assert!(fits(1_000, &bytes) && !fits(1_001, &bytes));
        let cut = [&bytes[..70_000], &bytes[70_001..]].concat();
        let doubled = [&bytes[..70_000], &bytes[69_999..]].concat();
        let mut changed = bytes.to_vec();
        changed[150_000] ^= 1;
        for wrong in [cut, doubled, changed] {
            assert!(!fits(1_000, &wrong));
        }
    }
}
