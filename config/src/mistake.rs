//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

use crate::place::Place;
use crate::report::Problem;

/// One mistake in one place.
///
/// Displayed as `file:line:column: message (help)`, the form editors and terminals make clickable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file it stands in, named as the operator named it.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters (not bytes), counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it, where we know.
    pub help: Option<String>,
}

impl Mistake {
    pub(crate) fn new(place: &Place, problem: Problem) -> Self {
        let Problem { message, help } = problem;
        Self {
            file: place.file.to_path_buf(),
            line: place.line,
            column: place.column,
            message,
            help,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
            help,
        } = self;
        write!(out, "{}:{line}:{column}: {message}", file.display())?;
        match help {
            Some(help) => write!(out, " ({help})"),
            None => Ok(()),
        }
    }
}

/// All the mistakes of a configuration, at least one, sorted by place: the main file first, then the files it names.
///
/// Displayed one per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(crate) fn one(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }

    /// `None` when nothing is wrong.
    pub(crate) fn new(mistakes: Vec<Mistake>) -> Option<Self> {
        (!mistakes.is_empty()).then_some(Self(mistakes))
    }

    /// The mistakes in the order of their places.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.0.iter()
    }

    /// How many there are: never 0.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            write!(out, "{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

impl IntoIterator for Mistakes {
    type Item = Mistake;
    type IntoIter = std::vec::IntoIter<Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Mistakes {
    type Item = &'a Mistake;
    type IntoIter = std::slice::Iter<'a, Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
