//! The ledger in Redis: the same registers, shared by gateways that come and go.
//!
//! A room's keys begin alike and share a hash tag, so that a cluster keeps them together. Each of
//! the five calls is one Redis Function, so each happens at once. Nothing here is retried, but for
//! what a cluster's client sends again after a redirect or a broken connection: what was not
//! answered in time is told again, with what has happened since, by the next call. Two joins for one
//! leave turns to nobody, two exchanges change nothing more than one but for what they measured.

mod codec;
mod connection;
mod error;
mod link;
mod maker;
mod sentinels;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use ::redis::Cmd;

pub use connection::Status;
pub use error::{LedgerError, Trouble};
pub use settings::{Address, Login, Server, StoreSettings};

use self::connection::Connection;
use super::{Exchange, Exchanged, Join, Joined, Leave, MemberId, Merge, Publish};

/// What a room's keys end in; the Functions know the room by the first.
const KEYS: [&str; 6] = [REGISTERS, ":m", ":t", ":l", ":v", ":e"];
const REGISTERS: &str = ":r";

/// The rooms of all gateways that use the same servers and prefix.
#[derive(Clone, Debug)]
pub struct RedisLedger {
    connection: Arc<Connection>,
    prefix: Arc<str>,
    /// How long a used ticket is remembered, in seconds.
    lifetime: u64,
}

/// One room's registers in Redis.
#[derive(Clone, Debug)]
pub struct RedisRoom {
    ledger: RedisLedger,
    key: Arc<str>,
}

impl RedisLedger {
    /// Prepares the connection, and makes it in the background of the running tokio runtime.
    /// `lifetime` is how long a ticket can be replayed, `seed` any number that differs between
    /// gateways: it spreads their attempts to connect.
    pub fn open(
        settings: StoreSettings,
        lifetime: Duration,
        seed: u64,
    ) -> Result<Self, LedgerError> {
        Ok(Self {
            prefix: settings.prefix.clone().into(),
            connection: Connection::open(settings, seed)?,
            lifetime: lifetime.as_secs() + 60,
        })
    }

    /// The registers of the room with this name.
    pub fn room(&self, key: crate::RoomKey) -> RedisRoom {
        RedisRoom {
            ledger: self.clone(),
            key: format!("{}:{{{:016x}}}{REGISTERS}", self.prefix, key.0).into(),
        }
    }

    /// How the connection is.
    pub fn status(&self) -> Status {
        self.connection.status()
    }

    /// Waits until the connection stands, or says what keeps it from standing. Gives up after
    /// `patience`.
    pub async fn connected(&self, patience: Duration) -> Result<(), LedgerError> {
        self.connection.connected(patience).await
    }
}

impl RedisRoom {
    /// See [`super::Registers::exchange`].
    pub async fn exchange(&self, call: &Exchange) -> Result<Exchanged, LedgerError> {
        let mut cmd = self.function("einlass_2_exchange", call.caller.member);
        codec::exchange(&mut cmd, call, self.ledger.lifetime);
        codec::exchanged(&self.ledger.connection.call(cmd).await?, call)
    }

    /// See [`super::Registers::join`].
    pub async fn join(&self, call: &Join) -> Result<Joined, LedgerError> {
        let mut cmd = self.function("einlass_2_join", call.caller.member);
        codec::join(&mut cmd, call);
        codec::joined(&self.ledger.connection.call(cmd).await?, call)
    }

    /// See [`super::Registers::publish`].
    pub async fn publish(&self, call: &Publish) -> Result<bool, LedgerError> {
        let mut cmd = self.function("einlass_2_publish", call.member);
        codec::publish(&mut cmd, call);
        codec::accepted(&self.ledger.connection.call(cmd).await?)
    }

    /// See [`super::Registers::merge`].
    pub async fn merge(&self, call: &Merge) -> Result<bool, LedgerError> {
        let mut cmd = self.function("einlass_2_merge", call.caller.member);
        codec::merge(&mut cmd, call, self.ledger.lifetime);
        codec::accepted(&self.ledger.connection.call(cmd).await?)
    }

    /// See [`super::Registers::leave`].
    pub async fn leave(&self, call: &Leave) -> Result<(), LedgerError> {
        let mut cmd = self.function("einlass_2_leave", call.member);
        codec::leave(&mut cmd, call, self.ledger.lifetime);
        self.ledger.connection.call(cmd).await.map(drop)
    }

    /// A call with all the keys it may touch, but those of the used tickets, which it finds by
    /// itself: their number is not bounded.
    fn function(&self, name: &str, member: MemberId) -> Cmd {
        let room = self.key.strip_suffix(REGISTERS).unwrap_or(&self.key);
        let mut cmd = ::redis::cmd("FCALL");
        cmd.arg(name).arg(KEYS.len() + 1);
        for key in KEYS {
            cmd.arg(format!("{room}{key}"));
        }
        cmd.arg(format!("{room}:c:{}", member.0));
        cmd
    }
}
