//! The stream the application reads and writes: plain or TLS below, watched and buffered here.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::{SslDigest, TlsRef};
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tracing::debug;

use super::head::{HeadScan, Phase, Progress};

/// What an HTTP/2 client says first (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Gathers a response's head and a small body into one TLS record and one packet.
const WRITE_BUFFER: usize = 4096;

/// One client's connection.
#[derive(Debug)]
pub(super) struct EdgeStream {
    io: BufWriter<Stream>,
    progress: Arc<Progress>,
    scan: HeadScan,
    /// The first bytes, read to tell the protocol and still to be given out, and how many of them.
    first: [u8; PREFACE.len()],
    kept: usize,
    given: usize,
    http2: bool,
}

impl EdgeStream {
    pub(super) fn new(io: Stream) -> Self {
        Self {
            io: BufWriter::with_capacity(WRITE_BUFFER, io),
            progress: Arc::default(),
            scan: HeadScan::default(),
            first: [0; PREFACE.len()],
            kept: 0,
            given: 0,
            http2: false,
        }
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Reads until it is clear whether the client speaks HTTP/2. What was read is given out again.
    ///
    /// # Errors
    /// The client went away, or the connection broke.
    pub(super) async fn speaks_http2(&mut self) -> io::Result<bool> {
        while self.kept < PREFACE.len() {
            let read = self.io.read(&mut self.first[self.kept..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.kept += read;
            if self.first[..self.kept] != PREFACE[..self.kept] {
                return Ok(false);
            }
        }
        self.http2 = true;
        // The deadlines of HTTP/2 are kept by its own connection.
        self.progress.set(Phase::Busy);
        Ok(true)
    }

    fn watch(&mut self, bytes: &[u8]) {
        let phase = self.progress.phase();
        if bytes.is_empty() || !matches!(phase, Phase::Quiet | Phase::Head) {
            return;
        }
        if phase == Phase::Quiet {
            self.scan = HeadScan::default();
        }
        self.progress.set(self.scan.feed(bytes));
    }
}

// === impl AsyncRead, AsyncWrite ===

impl AsyncRead for EdgeStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        if this.given < this.kept {
            let count = (this.kept - this.given).min(buf.remaining());
            buf.put_slice(&this.first[this.given..this.given + count]);
            this.given += count;
        } else {
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        }
        this.watch(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for EdgeStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl Drop for EdgeStream {
    /// Writes out what a response left in the buffer, as far as that goes without waiting. A TLS
    /// client is told of the end only between requests: in the middle of a response it must see that
    /// something was cut off.
    fn drop(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let io = Pin::new(&mut self.io);
        let _ = match self.progress.phase() {
            Phase::Quiet | Phase::Head => io.poll_shutdown(&mut cx),
            Phase::Busy | Phase::TooLong => io.poll_flush(&mut cx),
        };
    }
}

// === impl IO ===

#[async_trait]
impl Shutdown for EdgeStream {
    async fn shutdown(&mut self) {
        if let Err(error) = AsyncWriteExt::shutdown(self).await {
            debug!(%error, "Client was gone before the end");
        }
    }
}

impl UniqueID for EdgeStream {
    fn id(&self) -> UniqueIDType {
        self.io.get_ref().id()
    }
}

impl Ssl for EdgeStream {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.io.get_ref().get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.io.get_ref().get_ssl_digest()
    }

    /// Prior knowledge counts as chosen: the client has said so with its first bytes.
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        if self.http2 {
            Some(ALPN::H2)
        } else {
            self.io.get_ref().selected_alpn_proto()
        }
    }
}

impl GetTimingDigest for EdgeStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.io.get_ref().get_timing_digest()
    }
}

impl GetProxyDigest for EdgeStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.io.get_ref().get_proxy_digest()
    }
}

impl GetSocketDigest for EdgeStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.io.get_ref().get_socket_digest()
    }
}

impl Peek for EdgeStream {}
