//! Mistakes in the TOML itself.

use std::collections::HashSet;

use toml::de::DeTable;

use crate::mistake::Mistakes;
use crate::report::{Problem, Report};
use crate::source::Source;

/// What the parser says where a list is not closed: about the next line, and then about every line after it.
const OPEN_LIST: &str = "missing comma between array elements";

/// The file as a table, or every mistake in its syntax.
pub(crate) fn parse<'t>(source: &Source<'t>) -> Result<DeTable<'t>, Mistakes> {
    let (table, mut errors) = DeTable::parse_recoverable(source.text());
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    let report = Report::default();
    let mut lines = HashSet::new();
    for error in errors {
        let place = source.place(error.span().map_or(0, |span| span.start));
        // What follows on the same line is the same mistake, seen again before the parser has found its feet.
        if !lines.insert(place.line) {
            continue;
        }
        let message = error.message().trim_end_matches(", expected nothing");
        let problem = Problem::new(format!("not valid TOML: {message}"));
        if message.starts_with(OPEN_LIST) {
            report.add(&place, problem.help("or a list above is not closed"));
            break;
        }
        report.add(&place, problem);
    }
    report
        .finish(source.file())
        .map_or(Ok(table.into_inner()), Err)
}
