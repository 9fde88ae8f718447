//! Schools by the thousand: `host,pupils,backends`.
//!
//! The first row names the columns, in any order; `pupils` and `backends` may be left out or be empty. Several
//! backends of one school are separated by spaces or `;`.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord};

use crate::backend::{self, Backend};
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
        for (index, name) in row.fields().enumerate() {
            let problem = match COLUMNS
                .iter()
                .position(|column| column.eq_ignore_ascii_case(name))
            {
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
            self.mistake(row, index, problem);
        }
        let [host, pupils, backends] = found;
        if host.is_none() && sound {
            let problem = Problem::new("there is no column `host`")
                .help("the first row is `host,pupils,backends`");
            self.mistake(row, 0, problem);
        }
        Some(Columns {
            host: host?,
            pupils,
            backends,
        })
        .filter(|_| sound)
    }

    fn school(self, row: Row<'_>, columns: &Columns) -> Option<Entry> {
        // Spreadsheets write the empty rows below a table as commas.
        if row.fields().all(str::is_empty) {
            return None;
        }
        if let Some(open) = row.record.iter().position(|field| field.contains('\n')) {
            self.mistake(
                row,
                open,
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
            .fields()
            .skip(last + 1)
            .position(|field| !field.is_empty())
        {
            let problem = Problem::new("there are more fields in this row than columns")
                .help("several backends are separated by spaces or `;`");
            self.mistake(row, last + 1 + surplus, problem);
            return None;
        }
        let place = self.place(row, columns.host);
        let host = self
            .report
            .check(&place, parse_host(row.field(columns.host)));
        let pupils = match columns.pupils.map(|index| (index, row.field(index))) {
            None | Some((_, "")) => Some(settings::PUPILS.default),
            Some((index, written)) => {
                let read = pupils(written);
                read.map_err(|problem| self.mistake(row, index, problem))
                    .ok()
            }
        };
        let own = columns.backends.and_then(|index| self.backends(row, index));
        Some(Entry {
            host: Placed::new(host?, place),
            pupils: pupils?,
            own,
        })
    }

    /// `None` if the field is empty.
    fn backends(self, row: Row<'_>, index: usize) -> Option<Vec<Placed<Backend>>> {
        let words = || {
            row.field(index)
                .split([' ', ';'])
                .filter(|word| !word.is_empty())
        };
        words().next()?;
        let mut offset = self.offset(row, index);
        let mut backends = Vec::new();
        for word in words() {
            let rest = self.source.text().get(offset..).unwrap_or_default();
            offset += rest.find(word).unwrap_or(0);
            let place = self.source.place(offset);
            offset += word.len();
            let backend = self.report.check(&place, backend::parse(word));
            backends.extend(backend.map(|backend| Placed::new(backend, place)));
        }
        Some(backends)
    }

    fn mistake(self, row: Row<'_>, index: usize, problem: Problem) {
        self.report.add(&self.place(row, index), problem);
    }

    fn place(self, row: Row<'_>, index: usize) -> Place {
        self.source.place(self.offset(row, index))
    }

    /// Where a field of a row begins, its padding left out; the end of the row if it has no such field.
    fn offset(self, row: Row<'_>, index: usize) -> usize {
        let text = &self.source.text()[row.start..];
        let field = field_start(text, index);
        let padding = text[field..].len() - text[field..].trim_start_matches([' ', '\t']).len();
        row.start + field + padding
    }
}

/// Where the field begins in a text that begins with its row, by the reader's rules: a quote at the beginning of a
/// field encloses it, a doubled one inside is a quote, any other is an ordinary character.
fn field_start(text: &str, index: usize) -> usize {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        Start,
        Plain,
        Quoted,
        QuoteInQuoted,
    }
    let mut state = State::Start;
    let mut fields = 0;
    for (at, byte) in text.bytes().enumerate() {
        if fields == index {
            return at;
        }
        state = match (state, byte) {
            (State::Quoted, b'"') => State::QuoteInQuoted,
            (State::Quoted, _) | (State::Start | State::QuoteInQuoted, b'"') => State::Quoted,
            (_, b',') => {
                fields += 1;
                State::Start
            }
            (_, b'\n' | b'\r') => return at,
            _ => State::Plain,
        };
    }
    text.len()
}

impl<'a> Row<'a> {
    /// A field without its padding, empty if the row ends before it.
    fn field(self, index: usize) -> &'a str {
        self.record.get(index).unwrap_or_default().trim()
    }

    fn fields(self) -> impl Iterator<Item = &'a str> {
        self.record.iter().map(str::trim)
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
