//! The files of TLS towards backends, read at the start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use einlass_config::{Certificate, UpstreamTls};
use pingora_core::protocols::tls::CaType;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Why a pool's backends cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// A file cannot be read, or not as PEM.
    #[error("{}: {reason}: put the PEM file there, or name another in [region.….upstream]", path.display())]
    File {
        /// The file as the configuration names it.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key of the client cannot be used together.
    #[error("{}: {reason}: name a chain and the key that belongs to its first certificate", path.display())]
    Client {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// What pingora needs of them for every connection.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) server_name: String,
    pub(super) ca: Option<Arc<CaType>>,
    pub(super) client: Option<Arc<CertKey>>,
}

impl Identity {
    pub(super) fn load(tls: &UpstreamTls) -> Result<Self, UpstreamError> {
        let ca = tls.ca_file.as_deref().map(authorities).transpose()?;
        let client = tls.client.as_ref().map(client).transpose()?;
        Ok(Self {
            server_name: tls.server_name.clone(),
            ca,
            client: client.map(Arc::new),
        })
    }
}

fn authorities(path: &Path) -> Result<Arc<CaType>, UpstreamError> {
    let certificates = certificates(path)?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(|error| wrong(path, &error))?;
    }
    let wrapped = certificates
        .into_iter()
        .map(|der| WrappedX509::new(der.to_vec(), parse_x509));
    Ok(wrapped.collect())
}

fn client(files: &Certificate) -> Result<CertKey, UpstreamError> {
    let chain = certificates(&files.chain)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| wrong(&files.key, &e))?;
    // pingora does the same at every connection, where it is too late to say so.
    ClientConfig::builder()
        .with_root_certificates(RootCertStore::empty())
        .with_client_auth_cert(chain.clone(), key.clone_key())
        .map_err(|error| UpstreamError::Client {
            path: files.chain.clone(),
            reason: error.to_string(),
        })?;
    let chain = chain.into_iter().map(|der| der.to_vec()).collect();
    Ok(CertKey::new(chain, key.secret_der().to_vec()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, UpstreamError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| wrong(path, &error))?;
    if certificates.is_empty() {
        return Err(wrong(path, &"it holds no certificate"));
    }
    for certificate in &certificates {
        // What pingora reads it with does not forgive.
        webpki::EndEntityCert::try_from(certificate).map_err(|error| wrong(path, &error))?;
    }
    Ok(certificates)
}

fn wrong(path: &Path, reason: &dyn std::fmt::Display) -> UpstreamError {
    UpstreamError::File {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
