//! What makes a new connection: to one server, to the master that sentinels name, to a cluster.

use std::time::Duration;

use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, RedisResult, TlsMode};
use tokio::time::timeout;

use super::error::{LedgerError, Trouble};
use super::link::Link;
use super::sentinels::Sentinels;
use super::settings::{Address, Server, StoreSettings};

/// Makes connections, one after the other, of these settings.
pub(super) struct Maker {
    client: Clients,
    config: AsyncConnectionConfig,
    tls: bool,
    patience: Duration,
}

enum Clients {
    Single(Box<Client>),
    Sentinel(Sentinels),
    Cluster(Box<ClusterClient>),
}

impl Maker {
    /// Fails if the settings cannot be right, with whatever server.
    pub(super) fn new(settings: &StoreSettings) -> Result<Self, LedgerError> {
        let client = match &settings.server {
            Server::Single { address, database } => single(settings, address, *database),
            Server::Sentinel {
                sentinels,
                master,
                database,
                login,
            } => Sentinels::new(settings, sentinels, (master, *database), login.as_ref())
                .map(Clients::Sentinel),
            Server::Cluster { nodes } => cluster(settings, nodes),
        };
        let patience = settings.connect_timeout();
        Ok(Self {
            client: client.map_err(|error| LedgerError::Setting(error.to_string()))?,
            config: AsyncConnectionConfig::new()
                .set_connection_timeout(Some(patience))
                .set_response_timeout(Some(settings.timeout))
                .set_pipeline_buffer_size(4_096),
            tls: settings.server.tls(),
            patience,
        })
    }

    /// A connection whose server is new enough and knows the functions.
    pub(super) async fn make(&mut self) -> Result<Link, Trouble> {
        let link = match timeout(self.patience * 4, self.connect()).await {
            Ok(Ok(link)) => link,
            Ok(Err(error)) => {
                return Err(match Trouble::of(&error) {
                    // A server without TLS waits for the rest of what it takes for a command.
                    Trouble::Slow if self.tls => {
                        Trouble::Tls("no answer to the handshake".to_owned())
                    }
                    trouble => trouble,
                });
            }
            Err(_) => return Err(Trouble::Slow),
        };
        link.is_new_enough().await?;
        link.load_functions()
            .await
            .map_err(|error| Trouble::of(&error))?;
        Ok(link)
    }

    async fn connect(&self) -> RedisResult<Link> {
        Ok(match &self.client {
            Clients::Single(client) => {
                let config = &self.config;
                let link = client.get_multiplexed_async_connection_with_config(config);
                Link::Single(link.await?)
            }
            Clients::Sentinel(sentinels) => Link::Single(sentinels.master(&self.config).await?),
            Clients::Cluster(client) => Link::Cluster(client.get_async_connection().await?),
        })
    }
}

fn single(settings: &StoreSettings, address: &Address, database: u32) -> RedisResult<Clients> {
    let info = address.info(settings.login.as_ref(), database)?;
    let client = if address.tls {
        Client::build_with_tls(info, settings.certificates())
    } else {
        Client::open(info)
    };
    Ok(Clients::Single(Box::new(client?)))
}

fn cluster(settings: &StoreSettings, nodes: &[Address]) -> RedisResult<Clients> {
    let login = settings.login.as_ref();
    let infos = nodes.iter().map(|address| address.info(login, 0));
    let infos = infos.collect::<RedisResult<Vec<ConnectionInfo>>>()?;
    let mut builder = ClusterClientBuilder::new(infos)
        .use_protocol(ProtocolVersion::RESP3)
        .retries(2)
        .min_retry_wait(20)
        .max_retry_wait(100)
        .connection_timeout(settings.connect_timeout())
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
            builder = builder.certs(settings.certificates());
        }
    }
    Ok(Clients::Cluster(Box::new(builder.build()?)))
}
