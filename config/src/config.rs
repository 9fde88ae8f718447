//! The whole file.

use std::collections::BTreeMap;
use std::path::Path;

use crate::claims::Claims;
use crate::desk::{self, Desk};
use crate::edge::{self, Edge};
use crate::file;
use crate::mistake::Mistakes;
use crate::overflow::{self, Known};
use crate::region::{self, Region};
use crate::report::{Problem, Report};
use crate::section::{Reading, Section};
use crate::source::Source;
use crate::state::{self, State};
use crate::store::{self, Store};
use crate::syntax;

/// A configuration without mistakes.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[edge]`: where pupils come in.
    pub edge: Edge,
    /// `[desk]`: where operators look.
    pub desk: Desk,
    /// `[state]`: what outlives a restart.
    pub state: State,
    /// `[store]`: where several gateways keep their rooms together. Default: none, there is one.
    pub store: Option<Store>,
    /// `[region.NAME]`, at least one, in the order of the file.
    pub regions: Vec<Region>,
}

/// Reads a configuration and the files it names.
///
/// # Errors
/// Every mistake found, not only the first, sorted by place. When the TOML syntax itself is broken only that is
/// reported, since the rest cannot be trusted.
pub fn load(path: &Path) -> Result<Config, Mistakes> {
    load_str(path, &file::main_text(path)?)
}

/// Like [`load`] for a text at hand. `name` stands for its file: mistakes are reported there, and paths are relative
/// to its folder.
pub fn load_str(name: impl AsRef<Path>, text: &str) -> Result<Config, Mistakes> {
    let file = name.as_ref();
    let source = Source::new(file, text);
    let table = syntax::parse(&source)?;
    let report = Report::default();
    let config = read(
        Section::root(
            Reading {
                source: &source,
                report: &report,
            },
            table,
        ),
        file,
    );
    report.finish(file).map_or(Ok(config), Err)
}

/// The listening addresses come first, so that backends can be compared with them.
fn read(mut root: Section<'_, '_>, file: &Path) -> Config {
    let mut claims = Claims::new(root.report());
    let edge = edge::read(root.take_section("edge"), file, &mut claims);
    let desk = desk::read(root.take_section("desk"), &mut claims);
    let state = state::read(root.take_section("state"), file);
    let store = root
        .take_optional_section("store")
        .and_then(|section| store::read(section, file));
    let mistakes = root.report().count();
    let sections = root.take_named_sections("region");
    if sections.is_empty() && root.report().count() == mistakes {
        let problem = Problem::new("there is no region")
            .help("begin one with [region.NAME], its backends and its schools");
        root.mistake(problem);
    }
    let read: Vec<_> = sections
        .into_iter()
        .map(|(name, section)| region::read(name, section, file, &mut claims))
        .collect();
    let known: BTreeMap<String, Known> = read
        .iter()
        .map(|(region, _)| {
            let (platform, shared) = (region.platform, !region.schools.is_empty());
            (region.name.clone(), Known { platform, shared })
        })
        .collect();
    let settle = |(region, written): (Region, Option<overflow::Written>)| Region {
        overflow: written
            .and_then(|written| overflow::settle(&region.name, written, &known, root.report())),
        ..region
    };
    let regions = read.into_iter().map(settle).collect();
    root.finish();
    Config {
        edge,
        desk,
        state,
        store,
        regions,
    }
}
