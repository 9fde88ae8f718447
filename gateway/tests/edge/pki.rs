//! Certificates of our own, and clients that trust them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use einlass::edge::CertificateFiles;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) struct Pki {
    pub(crate) dir: TempDir,
    pub(crate) files: Vec<CertificateFiles>,
    pub(crate) roots: Vec<CertificateDer<'static>>,
}

impl Pki {
    /// One certificate of its own for each name.
    pub(crate) fn new(names: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let mut pki = Self {
            dir,
            files: Vec::new(),
            roots: Vec::new(),
        };
        for name in names {
            pki.add(name);
        }
        pki
    }

    pub(crate) fn add(&mut self, name: &str) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("certificate");
        let number = self.files.len();
        let chain = self.write(&format!("{number}.pem"), &made.cert.pem());
        let key = self.write(&format!("{number}.key"), &made.signing_key.serialize_pem());
        self.files.push(CertificateFiles { chain, key });
        self.roots.push(made.cert.der().clone());
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("file written");
        path
    }

    pub(crate) fn client(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for root in &self.roots {
            roots.add(root.clone()).expect("root");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        name: &'static str,
        client: Arc<ClientConfig>,
    ) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(address).await.expect("connects");
        let name = ServerName::try_from(name).expect("name");
        TlsConnector::from(client)
            .connect(name, tcp)
            .await
            .expect("handshake")
    }

    /// Which of our certificates a client is shown that asks for `name`.
    pub(crate) async fn shown(&self, address: SocketAddr, name: &'static str) -> usize {
        let tls = self.connect(address, name, self.client(&[])).await;
        let shown = tls.get_ref().1.peer_certificates().expect("certificates")[0].clone();
        self.roots
            .iter()
            .position(|root| *root == shown)
            .expect("one of ours")
    }
}
