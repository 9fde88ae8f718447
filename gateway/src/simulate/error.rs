//! Why there is no rehearsal.

use std::io;
use std::path::PathBuf;

use einlass_config::Mistakes;

/// Why there is no rehearsal, or no report of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something in the configuration or the scenario is wrong; each mistake has its place.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
    /// Every region's `mode` is `closed`.
    #[error(
        "every region is closed, nobody would get in: open one, or set `mode` in the scenario's [admission]"
    )]
    AllClosed,
    /// All waves are of regions and schools that are closed.
    #[error(
        "nobody comes: every wave is of a region or a school that is closed; open it, or set `mode` in the scenario's [admission]"
    )]
    NobodyComes,
    /// A report could not be written.
    #[error("cannot write `{}`: {source}; choose a folder that exists and may be written to", file.display())]
    Write {
        /// Where to.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The table could not be printed.
    #[error("cannot print the table: {0}; --json and --html write files instead")]
    Print(io::Error),
    /// JSON could not be made.
    #[error("cannot make the JSON report: {0}; leave out --json and report this as a bug")]
    Json(#[from] serde_json::Error),
    /// A plot could not be drawn.
    #[error("cannot draw a plot: {0}; leave out --html and report this as a bug")]
    Plot(String),
    /// The page could not be made.
    #[error("cannot make the HTML report: {0}; leave out --html and report this as a bug")]
    Page(#[from] askama::Error),
}
