//! Which certificate a client is shown: by the name it asks for, else the first.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{CertificateFiles, EdgeError};

/// The certificates in use. They can be [reloaded](Self::reload) while connections are served.
#[derive(Debug)]
pub struct Certificates {
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Selection>,
}

/// One load of all files: every name in every certificate, and the default.
#[derive(Debug)]
struct Selection {
    default: Arc<CertifiedKey>,
    /// Lower case, as in the certificates. A wildcard is kept with its `*.`: `*.school.example`.
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads all files.
    ///
    /// # Errors
    /// The first file that cannot be used. `None` if there are no files at all.
    pub(super) fn load(
        files: &[CertificateFiles],
        provider: Arc<CryptoProvider>,
    ) -> Option<Result<Self, EdgeError>> {
        let selection = Selection::load(files, &provider)?;
        Some(selection.map(|selection| Self {
            provider,
            current: ArcSwap::from_pointee(selection),
        }))
    }

    /// Reads all files again, and uses them for the handshakes that begin from now on.
    ///
    /// # Errors
    /// The first file that cannot be used; then the certificates in use stay in use. An empty list
    /// changes nothing.
    pub fn reload(&self, files: &[CertificateFiles]) -> Result<(), EdgeError> {
        if let Some(selection) = Selection::load(files, &self.provider) {
            self.current.store(Arc::new(selection?));
        }
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().find(hello.server_name()))
    }
}

impl Selection {
    fn load(
        files: &[CertificateFiles],
        provider: &CryptoProvider,
    ) -> Option<Result<Self, EdgeError>> {
        let (first, others) = files.split_first()?;
        Some(Self::load_all(first, others, provider))
    }

    fn load_all(
        first: &CertificateFiles,
        others: &[CertificateFiles],
        provider: &CryptoProvider,
    ) -> Result<Self, EdgeError> {
        let default = Arc::new(read(first, provider)?);
        let mut selection = Self {
            default: Arc::clone(&default),
            by_name: HashMap::new(),
        };
        selection.add(&default, first)?;
        for files in others {
            selection.add(&Arc::new(read(files, provider)?), files)?;
        }
        Ok(selection)
    }

    /// Earlier certificates win: the operator's order decides between two for the same name.
    fn add(&mut self, key: &Arc<CertifiedKey>, files: &CertificateFiles) -> Result<(), EdgeError> {
        let wrong = |reason: String| EdgeError::Chain {
            path: files.chain.clone(),
            reason,
        };
        let leaf = key
            .end_entity_cert()
            .map_err(|error| wrong(error.to_string()))?;
        let leaf =
            webpki::EndEntityCert::try_from(leaf).map_err(|error| wrong(error.to_string()))?;
        for name in leaf.valid_dns_names() {
            self.by_name
                .entry(name.to_ascii_lowercase())
                .or_insert_with(|| Arc::clone(key));
        }
        Ok(())
    }

    /// The certificate for this very name, else the wildcard one label up (RFC 9525 section 6.3),
    /// else the default: a client that knows no names still gets an answer.
    fn find(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let named = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            self.by_name.get(&name).or_else(|| {
                let (_, parent) = name.split_once('.')?;
                self.by_name.get(&format!("*.{parent}"))
            })
        });
        Arc::clone(named.unwrap_or(&self.default))
    }
}

fn read(files: &CertificateFiles, provider: &CryptoProvider) -> Result<CertifiedKey, EdgeError> {
    let wrong = |reason: String| EdgeError::Chain {
        path: files.chain.clone(),
        reason,
    };
    let chain = CertificateDer::pem_file_iter(&files.chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong("there is no certificate in it".to_owned()));
    }
    let wrong = |reason: String| EdgeError::Key {
        path: files.key.clone(),
        reason,
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(error.to_string()))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => EdgeError::Mismatch {
            chain: files.chain.clone(),
            key: files.key.clone(),
            reason: error.to_string(),
        },
        rustls::Error::InvalidCertificate(_) => EdgeError::Chain {
            path: files.chain.clone(),
            reason: error.to_string(),
        },
        _ => wrong(error.to_string()),
    })
}
