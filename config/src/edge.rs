//! `[edge]`: the public listener.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use crate::address;
use crate::claims::Claims;
use crate::pem::{self, Content};
use crate::place::bare;
use crate::report::Problem;
use crate::section::Section;
use crate::settings;

/// Where pupils come in.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// Addresses for plain HTTP. Default: `["0.0.0.0:8080"]`. May be empty if `listen_tls` is not.
    pub listen: Vec<SocketAddr>,
    /// Addresses for HTTPS; needs at least one certificate. Default: none.
    pub listen_tls: Vec<SocketAddr>,
    /// `[[edge.certificate]]`. Default: none.
    pub certificates: Vec<Certificate>,
    /// Proxies in front of us whose word on the client's address is believed: networks or addresses. Default: none.
    pub trusted_proxies: Vec<IpNet>,
    /// Those proxies pass bytes on and say with a PROXY header (version 1 or 2) whom they speak for; nobody else is let
    /// in. Needs `trusted_proxies`. Default: false.
    pub proxy_protocol: bool,
    /// Open connections at most, all listeners together: 1 to 10,000,000. Default: 200,000.
    pub max_connections: u32,
    /// For a whole TLS handshake: 1 s to 1 min. Default: 10 s.
    pub handshake_timeout: Duration,
    /// For the whole header of a request: 1 s to 5 min. Default: 10 s.
    pub header_timeout: Duration,
    /// Between two requests of a connection: 1 s to 1 h. Default: 75 s.
    pub keepalive_timeout: Duration,
    /// When told to stop: so long new requests are still taken while the desk says that it is not ready, and a load
    /// balancer in front looks for others: 0 s to 5 min. Default: 0 s.
    pub stop_delay: Duration,
}

/// A certificate with its key. The files were there and looked right when the configuration was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// PEM file: the certificate, then those between it and the root.
    pub chain: PathBuf,
    /// PEM file: the private key.
    pub key: PathBuf,
}

/// Paths are relative to the folder of `config`.
pub(crate) fn read(mut section: Section<'_, '_>, config: &Path, claims: &mut Claims<'_>) -> Edge {
    let listen = take_listen(&mut section, "listen", "edge.listen", claims);
    let listen = listen.unwrap_or_else(|| {
        for address in settings::EDGE_LISTEN {
            claims.listen_by_default("edge.listen", address);
        }
        settings::EDGE_LISTEN.to_vec()
    });
    let listen_tls =
        take_listen(&mut section, "listen_tls", "edge.listen_tls", claims).unwrap_or_default();
    if listen.is_empty() && listen_tls.is_empty() {
        section.mistake(
            Problem::new("the edge listens nowhere")
                .help("give `listen` or `listen_tls` an address"),
        );
    }
    let written = section.has("certificate");
    let entries = section.take_sections("certificate");
    if !listen_tls.is_empty() && entries.as_ref().map_or(!written, Vec::is_empty) {
        section.mistake(
            Problem::new("`listen_tls` needs a certificate")
                .help("name its files in [[edge.certificate]]"),
        );
    }
    let certificates = entries
        .unwrap_or_default()
        .into_iter()
        .filter_map(|entry| read_certificate(entry, config))
        .collect();
    let names_proxies = section.has("trusted_proxies");
    let trusted_proxies = section
        .take_texts("trusted_proxies", "networks or addresses", address::network)
        .map(bare);
    let proxy_protocol = section
        .take_bool("proxy_protocol")
        .unwrap_or(settings::PROXY_PROTOCOL);
    let trusts_nobody = trusted_proxies.as_ref().is_some_and(Vec::is_empty);
    if proxy_protocol && (trusts_nobody || !names_proxies) {
        section.mistake(
            Problem::new("`proxy_protocol` needs `trusted_proxies`")
                .help("name the networks the proxies come from"),
        );
    }
    let edge = Edge {
        listen,
        listen_tls,
        certificates,
        trusted_proxies: trusted_proxies.unwrap_or_default(),
        proxy_protocol,
        max_connections: section.take(&settings::MAX_CONNECTIONS),
        handshake_timeout: section.take(&settings::HANDSHAKE_TIMEOUT),
        header_timeout: section.take(&settings::HEADER_TIMEOUT),
        keepalive_timeout: section.take(&settings::KEEPALIVE_TIMEOUT),
        stop_delay: section.take(&settings::STOP_DELAY),
    };
    section.finish();
    edge
}

fn take_listen(
    section: &mut Section<'_, '_>,
    key: &'static str,
    claimant: &'static str,
    claims: &mut Claims<'_>,
) -> Option<Vec<SocketAddr>> {
    let written = section.take_texts(key, "addresses", address::listen)?;
    for address in &written {
        claims.listen(claimant, address);
    }
    Some(bare(written))
}

fn read_certificate(mut section: Section<'_, '_>, config: &Path) -> Option<Certificate> {
    let chain = take_pem(&mut section, "chain", Content::Certificate, config);
    let key = take_pem(&mut section, "key", Content::Key, config);
    section.finish();
    Some(Certificate {
        chain: chain?,
        key: key?,
    })
}

/// Both must be there.
fn take_pem(
    section: &mut Section<'_, '_>,
    key: &'static str,
    content: Content,
    config: &Path,
) -> Option<PathBuf> {
    if !section.has(key) {
        section.mistake(Problem::new(format!(
            "a certificate needs `{key}`, the PEM file of {}",
            content.name()
        )));
    }
    pem::take(section, key, content, config)
}
