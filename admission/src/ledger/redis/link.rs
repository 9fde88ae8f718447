//! A connection that stands: to one server, or to a cluster.

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo};
use redis::{Cmd, RedisError, RedisResult, Value};

use super::error::{Trouble, lacks_functions};

const LIBRARY: &str = include_str!("functions.lua");
/// So many calls in a row without an answer, and the connection is given up.
const PATIENCE: u32 = 3;
/// A cluster's client mends single connections itself; only then is it replaced.
const CLUSTER_PATIENCE: u32 = 8;
/// The oldest version with Functions.
const OLDEST: u32 = 7;

/// What calls go through.
#[derive(Clone)]
pub(super) enum Link {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    /// One call.
    pub(super) async fn send(&self, cmd: &Cmd) -> RedisResult<Value> {
        let value = match self {
            Self::Single(link) => link.clone().req_packed_command(cmd).await?,
            Self::Cluster(link) => link.clone().req_packed_command(cmd).await?,
        };
        value.extract_error()
    }

    /// Brings the functions to every server that may be asked to run them.
    pub(super) async fn load_functions(&self) -> RedisResult<()> {
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

    /// Whether it is of no use any more after this error.
    pub(super) fn is_useless_after(&self, error: &RedisError) -> bool {
        let trouble = Trouble::of(error);
        match self {
            Self::Single(_) => {
                lacks_functions(error)
                    || matches!(
                        trouble,
                        Trouble::Unreachable(_)
                            | Trouble::ReadOnly
                            | Trouble::Password(_)
                            | Trouble::NotReady(_)
                    )
            }
            Self::Cluster(_) => lacks_functions(error),
        }
    }

    /// So many calls in a row may be left without an answer.
    pub(super) fn patience(&self) -> u32 {
        match self {
            Self::Single(_) => PATIENCE,
            Self::Cluster(_) => CLUSTER_PATIENCE,
        }
    }

    /// Refuses a server that is too old. A user who may not ask is told so by the functions.
    pub(super) async fn is_new_enough(&self) -> Result<(), Trouble> {
        let Self::Single(_) = self else { return Ok(()) };
        let mut info = redis::cmd("INFO");
        info.arg("server");
        let Ok(value) = self.send(&info).await else {
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
}
