//! One connection to Redis for all rooms: made in the background, given up when it fails.
//!
//! Nobody waits here for longer than one call may take. While there is no connection a call fails
//! at once (the circuit is open), and one task alone tries to make a new one, at growing intervals
//! with jitter.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult,
    TlsCertificates, TlsMode, Value,
};
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::error::{LedgerError, Trouble, lacks_functions};

const LIBRARY: &str = include_str!("functions.lua");
/// So many calls in a row without an answer, and the connection is given up.
const PATIENCE: u32 = 3;
/// A cluster's client mends single connections itself; only then is it replaced.
const CLUSTER_PATIENCE: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// A sentinel that led nowhere is asked again after this, while another one has not answered yet.
const ASK_AGAIN: Duration = Duration::from_millis(150);
/// The oldest version with Functions.
const OLDEST: u32 = 7;

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
    fn tls(&self) -> bool {
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

/// How the connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It stands.
    Up,
    /// It does not, or it is of no use.
    Down(Trouble),
}

#[derive(Clone)]
enum Link {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    async fn send(&self, cmd: &Cmd) -> RedisResult<Value> {
        let value = match self {
            Self::Single(link) => link.clone().req_packed_command(cmd).await?,
            Self::Cluster(link) => link.clone().req_packed_command(cmd).await?,
        };
        value.extract_error()
    }

    async fn load_functions(&self) -> RedisResult<()> {
        let mut load = redis::cmd("FUNCTION");
        load.arg("LOAD").arg(LIBRARY);
        let loaded = match self {
            Self::Single(_) => self.send(&load).await,
            Self::Cluster(link) => {
                let masters = RoutingInfo::MultiNode((
                    MultipleNodeRoutingInfo::AllMasters,
                    Some(ResponsePolicy::AllSucceeded),
                ));
                link.clone().route_command(load, masters).await
            }
        };
        match loaded {
            Err(error) if !error.to_string().contains("already exists") => Err(error),
            _ => Ok(()),
        }
    }
}

