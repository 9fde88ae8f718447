//! Reading the files an operator has named.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::mistake::{Mistake, Mistakes};
use crate::place::Place;
use crate::report::Problem;
use crate::source::Source;

/// Where a path in the configuration leads: relative ones start at the folder of the file that names them.
pub(crate) fn beside(config: &Path, named: &str) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).join(named)
}

/// Why a file cannot be read; with a place if it is inside the file.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) problem: Problem,
    pub(crate) place: Option<Place>,
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

/// The file's text, without the byte order mark that spreadsheets like to put first.
pub(crate) fn read_text(path: &Path) -> Result<String, Unreadable> {
    let mut bytes = read(path).map_err(|problem| Unreadable {
        problem,
        place: None,
    })?;
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        Unreadable {
            problem: Problem::new("this is not UTF-8").help("save the file as UTF-8"),
            place: Some(Source::new(path, &before).place(valid)),
        }
    })
}

/// The text of a main file, or why there is none.
pub(crate) fn main_text(path: &Path) -> Result<String, Mistakes> {
    read_text(path).map_err(|Unreadable { problem, place }| {
        let place = place.unwrap_or_else(|| Source::new(path, "").place(0));
        Mistakes::one(Mistake::new(&place, problem))
    })
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let reason = match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    };
    Problem::new(format!("cannot read `{}`: {reason}", path.display()))
}
