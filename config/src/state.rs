//! `[state]`: what outlives a restart.

use std::path::{Path, PathBuf};

use crate::file;
use crate::report::Problem;
use crate::section::Section;
use crate::settings;

/// Where the keys and the rooms' state files live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// A folder, made when missing. Relative paths start at the folder of the configuration.
    /// Default: `/var/lib/einlass`.
    pub directory: PathBuf,
}

/// Paths are relative to the folder of `config`.
pub(crate) fn read(mut section: Section<'_, '_>, config: &Path) -> State {
    let directory = section.take_text("directory", "a path", |named| {
        if named.is_empty() {
            Err(Problem::new("`directory` must not be empty"))
        } else {
            Ok(file::beside(config, named))
        }
    });
    section.finish();
    State {
        directory: directory.map_or_else(
            || PathBuf::from(settings::STATE_DIRECTORY),
            |named| named.value,
        ),
    }
}
