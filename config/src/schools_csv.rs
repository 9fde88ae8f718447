//! Schools by the thousand: `host,pupils,backends`.
//!
//! The first row names the columns, in any order; `pupils` and `backends` may be left out or be empty. Several
//! backends of one school are separated by spaces or `;`.

use std::net::SocketAddr;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

use crate::address;
use crate::file::{self, Unreadable};
use crate::place::{Place, Placed};
use crate::report::{Problem, Report};
use crate::school::{Entry, parse_host};
use crate::settings;
use crate::source::Source;
use crate::suggest::did_you_mean;

const COLUMNS: [&str; 3] = ["host", "pupils", "backends"];

/// The schools in the file; `Err` only if it cannot be read at all. Rows with mistakes are reported and left out.
pub(crate) fn read(path: &Path, report: &Report) -> Result<Vec<Entry>, Problem> {
    let text = match file::read_text(path) {
        Ok(text) => text,
        Err(Unreadable {
            problem,
            place: None,
        }) => return Err(problem),
        Err(Unreadable {
            problem,
            place: Some(place),
        }) => {
            report.add(&place, problem);
            return Ok(Vec::new());
        }
    };
    Ok(Rows {
        source: &Source::new(path, &text),
        report,
    }
    .read())
}

#[derive(Clone, Copy)]
struct Rows<'r, 't> {
    source: &'r Source<'t>,
    report: &'r Report,
}

/// Which field holds which column.
struct Columns {
    host: usize,
    pupils: Option<usize>,
    backends: Option<usize>,
}

/// One row, and where it begins in the text.
#[derive(Clone, Copy)]
struct Row<'a> {
    record: &'a StringRecord,
    start: usize,
}

impl Rows<'_, '_> {
    fn read(self) -> Vec<Entry> {
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .from_reader(self.source.text().as_bytes());
        let mut record = StringRecord::new();
        let mut columns = None;
        let mut entries = Vec::new();
        // The text is UTF-8 and rows may have any length: what remains is the end.
        while let Ok(true) = reader.read_record(&mut record) {
            let row = Row {
                record: &record,
                start: self.start_of(&record),
            };
            match &columns {
                None => match self.header(row) {
                    Some(header) => columns = Some(header),
                    None => return entries,
                },
                Some(columns) => entries.extend(self.school(row, columns)),
            }
        }
        if columns.is_none() {
            let problem =
                Problem::new("the file is empty").help("its first row is `host,pupils,backends`");
            self.report.add(&self.source.place(0), problem);
        }
        entries
    }

    /// The reader counts the empty lines in front of a row as part of it.
    fn start_of(self, record: &StringRecord) -> usize {
        let start = record
            .position()
            .map_or(0, |position| usize::try_from(position.byte()).unwrap_or(0));
        let rest = self.source.text().get(start..).unwrap_or_default();
        start + rest.len() - rest.trim_start_matches(['\r', '\n']).len()
    }

    fn header(self, row: Row<'_>) -> Option<Columns> {
        let mut found = [None; COLUMNS.len()];
        let mut sound = true;
        for (index, name) in row.record.iter().enumerate() {
            let known = COLUMNS
                .iter()
                .position(|column| column.eq_ignore_ascii_case(name));
            let problem = match known {
                Some(column) if found[column].is_none() => {
                    found[column] = Some(index);
                    continue;
                }
                Some(_) => Problem::new(format!("the column `{name}` is there twice")),
                None if name.contains([';', '\t']) => {
                    Problem::new("the columns must be separated by commas")
                        .help("as in `host,pupils,backends`")
                }
                None => Problem::new(format!("unknown column `{name}`"))
                    .help(did_you_mean(name, &COLUMNS)),
            };
            sound = false;
            self.report.add(&self.place(row, index), problem);
        }
        let [host, pupils, backends] = found;
        if host.is_none() && sound {
            let problem = Problem::new("there is no column `host`")
                .help("the first row is `host,pupils,backends`");
            self.report.add(&self.place(row, 0), problem);
        }
        Some(Columns {
            host: host?,
            pupils,
            backends,
        })
        .filter(|_| sound)
    }

    fn school(self, row: Row<'_>, columns: &Columns) -> Option<Entry> {
        let field =
            |index: Option<usize>| index.and_then(|index| Some((index, row.record.get(index)?)));
        if let Some(open) = row.record.iter().position(|field| field.contains('\n')) {
            self.report.add(
                &self.place(row, open),
                Problem::new("a quote is opened here and not closed in this row"),
            );
            return None;
        }
        let last = [Some(columns.host), columns.pupils, columns.backends]
            .into_iter()
            .flatten()
            .max()
            .unwrap_or(0);
        if let Some(surplus) = row
            .record
            .iter()
            .enumerate()
            .position(|(index, field)| index > last && !field.is_empty())
        {
            let problem = Problem::new("there are more fields in this row than columns")
                .help("several backends are separated by spaces or `;`");
            self.report.add(&self.place(row, surplus), problem);
            return None;
        }
        let host_place = self.place(row, columns.host);
        let host = self.report.check(
            &host_place,
            parse_host(row.record.get(columns.host).unwrap_or_default()),
        );
        let pupils = match field(columns.pupils) {
            None | Some((_, "")) => Some(settings::PUPILS.default),
            Some((index, written)) => match pupils(written) {
                Ok(pupils) => Some(pupils),
                Err(problem) => {
                    self.report.add(&self.place(row, index), problem);
                    None
                }
            },
        };
        let backends = field(columns.backends)
            .map_or_else(Vec::new, |(index, list)| self.backends(row, index, list));
        Some(Entry {
            host: Placed::new(host?, host_place),
            pupils: pupils?,
            backends,
        })
    }

    fn backends(self, row: Row<'_>, index: usize, list: &str) -> Vec<Placed<SocketAddr>> {
        let words = list.split([' ', ';']).filter(|word| !word.is_empty());
        words
            .filter_map(|word| {
                let place = self.place(row, index);
                let backend = self.report.check(&place, address::backend(word))?;
                Some(Placed::new(backend, place))
            })
            .collect()
    }

    /// Where a field of a row begins.
    fn place(self, row: Row<'_>, index: usize) -> Place {
        let text = &self.source.text()[row.start..];
        let mut commas = 0;
        let mut quoted = false;
        let mut offset = 0;
        for (at, byte) in text.bytes().enumerate() {
            if commas == index {
                break;
            }
            match byte {
                b'"' => quoted = !quoted,
                b',' if !quoted => {
                    commas += 1;
                    offset = at + 1;
                }
                b'\n' if !quoted => break,
                _ => {}
            }
        }
        let padding = text[offset..].len() - text[offset..].trim_start_matches(' ').len();
        self.source.place(row.start + offset + padding)
    }
}

fn pupils(written: &str) -> Result<u32, Problem> {
    let range = settings::PUPILS.range;
    match written.parse::<u32>() {
        Ok(pupils) if range.contains(&pupils) => Ok(pupils),
        _ => Err(Problem::new(format!(
            "`pupils` must be a whole number between {} and {}, not {written:?}",
            range.start(),
            range.end()
        ))),
    }
}
