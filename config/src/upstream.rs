//! `[region.NAME.upstream]`: how we talk to the backends.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::address;
use crate::report::Problem;
use crate::section::Section;
use crate::settings;
use crate::upstream_tls::{self, UpstreamTls};

/// Deadlines and idle connections towards the backends of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// For a connection to stand: 100 ms to 1 min. Default: 2 s.
    pub connect_timeout: Duration,
    /// For the whole answer to a login: 1 s to 10 min. Default: 30 s.
    pub login_timeout: Duration,
    /// Between two reads of any other answer: 1 s to 1 h. Default: 60 s.
    pub read_timeout: Duration,
    /// Between two writes of a request: 1 s to 1 h. Default: 60 s.
    pub write_timeout: Duration,
    /// How long an unused connection is kept: 1 s to 1 h. Default: 60 s.
    pub idle_timeout: Duration,
    /// How many unused connections are kept: 0 to 100,000. Default: 512.
    pub max_idle: u32,
    /// Who is asked for the addresses of backends that are names. Default: whom the system asks.
    pub resolver: Option<SocketAddr>,
    /// `tls` and what belongs to it. Default: none, backends are talked to in the clear.
    pub tls: Option<UpstreamTls>,
    /// Default: [`Http::One`].
    pub http: Http,
}

/// Which HTTP is spoken to backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http {
    /// `http = "1.1"`.
    #[default]
    One,
    /// `http = "2"`. Without TLS the backends must know beforehand (RFC 9113, 3.3).
    Two,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            connect_timeout: settings::CONNECT_TIMEOUT.default,
            login_timeout: settings::LOGIN_TIMEOUT.default,
            read_timeout: settings::READ_TIMEOUT.default,
            write_timeout: settings::WRITE_TIMEOUT.default,
            idle_timeout: settings::IDLE_TIMEOUT.default,
            max_idle: settings::MAX_IDLE.default,
            resolver: None,
            tls: None,
            http: Http::One,
        }
    }
}

pub(crate) fn read(mut section: Section<'_, '_>, config: &Path) -> Upstream {
    let upstream = Upstream {
        connect_timeout: section.take(&settings::CONNECT_TIMEOUT),
        login_timeout: section.take(&settings::LOGIN_TIMEOUT),
        read_timeout: section.take(&settings::READ_TIMEOUT),
        write_timeout: section.take(&settings::WRITE_TIMEOUT),
        idle_timeout: section.take(&settings::IDLE_TIMEOUT),
        max_idle: section.take(&settings::MAX_IDLE),
        resolver: section
            .take_text("resolver", "an address", address::resolver)
            .map(|resolver| resolver.value),
        tls: upstream_tls::read(&mut section, config),
        http: section
            .take_text("http", r#""1.1" or "2""#, http)
            .map_or(Http::One, |http| http.value),
    };
    section.finish();
    upstream
}

fn http(written: &str) -> Result<Http, Problem> {
    match written {
        "1.1" => Ok(Http::One),
        "2" => Ok(Http::Two),
        _ => Err(Problem::new(format!("unknown version {written:?} of HTTP"))
            .help(r#"known here: "1.1", "2""#)),
    }
}