pub(super) struct Connection {
    settings: StoreSettings,
    link: ArcSwapOption<Link>,
    /// Calls in a row that were not answered.
    unanswered: AtomicU32,
    /// Whether the latest link has answered a call.
    answered: AtomicBool,
    lost: Notify,
    status: watch::Sender<Status>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("settings", &self.settings)
            .field("status", &*self.status.borrow())
            .finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn open(settings: StoreSettings, seed: u64) -> Result<Arc<Self>, LedgerError> {
        let maker = Maker::new(&settings)?;
        let connection = Arc::new(Self {
            settings,
            link: ArcSwapOption::empty(),
            unanswered: AtomicU32::new(0),
            // So that the first attempt is made at once.
            answered: AtomicBool::new(true),
            lost: Notify::new(),
            status: watch::Sender::new(Status::Down(Trouble::Connecting)),
        });
        let weak = Arc::downgrade(&connection);
        tokio::spawn(async move {
            let mut jitter = Jitter(seed | 1);
            let mut maker = maker;
            let mut pause = FIRST_PAUSE;
            while let Some(connection) = weak.upgrade() {
                if connection.link.load().is_some() {
                    let lost = connection.lost.notified();
                    if connection.link.load().is_some() {
                        let waiting = timeout(LONGEST_PAUSE, lost);
                        let _ = waiting.await;
                    }
                    continue;
                }
                // A link that stood and answered nothing is no better than one that did not stand.
                if connection.answered.swap(false, Ordering::Relaxed) {
                    pause = FIRST_PAUSE;
                } else {
                    drop(connection);
                    sleep(pause.mul_f64(jitter.between(0.5, 1.0))).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                let Some(connection) = weak.upgrade() else {
                    return;
                };
                match maker.make(&connection.settings).await {
                    Ok(link) => connection.use_link(link),
                    Err(trouble) => connection.set_status(Status::Down(trouble)),
                }
            }
        });
        Ok(connection)
    }

    pub(super) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    pub(super) async fn connected(&self, patience: Duration) -> Result<(), LedgerError> {
        let mut status = self.status.subscribe();
        let up = status.wait_for(|status| *status == Status::Up);
        match timeout(patience, up).await {
            Ok(_) => Ok(()),
            Err(_) => match self.status() {
                Status::Up => Ok(()),
                Status::Down(trouble) => Err(trouble.into()),
            },
        }
    }

    /// One call, answered or failed within the time that the settings give.
    pub(super) async fn call(&self, cmd: Cmd) -> Result<Value, LedgerError> {
        let Some(link) = self.link.load_full() else {
            return Err(match self.status() {
                Status::Up => Trouble::Connecting,
                Status::Down(trouble) => trouble,
            }
            .into());
        };
        let trouble = match timeout(self.settings.timeout, link.send(&cmd)).await {
            Ok(Ok(value)) => {
                self.unanswered.store(0, Ordering::Relaxed);
                self.answered.store(true, Ordering::Relaxed);
                if self.status() != Status::Up {
                    self.set_status(Status::Up);
                }
                return Ok(value);
            }
            Ok(Err(error)) => {
                let trouble = Trouble::of(&error);
                if gives_up(&link, &error) {
                    self.give_up(&link);
                    if !lacks_functions(&error) {
                        self.set_status(Status::Down(trouble.clone()));
                    }
                    return Err(trouble.into());
                }
                trouble
            }
            Err(_) => Trouble::Slow,
        };
        let patience = match *link {
            Link::Single(_) => PATIENCE,
            Link::Cluster(_) => CLUSTER_PATIENCE,
        };
        let unanswered = 1 + self.unanswered.fetch_add(1, Ordering::Relaxed);
        if unanswered.is_multiple_of(patience) {
            self.set_status(Status::Down(trouble.clone()));
            if matches!(
                trouble,
                Trouble::Slow | Trouble::Unreachable(_) | Trouble::NotReady(_)
            ) {
                self.give_up(&link);
            }
        }
        Err(trouble.into())
    }

    fn use_link(&self, link: Link) {
        self.unanswered.store(0, Ordering::Relaxed);
        self.link.store(Some(Arc::new(link)));
        self.set_status(Status::Up);
    }

    /// Only the link that failed: by now there may be another.
    fn give_up(&self, link: &Arc<Link>) {
        let current = self.link.load();
        if current.as_ref().is_some_and(|now| Arc::ptr_eq(now, link)) {
            self.link.compare_and_swap(&*current, None);
            self.lost.notify_one();
        }
    }

    fn set_status(&self, status: Status) {
        self.status.send_if_modified(|old| {
            let changed = *old != status;
            *old = status;
            changed
        });
    }
}

/// Whether the link is of no use any more.
fn gives_up(link: &Link, error: &RedisError) -> bool {
    let trouble = Trouble::of(error);
    match link {
        Link::Single(_) => {
            lacks_functions(error)
                || matches!(
                    trouble,
                    Trouble::Unreachable(_)
                        | Trouble::ReadOnly
                        | Trouble::Password(_)
                        | Trouble::NotReady(_)
                )
        }
        Link::Cluster(_) => lacks_functions(error),
    }
}

/// Makes connections.
enum Maker {
    Single(Box<Client>),
    /// One for each of them.
    Sentinel(Vec<Arc<Mutex<SentinelClient>>>),
    Cluster(Box<redis::cluster::ClusterClient>),
}

impl Maker {
    fn new(settings: &StoreSettings) -> Result<Self, LedgerError> {
        let wrong = |error: RedisError| LedgerError::Setting(error.to_string());
        let login = settings.login.as_ref();
        Ok(match &settings.server {
            Server::Single { address, database } => {
                let info = info(address, login, *database).map_err(wrong)?;
                let client = if address.tls {
                    Client::build_with_tls(info, certificates(settings))
                } else {
                    Client::open(info)
                };
                Self::Single(Box::new(client.map_err(wrong)?))
            }
            Server::Sentinel { sentinels, .. } => {
                let clients = sentinels.iter().map(|one| sentinel(settings, one));
                Self::Sentinel(clients.collect::<RedisResult<_>>().map_err(wrong)?)
            }
            Server::Cluster { nodes } => {
                let infos = nodes
                    .iter()
                    .map(|address| info(address, login, 0))
                    .collect::<RedisResult<Vec<ConnectionInfo>>>()
                    .map_err(wrong)?;
                let mut builder = ClusterClientBuilder::new(infos)
                    .use_protocol(ProtocolVersion::RESP3)
                    .retries(2)
                    .min_retry_wait(20)
                    .max_retry_wait(100)
                    .connection_timeout(connect_timeout(settings))
                    .response_timeout(settings.timeout);
                if let Some(login) = login {
                    builder = builder.password(&login.password);
                    if let Some(user) = &login.user {
                        builder = builder.username(user);
                    }
                }
                if settings.server.tls() {
                    builder = builder.tls(TlsMode::Secure);
                    if settings.ca.is_some() {
                        builder = builder.certs(certificates(settings));
                    }
                }
                Self::Cluster(Box::new(builder.build().map_err(wrong)?))
            }
        })
    }

    async fn make(&mut self, settings: &StoreSettings) -> Result<Link, Trouble> {
        let patience = connect_timeout(settings);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(settings.timeout))
            .set_pipeline_buffer_size(4_096);
        let making = async {
            Ok::<_, RedisError>(match self {
                Self::Single(client) => Link::Single(
                    client
                        .get_multiplexed_async_connection_with_config(&config)
                        .await?,
                ),
                Self::Sentinel(clients) => Link::Single(first(clients, &config).await?),
                Self::Cluster(client) => Link::Cluster(client.get_async_connection().await?),
            })
        };
        let made = timeout(patience * 4, making).await;
        let link = match made {
            Ok(Ok(link)) => link,
            Ok(Err(error)) => {
                return Err(match Trouble::of(&error) {
                    // A server without TLS waits for the rest of what it takes for a command.
                    Trouble::Slow if settings.server.tls() => {
                        Trouble::Tls("no answer to the handshake".to_owned())
                    }
                    trouble => trouble,
                });
            }
            Err(_) => return Err(Trouble::Slow),
        };
        old(&link).await?;
        link.load_functions()
            .await
            .map_err(|error| Trouble::of(&error))?;
        Ok(link)
    }
}

