//! The sockets under the connections to a pool's backends, so that one can be shut down under a request.
//!
//! How long pingora waits for an answer is fixed as a request begins: a minute by default, because some
//! answers take that long on purpose. That none will come may be clear after three seconds, and of that the
//! request hears nothing. So each connection has a second handle to its socket, as long as it stands; when
//! the socket is shut down, the read under the request ends as if the backend had closed.

use std::collections::HashMap;
use std::net::Shutdown;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use pingora_core::upstreams::peer::{HttpPeer, Tracer, Tracing};
use pingora_core::{ErrorType, OrErr as _};
use socket2::SockRef;

/// Those of one pool, by the number that pingora knows each by.
#[derive(Clone, Debug, Default)]
pub(super) struct Sockets(Arc<Mutex<HashMap<RawFd, Weak<Socket>>>>);

/// One of them, until its connection is closed.
#[derive(Debug)]
pub(super) struct Socket {
    number: RawFd,
    handle: Mutex<Option<OwnedFd>>,
}

/// What one connection tells of itself.
#[derive(Debug)]
struct Line {
    sockets: Sockets,
    socket: OnceLock<Arc<Socket>>,
}

/// pingora's way to say that a connection was closed.
#[derive(Debug)]
struct Told(Arc<Line>);

impl Sockets {
    /// From now on the connection that is made for this peer, if there is none to be used again, is known.
    pub(super) fn follow(&self, peer: &mut HttpPeer) {
        let line = Arc::new(Line {
            sockets: self.clone(),
            socket: OnceLock::new(),
        });
        peer.options.tracer = Some(Tracer(Box::new(Told(Arc::clone(&line)))));
        peer.options.upstream_tcp_sock_tweak_hook = Some(Arc::new(move |tcp| {
            let handle = tcp.as_fd().try_clone_to_owned();
            let handle = handle.or_err(ErrorType::SocketError, "no second handle")?;
            line.begin(tcp.as_raw_fd(), handle);
            Ok(())
        }));
    }

    /// The socket of a connection that stands.
    pub(super) fn find(&self, number: RawFd) -> Option<Arc<Socket>> {
        self.0.lock().get(&number)?.upgrade()
    }

    /// The connection is closed; its number may be another one's in a moment.
    fn forget(&self, socket: &Arc<Socket>) {
        let mut known = self.0.lock();
        let same = |known: &Weak<Socket>| std::ptr::eq(known.as_ptr(), Arc::as_ptr(socket));
        if known.get(&socket.number).is_some_and(same) {
            known.remove(&socket.number);
        }
        drop(known);
        socket.handle.lock().take();
    }
}

impl Socket {
    /// Nothing more is read from it, nor written.
    pub(super) fn shut_down(&self) {
        if let Some(handle) = &*self.handle.lock() {
            // Fails only if the other side was first.
            let _ = SockRef::from(handle).shutdown(Shutdown::Both);
        }
    }
}

// === impl Line ===

impl Line {
    fn begin(&self, number: RawFd, handle: OwnedFd) {
        let socket = Arc::new(Socket {
            number,
            handle: Mutex::new(Some(handle)),
        });
        // A peer connects once.
        if self.socket.set(Arc::clone(&socket)).is_ok() {
            let known = Arc::downgrade(&socket);
            self.sockets.0.lock().insert(number, known);
        }
    }

    fn end(&self) {
        if let Some(socket) = self.socket.get() {
            self.sockets.forget(socket);
        }
    }
}

impl Drop for Line {
    /// Of a connection that never stood nobody says that it is closed.
    fn drop(&mut self) {
        self.end();
    }
}

// === impl Told ===

impl Tracing for Told {
    fn on_connected(&self) {}

    fn on_disconnected(&self) {
        self.0.end();
    }

    fn boxed_clone(&self) -> Box<dyn Tracing> {
        Box::new(Self(Arc::clone(&self.0)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    fn line(sockets: &Sockets, stream: &TcpStream) -> Arc<Line> {
        let line = Arc::new(Line {
            sockets: sockets.clone(),
            socket: OnceLock::new(),
        });
        line.begin(
            stream.as_raw_fd(),
            stream.as_fd().try_clone_to_owned().unwrap(),
        );
        line
    }

    #[test]
    fn a_read_that_waits_ends_when_its_socket_is_shut_down() {
        let sockets = Sockets::default();
        let (mut near, _far) = pair();
        let _line = line(&sockets, &near);
        let socket = sockets.find(near.as_raw_fd()).unwrap();
        let waiting = std::thread::spawn(move || near.read(&mut [0]).unwrap());
        socket.shut_down();
        assert_eq!(waiting.join().unwrap(), 0);
    }

    #[test]
    fn a_connection_that_is_closed_is_closed_and_its_number_is_the_next_ones() {
        let sockets = Sockets::default();
        let (near, mut far) = pair();
        let first = line(&sockets, &near);
        let number = near.as_raw_fd();
        let old = sockets.find(number).unwrap();
        drop(near);
        // pingora says so before it closes; here the number is taken again first.
        let (other, mut other_far) = pair();
        let second = Arc::new(Line {
            sockets: sockets.clone(),
            socket: OnceLock::new(),
        });
        second.begin(number, other.as_fd().try_clone_to_owned().unwrap());
        first.end();
        assert_eq!(far.read(&mut [0]).unwrap(), 0, "no handle keeps it open");
        old.shut_down();
        drop(old);
        assert!(sockets.find(number).is_some(), "that of the next one");
        other_far.set_nonblocking(true).unwrap();
        assert!(other_far.read(&mut [0]).is_err(), "which still stands");
        drop(second);
        assert!(sockets.find(number).is_none());
    }
}
