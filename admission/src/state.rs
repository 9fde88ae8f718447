//! The state file of the embedded ledger: what a restarted gateway reads back.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::forecast::Bands;
use crate::pacer::Memory;
use crate::turn::{SchoolKey, Serving, Turn};
use crate::used::Used;

const VERSION: u32 = 1;

/// All rooms of one gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// By the name of the room's pool.
    pub rooms: BTreeMap<String, RoomState>,
}

/// One room's registers. Schools without a turn are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoomState {
    /// The watermark.
    pub serving: Serving,
    /// The turn given last, per school.
    pub last: BTreeMap<SchoolKey, Turn>,
    /// The tickets that have admitted somebody, per school.
    #[serde(default)]
    pub used: BTreeMap<SchoolKey, Used>,
    /// What the pacer has learnt.
    #[serde(default)]
    pub pacer: Memory,
    /// How far forecasts were from the truth.
    #[serde(default)]
    pub forecast: Bands,
}

/// Why the state file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system refused.
    #[error("{path}: {source}; make the directory writable for the gateway, or free disk space")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a state file.
    #[error(
        "{path}: {source}; the file is damaged: remove it, the rooms are learnt again from the tickets"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the reading stopped.
        source: serde_json::Error,
    },
    /// The file was written by another version.
    #[error("{path}: written in format {found}, this version reads format {VERSION}")]
    Version {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: u32,
    },
}

impl State {
    /// The state of these rooms.
    pub fn new(rooms: BTreeMap<String, RoomState>) -> Self {
        Self {
            version: VERSION,
            rooms,
        }
    }

    /// Reads a state file; `Ok(None)` if there is none.
    pub fn load(path: &Path) -> Result<Option<Self>, StateError> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(StateError::Io {
                    path: path.into(),
                    source,
                });
            }
        };
        let state: Self = serde_json::from_slice(&text).map_err(|source| StateError::Damaged {
            path: path.into(),
            source,
        })?;
        if state.version != VERSION {
            return Err(StateError::Version {
                path: path.into(),
                found: state.version,
            });
        }
        Ok(Some(state))
    }

    /// Writes the file so that a reader sees the old or the new one, never half of one.
    pub fn save(&self, path: &Path) -> Result<(), StateError> {
        let error = |source| StateError::Io {
            path: path.into(),
            source,
        };
        let text = serde_json::to_vec(self).map_err(|e| error(e.into()))?;
        let fresh = path.with_extension("new");
        let mut file = std::fs::File::create(&fresh).map_err(error)?;
        file.write_all(&text).map_err(error)?;
        file.sync_data().map_err(error)?;
        std::fs::rename(&fresh, path).map_err(error)
    }
}
