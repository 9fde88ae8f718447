//! How to reach the ledger's Redis: which servers, how to log in, how long to wait.

use std::fmt;
use std::time::Duration;

use redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo,
    RedisResult, TlsCertificates,
};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// What to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// One server.
    Single {
        /// Where.
        address: Address,
        /// Database number.
        database: u32,
    },
    /// The master that sentinels name.
    Sentinel {
        /// Where the sentinels are.
        sentinels: Vec<Address>,
        /// How they call the master.
        master: String,
        /// Database number.
        database: u32,
        /// How to log in to the sentinels.
        login: Option<Login>,
    },
    /// A cluster.
    Cluster {
        /// Some of its nodes.
        nodes: Vec<Address>,
    },
}

impl Server {
    /// Whether any of them speaks TLS.
    pub(super) fn tls(&self) -> bool {
        match self {
            Self::Single { address, .. } => address.tls,
            Self::Sentinel { sentinels: all, .. } | Self::Cluster { nodes: all } => {
                all.iter().any(|address| address.tls)
            }
        }
    }
}

/// User and password. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// ACL user; `None` is the default user.
    pub user: Option<String>,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(***)")
    }
}

/// How to reach the ledger.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// What to connect to.
    pub server: Server,
    /// How to log in.
    pub login: Option<Login>,
    /// Certificate authorities in PEM, if not the system's.
    pub ca: Option<Vec<u8>>,
    /// How long one call may take.
    pub timeout: Duration,
    /// What all keys begin with.
    pub prefix: String,
}

impl StoreSettings {
    /// How long making a connection may take.
    pub(super) fn connect_timeout(&self) -> Duration {
        (self.timeout * 2).max(Duration::from_millis(500))
    }

    pub(super) fn certificates(&self) -> TlsCertificates {
        TlsCertificates {
            client_tls: None,
            root_cert: self.ca.clone(),
        }
    }
}

impl Address {
    /// As the client names it.
    pub(super) fn to_client(&self) -> ConnectionAddr {
        let (host, port) = (self.host.clone(), self.port);
        if self.tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        }
    }

    /// The same with what a connection begins with.
    pub(super) fn info(&self, login: Option<&Login>, database: u32) -> RedisResult<ConnectionInfo> {
        let mut settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_db(i64::from(database))
            .set_lib_name("einlass", env!("CARGO_PKG_VERSION"));
        if let Some(login) = login {
            settings = settings.set_password(&login.password);
            if let Some(user) = &login.user {
                settings = settings.set_username(user);
            }
        }
        Ok(self
            .to_client()
            .into_connection_info()?
            .set_redis_settings(settings))
    }
}
