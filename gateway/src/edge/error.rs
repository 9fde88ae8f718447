//! Why the edge cannot start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the edge cannot start. Every message says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// No address at all.
    #[error("The edge has no address to listen on: give at least one")]
    NowhereToListen,
    /// The operating system refused the address.
    #[error("Cannot listen on {address}: {source}; {}", bind_advice(source))]
    Bind {
        /// The address as configured.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// HTTPS without a certificate.
    #[error("Cannot serve HTTPS on {address} without a certificate: give a chain and a key file")]
    NoCertificate {
        /// The first of the HTTPS addresses.
        address: SocketAddr,
    },
    /// The chain file cannot be read, or is not PEM.
    #[error(
        "Cannot read the certificate chain {}: {reason}; it must be a readable PEM file with the server's certificate first",
        path.display()
    )]
    Chain {
        /// The chain file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key file cannot be read, or holds no private key.
    #[error(
        "Cannot read the private key {}: {reason}; it must be a readable PEM file with an unencrypted key",
        path.display()
    )]
    Key {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Both files are fine but do not belong together.
    #[error(
        "The private key {} does not belong to the certificate {}: {reason}; give the key the certificate was issued for",
        key.display(),
        chain.display()
    )]
    Mismatch {
        /// The chain file.
        chain: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What the TLS library said.
        reason: String,
    },
    /// The TLS library refused its own defaults.
    #[error("Cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

fn bind_advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => "another program listens there: stop it or choose another port",
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need the capability CAP_NET_BIND_SERVICE: grant it or choose another port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has this address: use one it has, or 0.0.0.0"
        }
        _ => "choose an address this machine can listen on",
    }
}
