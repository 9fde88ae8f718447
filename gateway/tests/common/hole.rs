//! A network that can swallow everything: connections stand, and nothing comes back.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Stands before a backend.
pub struct Hole {
    pub address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Hole {
    /// Lets everything through, for now.
    pub async fn before(backend: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hole = Self {
            address: listener.local_addr().unwrap(),
            open: watch::Sender::new(true),
        };
        let open = hole.open.subscribe();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(stream, backend, open.clone()));
            }
        });
        hole
    }

    pub fn swallow(&self) {
        self.open.send_replace(false);
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

/// What comes while nothing passes is kept, unless the other side gives up meanwhile.
async fn pass(mut near: TcpStream, backend: SocketAddr, mut open: watch::Receiver<bool>) {
    let mut far: Option<TcpStream> = None;
    let mut pending = Vec::new();
    let mut back = [0; 4_096];
    loop {
        let through = *open.borrow_and_update();
        if through && far.is_none() {
            far = TcpStream::connect(backend).await.ok();
            if far.is_none() {
                return;
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
