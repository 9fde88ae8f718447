//! A small server for names, on loopback.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

/// What it says of a name.
#[derive(Clone, Debug)]
pub enum Says {
    /// These, good for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// There is no such name.
    Unknown,
    /// Nothing at all.
    Nothing,
}

pub struct Dns {
    pub address: SocketAddr,
    says: Arc<Mutex<HashMap<String, Says>>>,
    asked: Arc<AtomicUsize>,
}

impl Dns {
    /// Knows no name yet, and says nothing.
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let dns = Self {
            address: socket.local_addr().unwrap(),
            says: Arc::default(),
            asked: Arc::default(),
        };
        let (says, asked) = (Arc::clone(&dns.says), Arc::clone(&dns.asked));
        tokio::spawn(async move {
            let mut packet = [0; 1_500];
            loop {
                let (length, from) = socket.recv_from(&mut packet).await.unwrap();
                asked.fetch_add(1, Ordering::SeqCst);
                let known = |name: &str| says.lock().unwrap().get(name).cloned();
                if let Some(reply) = reply(&packet[..length], known) {
                    socket.send_to(&reply, from).await.unwrap();
                }
            }
        });
        dns
    }

    pub fn set(&self, name: &str, says: Says) {
        self.says.lock().unwrap().insert(name.to_owned(), says);
    }

    /// How often it has been asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The answer to a query (RFC 1035, 4.1), by what is known of its name.
fn reply(query: &[u8], known: impl Fn(&str) -> Option<Says>) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes(query.get(at..at + 2)?.try_into().ok()?);
    let question = query.get(12..at + 4)?;
    let (addresses, lifetime, code) = match known(&labels.join("."))? {
        Says::Addresses(addresses, lifetime) => (addresses, lifetime, 0),
        Says::Unknown => (Vec::new(), 0, 3),
        Says::Nothing => return None,
    };
    let fits = |ip: &&IpAddr| kind == if ip.is_ipv4() { 1 } else { 28 };
    let fitting: Vec<&IpAddr> = addresses.iter().filter(fits).collect();
    let mut reply = query[..2].to_vec();
    reply.extend([0x81, 0x80 | code, 0, 1]);
    reply.extend(u16::try_from(fitting.len()).unwrap().to_be_bytes());
    reply.extend([0; 4]);
    reply.extend(question);
    for ip in fitting {
        // The name is the one at byte 12.
        reply.extend([0xC0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1]);
        reply.extend(lifetime.to_be_bytes());
        let bytes = match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        reply.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
        reply.extend(bytes);
    }
    Some(reply)
}
