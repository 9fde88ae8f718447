//! One gateway, or several that share their rooms through a Redis of the demo's own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::DemoError;
use super::gateway::Gateway;
use super::grounds::Grounds;

/// From its start to its first answer.
const REDIS_WITHIN: Duration = Duration::from_secs(20);
/// How often the gateways are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// As many as one machine can show.
const MOST: usize = 8;

/// Running gateways, and the Redis between them if there are several.
pub(super) struct Fleet {
    gateways: Vec<Gateway>,
    /// Where pupils come in: any of these will do.
    pub(super) edges: Vec<SocketAddr>,
    /// Where operators look.
    pub(super) desks: Vec<SocketAddr>,
    redis: Option<Redis>,
}

/// Killed when dropped.
struct Redis {
    _child: Child,
    _folder: TempDir,
}

impl Fleet {
    /// As many gateways as the variable `GATEWAYS` says; one without it.
    pub(super) async fn start(grounds: &Grounds) -> Result<Self, DemoError> {
        let asked = std::env::var("GATEWAYS").ok();
        let count = match asked.as_deref().map(str::parse::<usize>) {
            None => 1,
            Some(Ok(count)) if (1..=MOST).contains(&count) => count,
            Some(_) => return Err(DemoError::Gateways(MOST)),
        };
        let mut fleet = Self {
            gateways: Vec::new(),
            edges: vec![grounds.edge],
            desks: vec![grounds.desk],
            redis: None,
        };
        if count == 1 {
            let gateway = Gateway::start(&grounds.text, grounds.desk, None).await?;
            fleet.gateways.push(gateway);
            return Ok(fleet);
        }
        let (redis, port) = Redis::start().await?;
        fleet.redis = Some(redis);
        while fleet.edges.len() < count {
            fleet.edges.push(free()?);
            fleet.desks.push(free()?);
        }
        for (edge, desk) in fleet.edges.iter().zip(&fleet.desks) {
            let text = grounds
                .text
                .replace(&format!("\"{}\"", grounds.edge), &format!("\"{edge}\""))
                .replace(&format!("\"{}\"", grounds.desk), &format!("\"{desk}\""));
            let store = format!("\n[store]\nredis = \"redis://127.0.0.1:{port}\"\n");
            let first = fleet.gateways.first();
            let gateway = Gateway::start(&(text + &store), *desk, first).await?;
            fleet.gateways.push(gateway);
        }
        Ok(fleet)
    }

    /// Returns only if one of the gateways ends by itself, which it should not.
    pub(super) async fn ended(&mut self) -> DemoError {
        loop {
            for gateway in &mut self.gateways {
                if let Some(ended) = gateway.has_ended() {
                    return ended;
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Ends all of them.
    pub(super) async fn stop(self) -> std::io::Result<()> {
        for gateway in self.gateways {
            gateway.stop().await?;
        }
        Ok(())
    }
}

impl Redis {
    async fn start() -> Result<(Self, u16), DemoError> {
        let folder = tempfile::Builder::new()
            .prefix("einlass-redis-")
            .tempdir()?;
        let address = free()?;
        let child = Command::new("redis-server")
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Ctrl-C is for the demo, which then ends it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|_| DemoError::NoRedis)?;
        let up = async {
            while TcpStream::connect(address).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(REDIS_WITHIN, up)
            .await
            .map_err(|_| DemoError::NoRedis)?;
        let redis = Self {
            _child: child,
            _folder: folder,
        };
        Ok((redis, address.port()))
    }
}

fn free() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
