//! Collects mistakes while reading goes on.

use std::cell::RefCell;
use std::path::Path;

use crate::mistake::{Mistake, Mistakes};
use crate::place::Place;

/// What is wrong with a value, before anyone has said where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}

/// The mistakes found so far. Shared by everything that reads, hence the cell.
#[derive(Debug, Default)]
pub(crate) struct Report(RefCell<Vec<Mistake>>);

impl Report {
    pub(crate) fn add(&self, place: &Place, problem: Problem) {
        self.0.borrow_mut().push(Mistake::new(place, problem));
    }

    /// The value, or its problem recorded at `place`.
    pub(crate) fn check<T>(&self, place: &Place, read: Result<T, Problem>) -> Option<T> {
        read.map_err(|problem| self.add(place, problem)).ok()
    }

    /// How many there are so far.
    pub(crate) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// Everything found, those in the `main` file first; `None` when nothing is wrong.
    pub(crate) fn finish(self, main: &Path) -> Option<Mistakes> {
        let mut mistakes = self.0.into_inner();
        mistakes.sort_by(|a, b| {
            (a.file != main, &a.file, a.line, a.column).cmp(&(
                b.file != main,
                &b.file,
                b.line,
                b.column,
            ))
        });
        Mistakes::new(mistakes)
    }
}