/// A client that asks this one of the sentinels for the master.
fn sentinel(
    settings: &StoreSettings,
    address: &Address,
) -> RedisResult<Arc<Mutex<SentinelClient>>> {
    let Server::Sentinel {
        master,
        database,
        login: to_sentinels,
        ..
    } = &settings.server
    else {
        return Err(RedisError::from((
            ErrorKind::InvalidClientConfig,
            "no sentinels",
        )));
    };
    let mut builder = SentinelClientBuilder::new(
        [connection_address(address)],
        master,
        SentinelServerType::Master,
    )?
    .set_client_to_redis_db(i64::from(*database))
    .set_client_to_redis_protocol(ProtocolVersion::RESP3)
    .set_client_to_sentinel_protocol(ProtocolVersion::RESP3);
    if settings.server.tls() {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
        if settings.ca.is_some() {
            builder = builder
                .set_client_to_redis_certificates(certificates(settings))
                .set_client_to_sentinel_certificates(certificates(settings));
        }
    }
    if let Some(login) = &settings.login {
        builder = builder.set_client_to_redis_password(&login.password);
        if let Some(user) = &login.user {
            builder = builder.set_client_to_redis_username(user);
        }
    }
    if let Some(login) = to_sentinels {
        builder = builder.set_client_to_sentinel_password(&login.password);
        if let Some(user) = &login.user {
            builder = builder.set_client_to_sentinel_username(user);
        }
    }
    Ok(Arc::new(Mutex::new(builder.build()?)))
}

/// Asks all sentinels at once for the master: one that hangs, with the machine of the old master
/// perhaps, keeps nobody from the new one, nor from asking the others again meanwhile. The first connection
/// that stands counts; the error is the last one's.
async fn first(
    clients: &[Arc<Mutex<SentinelClient>>],
    config: &AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    let mut asked = JoinSet::new();
    let silent = Arc::new(AtomicUsize::new(clients.len()));
    for client in clients {
        let (client, config, silent) = (Arc::clone(client), config.clone(), Arc::clone(&silent));
        asked.spawn(async move {
            let mut client = client.lock().await;
            let mut answered = false;
            loop {
                let error = match client.get_async_connection_with_config(&config).await {
                    Ok(link) => return Ok(link),
                    Err(error) => error,
                };
                if !std::mem::replace(&mut answered, true) {
                    silent.fetch_sub(1, Ordering::Relaxed);
                }
                if silent.load(Ordering::Relaxed) == 0 {
                    return Err(error);
                }
                sleep(ASK_AGAIN).await;
            }
        });
    }
    let mut answer = Err(RedisError::from((
        ErrorKind::InvalidClientConfig,
        "no sentinels",
    )));
    while let Some(joined) = asked.join_next().await {
        match joined {
            Ok(Ok(link)) => return Ok(link),
            Ok(Err(error)) => answer = Err(error),
            Err(_) => {}
        }
    }
    answer
}

fn certificates(settings: &StoreSettings) -> TlsCertificates {
    TlsCertificates {
        client_tls: None,
        root_cert: settings.ca.clone(),
    }
}

/// Refuses a server that is too old. A user who may not ask is told so by the functions.
async fn old(link: &Link) -> Result<(), Trouble> {
    let Link::Single(_) = link else { return Ok(()) };
    let mut info = redis::cmd("INFO");
    info.arg("server");
    let Ok(value) = link.send(&info).await else {
        return Ok(());
    };
    let text: String = redis::from_redis_value(value).unwrap_or_default();
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))
        .unwrap_or_default();
    let major: Option<u32> = version.split('.').next().and_then(|n| n.parse().ok());
    match major {
        Some(major) if major < OLDEST => Err(Trouble::TooOld(version.to_owned())),
        _ => Ok(()),
    }
}

fn connect_timeout(settings: &StoreSettings) -> Duration {
    (settings.timeout * 2).max(Duration::from_millis(500))
}

fn connection_address(address: &Address) -> ConnectionAddr {
    let (host, port) = (address.host.clone(), address.port);
    if address.tls {
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

fn info(address: &Address, login: Option<&Login>, database: u32) -> RedisResult<ConnectionInfo> {
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
    Ok(connection_address(address)
        .into_connection_info()?
        .set_redis_settings(settings))
}

/// Spreads the attempts of many gateways (xorshift64).
struct Jitter(u64);

impl Jitter {
    fn between(&mut self, low: f64, high: f64) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + (high - low) * (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}
