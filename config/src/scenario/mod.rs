//! What a rehearsal assumes: a TOML file for `einlass simulate`.
//!
//! A configuration says which schools there are and how they are let in. It cannot say what the backends can do,
//! or who comes when: that is what a scenario assumes. A scenario may also bring regions and schools of its own.
//!
//! ```
//! let scenario = einlass_config::scenario::load_str(
//!     "monday.toml",
//!     r#"
//!     [region.hannover]
//!     schools = { count = 200, pupils = [200, 1400] }
//!     cores = [{ at = "0s", is = 16 }, { at = "2m", is = 8 }]
//!
//!     [[wave]]
//!     over = "5m"
//!     no_shows = 0.1
//!     "#,
//!     None,
//! )?;
//! assert_eq!(scenario.name, "monday");
//! assert_eq!(scenario.regions[0].schools.len(), 200);
//! # Ok::<(), einlass_config::Mistakes>(())
//! ```

mod admission;
mod backends;
mod gateways;
mod known;
mod region;
mod schools;
mod span;
mod steps;
mod total;
mod wave;

use std::path::Path;
use std::time::Duration;

use crate::config::Config;
use crate::file;
use crate::mistake::Mistakes;
use crate::report::Report;
use crate::section::{Reading, Section};
use crate::settings;
use crate::source::Source;
use crate::syntax;

pub use admission::{Admission, Gate, Mode};
pub use backends::{Backends, Cores};
pub use gateways::Gateways;
pub use region::Region;
pub use schools::School;
pub use span::Span;
pub use steps::Step;
pub use wave::{Shape, Size, Wave};

/// What is assumed of a morning.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// For tables and reports. Default: the name of the file without its ending.
    pub name: String,
    /// The same seed gives the same morning. Default: 1.
    pub seed: u32,
    /// The morning ends when everybody is in or has given up, but at the latest then: 10 s to 24 h. Default: 2 h.
    pub longest: Duration,
    /// `[gateways]`: how many there are, and what happens to them.
    pub gateways: Gateways,
    /// `[backends]`: what is assumed of those of every pool.
    pub backends: Backends,
    /// `[own_servers]`: what is assumed of the schools' own servers, before [`Self::backends`].
    pub own_servers: Backends,
    /// `[admission]`: what differs from the configuration, in every pool.
    pub admission: Admission,
    /// `[region.NAME]`, in the order of the file: regions of the configuration, and others.
    pub regions: Vec<Region>,
    /// `[pool."NAME"]`: what is assumed of a single pool, before everything else.
    pub pools: Vec<(String, Backends)>,
    /// `[[wave]]`: who comes. Default: everybody, once, within five minutes.
    pub waves: Vec<Wave>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "everybody at eight".to_owned(),
            seed: settings::SEED.default,
            longest: settings::LONGEST.default,
            gateways: Gateways::default(),
            backends: Backends::default(),
            own_servers: Backends::default(),
            admission: Admission::default(),
            regions: Vec::new(),
            pools: Vec::new(),
            waves: vec![Wave::default()],
        }
    }
}

/// Reads a scenario, for a configuration if there is one.
///
/// # Errors
/// Every mistake found, sorted by place. Names that neither the configuration nor the scenario knows are mistakes.
pub fn load(path: &Path, config: Option<&Config>) -> Result<Scenario, Mistakes> {
    load_str(path, &file::main_text(path)?, config)
}

/// Like [`load`] for a text at hand. `name` stands for its file.
pub fn load_str(
    name: impl AsRef<Path>,
    text: &str,
    config: Option<&Config>,
) -> Result<Scenario, Mistakes> {
    let file = name.as_ref();
    let source = Source::new(file, text);
    let table = syntax::parse(&source)?;
    let report = Report::default();
    let reading = Reading {
        source: &source,
        report: &report,
    };
    let scenario = read(Section::root(reading, table), file, config);
    report.finish(file).map_or(Ok(scenario), Err)
}

/// The regions come first, so that what names them can be looked up.
fn read(mut root: Section<'_, '_>, file: &Path, config: Option<&Config>) -> Scenario {
    let stem = || {
        file.file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
    };
    let name = root.take_text("name", "a text", |text| Ok(text.to_owned()));
    let seed = root.take(&settings::SEED);
    let longest = root.take(&settings::LONGEST);
    let gateways = gateways::read(root.take_section("gateways"));
    let backends = backends::read(root.take_section("backends"));
    let own_servers = backends::read_own(root.take_section("own_servers"));
    let admission = admission::read(root.take_section("admission"));
    let regions = region::read_all(&mut root, config);
    let known = known::Known::new(config, &regions);
    let pools = root
        .take_named_sections("pool")
        .into_iter()
        .map(|(name, section)| known.read_pool(name, section))
        .collect();
    let waves = wave::read_all(&mut root, &known, longest);
    root.finish();
    Scenario {
        name: name.map_or_else(stem, |name| name.value),
        seed,
        longest,
        gateways,
        backends,
        own_servers,
        admission,
        regions,
        pools,
        waves,
    }
}
