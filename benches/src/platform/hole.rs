//! A network that can swallow everything: connections stand, and nothing comes back.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Between two connections that could not be accepted.
const PAUSE: Duration = Duration::from_millis(10);

/// Stands before a backend until it is dropped.
pub struct Hole {
    /// Where it listens.
    pub address: SocketAddr,
    open: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Hole {
    /// Lets everything through, for now. Port 0 takes a free one.
    pub async fn at(address: SocketAddr, backend: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let open = watch::Sender::new(true);
        let address = listener.local_addr()?;
        let watched = open.subscribe();
        let accepting = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        tokio::spawn(pass(stream, backend, watched.clone()));
                    }
                    // Out of descriptors, or the other side was gone at once.
                    Err(_) => sleep(PAUSE).await,
                }
            }
        });
        Ok(Self {
            address,
            open,
            accepting,
        })
    }

    /// From now on nothing passes, and every connection stands.
    pub fn swallow(&self) {
        self.open.send_replace(false);
    }

    /// Everything passes again, also what has come meanwhile.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Hole {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What comes while nothing passes is kept, unless the other side gives up meanwhile.
async fn pass(mut near: TcpStream, backend: SocketAddr, mut open: watch::Receiver<bool>) {
    let mut far: Option<TcpStream> = None;
    // What passes is not to be kept for what comes next: that would cost 40 ms now and then (Nagle's
    // algorithm and delayed acknowledgements). A stream that cannot be set is gone.
    let _ = near.set_nodelay(true);
    let mut pending = Vec::new();
    let mut back = [0; 4_096];
    loop {
        let through = *open.borrow_and_update();
        if through && far.is_none() {
            far = TcpStream::connect(backend).await.ok();
            match &far {
                Some(far) => {
                    let _ = far.set_nodelay(true);
                }
                None => return,
            }
        }
        match &mut far {
            Some(far) if through => {
                if far.write_all(&std::mem::take(&mut pending)).await.is_err() {
                    return;
                }
                tokio::select! {
                    read = near.read_buf(&mut pending) => if read.unwrap_or(0) == 0 { return },
                    read = far.read(&mut back) => match read {
                        Ok(read @ 1..) if near.write_all(&back[..read]).await.is_ok() => {}
                        _ => return,
                    },
                    _ = open.changed() => {}
                }
            }
            _ => tokio::select! {
                read = near.read_buf(&mut pending) => if read.unwrap_or(0) == 0 { return },
                _ = open.changed() => {}
            },
        }
    }
}
