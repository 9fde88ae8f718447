//! `einlass simulate`: what would happen at eight with this configuration.
//!
//! [`morning`] puts together what the configuration says and what a scenario assumes, the simulator
//! plays it with the gateway's own room and pacer, `change` plays it again with one thing changed,
//! and `table`, `json` and `page` tell of it.

mod against;
mod change;
mod cores;
mod crowd;
mod draft;
mod error;
mod json;
mod morning;
mod page;
mod plots;
mod rehearsal;
mod summary;
mod table;
mod words;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use einlass_config::scenario;

pub use error::Error;
pub use morning::{Morning, morning};

use rehearsal::Rehearsal;

/// What the command is asked to do. One of the first two must be there.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Arguments {
    /// The configuration file. May be left out if the scenario brings its own schools.
    #[arg(long, value_name = "FILE", required_unless_present = "scenario")]
    pub config: Option<PathBuf>,
    /// What is assumed of the backends and the crowd. Without it everybody comes within five minutes.
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Writes everything as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes one HTML page with plots.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Plays the morning once, without what would change it.
    #[arg(long)]
    pub once: bool,
    /// Plays the morning with other ways to let logins in as well: a fixed rate, a rate per address, a line of
    /// numbers and others, each set as somebody would who knows what the backends can do at the start.
    #[arg(long)]
    pub against: bool,
}

/// Plays the morning and tells of it.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let config = arguments.config.as_deref().map(einlass_config::load);
    let config = config.transpose()?;
    let scenario = match &arguments.scenario {
        Some(file) => scenario::load(file, config.as_ref())?,
        None => scenario::load_str("everybody at eight", "", config.as_ref())?,
    };
    let morning = morning(config.as_ref(), &scenario)?;
    let rehearsal = Rehearsal::play(morning, !arguments.once, arguments.against);
    print(&table::show(&rehearsal))?;
    if let Some(file) = &arguments.json {
        write(file, &json::show(&rehearsal)?)?;
    }
    if let Some(file) = &arguments.html {
        write(file, &page::show(&rehearsal)?)?;
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    fs::write(file, text).map_err(|source| Error::Write {
        file: file.to_path_buf(),
        source,
    })
}

/// To standard output; whoever reads only the first lines, as `head` does, is no error.
fn print(text: &str) -> Result<(), Error> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Print(error)),
        _ => Ok(()),
    }
}
