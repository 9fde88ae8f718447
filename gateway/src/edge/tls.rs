//! The TLS side of the edge: one configuration for all HTTPS addresses.

use std::sync::Arc;

use pingora_core::listeners::tls::Acceptor;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::ServerSessionMemoryCache;

use super::{Certificates, EdgeError, EdgeSettings};

/// Sessions kept for clients that resume without tickets (TLS 1.2 session ids). About 1 kB each.
const SESSION_CACHE: usize = 16_384;

/// What an HTTPS address needs.
pub(super) struct Tls {
    pub(super) acceptor: Acceptor,
    pub(super) certificates: Arc<Certificates>,
}

impl Tls {
    /// `None` when no HTTPS address is configured.
    pub(super) fn new(settings: &EdgeSettings) -> Result<Option<Self>, EdgeError> {
        let Some(&address) = settings.listen_tls.first() else {
            return Ok(None);
        };
        let provider = Arc::new(ring::default_provider());
        let certificates = Certificates::load(&settings.certificates, Arc::clone(&provider))
            .ok_or(EdgeError::NoCertificate { address })??;
        let certificates = Arc::new(certificates);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Certificates>::clone(&certificates));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Tickets cost no memory here, so a whole morning's sessions can be resumed: a resumed
        // handshake needs no signature, the dear part of a rush. Keys change every six hours.
        config.ticketer = ring::Ticketer::new()?;
        config.session_storage = ServerSessionMemoryCache::new(SESSION_CACHE);
        let acceptor = Acceptor::from_server_config(Arc::new(config));
        Ok(Some(Self {
            acceptor,
            certificates,
        }))
    }
}
