//! The key file: read at start, made on the first one.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use einlass_admission::Keyring;
use einlass_admission::keys::KeyError;

use crate::random;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file system refused.
    #[error("{path}: {source}; `state.directory` must be a folder the gateway may write to")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no key file yet.
    #[error(
        "{path}: there are no keys yet; start the gateway once, or copy the keys of another here"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no keys.
    #[error("{path}: {source}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
}

/// Reads the keys, or makes a first one that only this user may read.
pub(crate) fn load(directory: &Path) -> Result<Keyring, KeyFileError> {
    let path = directory.join("keys");
    let io = |source| KeyFileError::Io {
        path: path.clone(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(io)?;
    if !path.try_exists().map_err(io)? {
        write(&path, &Keyring::text(1, &random::bytes())).map_err(io)?;
    }
    let mode = std::fs::metadata(&path).map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777), "Others may read the key file, and who reads it can forge places: chmod 600");
    }
    read(directory)
}

/// Reads the keys of a gateway that has been started once. To make them is the gateway's, whose user
/// must be able to read them.
pub(crate) fn read(directory: &Path) -> Result<Keyring, KeyFileError> {
    let path = directory.join("keys");
    match std::fs::read_to_string(&path) {
        Ok(text) => Keyring::parse(&text).map_err(|source| KeyFileError::Content { path, source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(KeyFileError::Missing { path })
        }
        Err(source) => Err(KeyFileError::Io { path, source }),
    }
}

/// Writes the file whole or not at all: half a key, on a full disk, would stop every later start.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let _ = std::fs::remove_file(&fresh);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}
