//! `[region.NAME.overflow]`: which other regions help out, and how far.

use std::collections::BTreeMap;

use crate::place::{Place, Placed};
use crate::platform::Platform;
use crate::report::{Problem, Report};
use crate::section::Section;
use crate::settings;
use crate::suggest::closest;

/// Regions whose spare capacity logins of this region may use.
///
/// It holds for the region's own pool; a school's own server neither sends nor takes anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overflow {
    /// At least one other region of the same platform, the first one first.
    pub to: Vec<String>,
    /// Logins of this region in flight at each of them, over this gateway: 1 to 100,000. Default: 64.
    pub max: u32,
}

/// As it was written, until all regions are known.
#[derive(Debug)]
pub(crate) struct Written {
    to: Vec<Placed<String>>,
    max: u32,
}

/// What has to be known of a region that others may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) platform: Platform,
    /// Schools live on the region's own backends.
    pub(crate) shared: bool,
}

pub(crate) fn read(mut section: Section<'_, '_>) -> Option<Written> {
    let place: Place = section
        .place_of("to")
        .unwrap_or_else(|| section.place().clone());
    let written = section.has("to");
    let to = section.take_texts("to", "names of regions", |name| Ok(name.to_owned()));
    let max = section.take(&settings::OVERFLOW_MAX);
    let empty = to.as_ref().map_or(!written, Vec::is_empty);
    if empty {
        let problem = Problem::new("`to` names no region")
            .help(r#"write which regions help out, as in to = ["kassel"]"#);
        section.report().add(&place, problem);
    }
    section.finish();
    let to = to.filter(|to| !to.is_empty())?;
    Some(Written { to, max })
}

/// Whether the regions of that name can help out `region`. Two regions may help each other: neither
/// sends anybody where somebody waits.
pub(crate) fn settle(
    region: &str,
    written: Written,
    known: &BTreeMap<String, Known>,
    report: &Report,
) -> Option<Overflow> {
    let mut to: Vec<String> = Vec::new();
    for Placed { value, place } in written.to {
        let problem = match known.get(&value) {
            _ if value == region => Some(Problem::new(format!(
                "the region `{region}` cannot help itself out"
            ))),
            None => {
                let others = known
                    .keys()
                    .map(String::as_str)
                    .filter(|name| *name != region);
                let problem = Problem::new(format!("there is no region `{value}`"));
                Some(match closest(&value, others) {
                    Some(name) => problem.help(format!("did you mean `{name}`?")),
                    None => problem,
                })
            }
            Some(_) if to.contains(&value) => {
                Some(Problem::new(format!("`{value}` stands here already")))
            }
            Some(other) if !other.shared => Some(
                Problem::new(format!(
                    "the region `{value}` has no schools on its own backends"
                ))
                .help("a school's own server takes nobody else"),
            ),
            Some(other) => known
                .get(region)
                .filter(|own| own.platform != other.platform)
                .map(|own| {
                    Problem::new(format!(
                        "`{value}` runs {}, and `{region}` runs {}",
                        other.platform, own.platform
                    ))
                    .help("a login can only be performed by the same platform")
                }),
        };
        match problem {
            Some(problem) => report.add(&place, problem),
            None => to.push(value),
        }
    }
    (!to.is_empty()).then_some(Overflow {
        to,
        max: written.max,
    })
}
