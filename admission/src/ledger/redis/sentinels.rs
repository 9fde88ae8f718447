//! Sentinels, asked for the master all at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, RedisError, RedisResult, TlsMode};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::settings::{Address, Login, StoreSettings};

/// A sentinel that led nowhere is asked again after this, while another one has not answered yet.
const ASK_AGAIN: Duration = Duration::from_millis(150);

/// The sentinels of one master, with a client for each.
pub(super) struct Sentinels(Vec<Arc<Mutex<SentinelClient>>>);

impl Sentinels {
    /// Of the master with this name, and its database with this number; `login` is for the sentinels
    /// themselves.
    pub(super) fn new(
        settings: &StoreSettings,
        addresses: &[Address],
        master: (&str, u32),
        login: Option<&Login>,
    ) -> RedisResult<Self> {
        let client = |address| {
            let client = client(settings, address, master, login)?;
            Ok(Arc::new(Mutex::new(client)))
        };
        addresses
            .iter()
            .map(client)
            .collect::<RedisResult<_>>()
            .map(Self)
    }

    /// Asks all sentinels at once for the master: one that hangs, with the machine of the old master
    /// perhaps, keeps nobody from the new one, nor from asking the others again meanwhile. The first
    /// connection that stands counts; the error is the last one's.
    pub(super) async fn master(
        &self,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let mut asked = JoinSet::new();
        let silent = Arc::new(AtomicUsize::new(self.0.len()));
        for client in &self.0 {
            let (client, silent) = (Arc::clone(client), Arc::clone(&silent));
            asked.spawn(ask(client, config.clone(), silent));
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
}

/// Asks one of them for as long as another one is `silent`: has not answered at all yet.
async fn ask(
    client: Arc<Mutex<SentinelClient>>,
    config: AsyncConnectionConfig,
    silent: Arc<AtomicUsize>,
) -> RedisResult<MultiplexedConnection> {
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
}

/// A client that asks this one of the sentinels for the master.
fn client(
    settings: &StoreSettings,
    address: &Address,
    (master, database): (&str, u32),
    login: Option<&Login>,
) -> RedisResult<SentinelClient> {
    let mut builder =
        SentinelClientBuilder::new([address.to_client()], master, SentinelServerType::Master)?
            .set_client_to_redis_db(i64::from(database))
            .set_client_to_redis_protocol(ProtocolVersion::RESP3)
            .set_client_to_sentinel_protocol(ProtocolVersion::RESP3);
    if settings.server.tls() {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
        if settings.ca.is_some() {
            builder = builder
                .set_client_to_redis_certificates(settings.certificates())
                .set_client_to_sentinel_certificates(settings.certificates());
        }
    }
    if let Some(login) = &settings.login {
        builder = builder.set_client_to_redis_password(&login.password);
        if let Some(user) = &login.user {
            builder = builder.set_client_to_redis_username(user);
        }
    }
    if let Some(login) = login {
        builder = builder.set_client_to_sentinel_password(&login.password);
        if let Some(user) = &login.user {
            builder = builder.set_client_to_sentinel_username(user);
        }
    }
    builder.build()
}
