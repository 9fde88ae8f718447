//! A backend behind TLS, and the authority that signs its certificate.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Signs certificates. Its own is in the file.
pub struct Authority {
    pub file: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A chain and its key, as files.
pub struct Papers {
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self {
            file,
            issuer: Issuer::new(params, key),
        }
    }

    pub fn sign(&self, name: &str) -> Papers {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let papers = Papers {
            chain: self.file.with_extension(format!("{name}.chain")),
            key: self.file.with_extension(format!("{name}.key")),
        };
        std::fs::write(&papers.chain, signed.pem()).unwrap();
        std::fs::write(&papers.key, key.serialize_pem()).unwrap();
        papers
    }
}

/// Answers every request with the version it came by.
pub struct Secure {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub version: Version,
    pub host: String,
    /// As an HTTP/2 request names it.
    pub scheme: String,
    /// The name that was asked for over TLS.
    pub sni: Option<String>,
    /// It asks for another protocol.
    pub upgrade: bool,
    pub body: Bytes,
}

impl Secure {
    /// With TLS if there are papers; asks for a certificate of this authority, if there is one.
    pub async fn start(papers: Option<&Papers>, clients: Option<&Authority>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let secure = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
        };
        let acceptor = papers.map(|papers| acceptor(papers, clients));
        let seen = Arc::clone(&secure.seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                tokio::spawn(serve(stream, acceptor, seen));
            }
        });
        secure
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn acceptor(papers: &Papers, clients: Option<&Authority>) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_file(&authority.file).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = vec![CertificateDer::from_pem_file(&papers.chain).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&papers.key).unwrap();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, seen: Arc<Mutex<Vec<Seen>>>) {
    // A check, or a client that does not trust us, ends here.
    let _ = match acceptor {
        None => answer(stream, None, seen).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => {
                let sni = stream.get_ref().1.server_name().map(str::to_owned);
                answer(stream, sni, seen).await
            }
            Err(_) => return,
        },
    };
}

async fn answer<S>(
    stream: S,
    sni: Option<String>,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = service_fn(move |request: Request<Incoming>| {
        let (seen, sni) = (Arc::clone(&seen), sni.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let host = head.headers.get("host").map(|h| h.to_str().unwrap());
            let host = head
                .uri
                .authority()
                .map_or(host.unwrap_or(""), |a| a.as_str());
            seen.lock().unwrap().push(Seen {
                method: head.method.to_string(),
                version: head.version,
                sni,
                host: host.to_owned(),
                upgrade: head.headers.contains_key("upgrade"),
                scheme: head.uri.scheme_str().unwrap_or_default().to_owned(),
                body,
            });
            let text = match head.uri.path() {
                // More than any window.
                "/large" => Bytes::from(vec![b'x'; 64 << 20]),
                "/small" => Bytes::from(vec![b'x'; 64 << 10]),
                _ => Bytes::from(format!("{:?}", head.version)),
            };
            Ok::<_, hyper::Error>(Response::new(Full::new(text)))
        }
    });
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    server.serve_connection(TokioIo::new(stream), answer).await
}
