//! One table of the configuration, taken apart key by key.
//!
//! Taking a key that is wrong records the mistake and answers as if the key had not been written, so that reading
//! goes on and finds the next one. Whatever has not been taken by [`Section::finish`] is unknown.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::place::{Place, Placed};
use crate::report::{Problem, Report};
use crate::scalar::{Scalar, Unread, describe, wrong_kind};
use crate::settings::Setting;
use crate::source::Source;
use crate::suggest::did_you_mean;

/// The text being read and where its mistakes go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'r, 't> {
    pub(crate) source: &'r Source<'t>,
    pub(crate) report: &'r Report,
}

/// A TOML table from which keys are taken.
#[derive(Debug)]
#[must_use = "without `finish`, unknown keys go unnoticed"]
pub(crate) struct Section<'r, 't> {
    reading: Reading<'r, 't>,
    /// As in its header: `region.hannover.gate`; empty for the whole file.
    name: String,
    place: Place,
    table: DeTable<'t>,
    /// The keys asked for so far, for "did you mean".
    known: Vec<&'static str>,
}

impl<'r, 't> Section<'r, 't> {
    /// The whole file.
    pub(crate) fn root(reading: Reading<'r, 't>, table: DeTable<'t>) -> Self {
        Self {
            reading,
            name: String::new(),
            place: reading.source.place(0),
            table,
            known: Vec::new(),
        }
    }

    pub(crate) fn report(&self) -> &'r Report {
        self.reading.report
    }

    /// Something is wrong with the section as a whole; if it was not written, with that of its parent.
    pub(crate) fn mistake(&self, problem: Problem) {
        self.report().add(&self.place, problem);
    }

    /// Whether the key was written and has not been taken yet.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where the value of a key stands that was written and has not been taken yet.
    pub(crate) fn place_of(&self, key: &str) -> Option<Place> {
        let value = self.table.get(key)?;
        Some(self.reading.source.place(value.span().start))
    }

    /// Where the section itself stands.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether a list was written for a key that has not been taken yet.
    pub(crate) fn is_list(&self, key: &str) -> bool {
        let value = self.table.get(key);
        value.is_some_and(|value| matches!(value.get_ref(), DeValue::Array(_)))
    }

    /// Whether a table was written for a key that has not been taken yet.
    pub(crate) fn is_table(&self, key: &str) -> bool {
        let value = self.table.get(key);
        value.is_some_and(|value| matches!(value.get_ref(), DeValue::Table(_)))
    }

    /// The value of a setting: its default when not written, not of its kind or not in its range.
    pub(crate) fn take<T: Scalar>(&mut self, setting: &Setting<T>) -> T {
        self.take_optional(setting.key, &setting.range)
            .unwrap_or(setting.default)
    }

    /// Like [`Self::take`] for a key without a default.
    pub(crate) fn take_optional<T: Scalar>(
        &mut self,
        key: &'static str,
        range: &RangeInclusive<T>,
    ) -> Option<T> {
        let (value, place) = self.value(key)?;
        self.report().check(&place, scalar(key, &value, range))
    }

    /// A list of numbers and the like, each in the range; wrong ones are recorded and left out.
    pub(crate) fn take_scalars<T: Scalar>(
        &mut self,
        key: &'static str,
        range: &RangeInclusive<T>,
    ) -> Option<Vec<T>> {
        let (value, place) = self.value(key)?;
        let DeValue::Array(items) = value else {
            let problem = wrong_kind(key, &format!("a list, each {}", T::EXPECTED), &value);
            self.report().add(&place, problem);
            return None;
        };
        let read_item = |item: Spanned<DeValue<'t>>| {
            let place = self.reading.source.place(item.span().start);
            let read = scalar(key, item.get_ref(), range);
            self.report().check(&place, read)
        };
        Some(items.into_iter().filter_map(read_item).collect())
    }

    /// A switch.
    pub(crate) fn take_bool(&mut self, key: &'static str) -> Option<bool> {
        let (value, place) = self.value(key)?;
        let read = value
            .as_bool()
            .ok_or_else(|| wrong_kind(key, "true or false", &value));
        self.report().check(&place, read)
    }

    /// A text in a form of its own.
    pub(crate) fn take_text<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<Placed<T>> {
        let (value, place) = self.value(key)?;
        let read = value
            .as_str()
            .ok_or_else(|| wrong_kind(key, expected, &value))
            .and_then(parse);
        self.report()
            .check(&place, read)
            .map(|value| Placed::new(value, place))
    }

    /// A list of texts; wrong ones are recorded and left out. Empty only if it was written so.
    pub(crate) fn take_texts<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<Vec<Placed<T>>> {
        self.take_list(key, expected, &parse, None)
    }

    /// Like [`Self::take_texts`], for what can also be written at length, as a table. `read` answers with the place
    /// that stands for the table, or says what is wrong.
    pub(crate) fn take_texts_or_tables<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
        read: impl Fn(Self) -> Option<Placed<T>>,
    ) -> Option<Vec<Placed<T>>> {
        self.take_list(key, expected, &parse, Some(&read))
    }

    fn take_list<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: &dyn Fn(&str) -> Result<T, Problem>,
        read: Option<&dyn Fn(Self) -> Option<Placed<T>>>,
    ) -> Option<Vec<Placed<T>>> {
        let (value, place) = self.value(key)?;
        let DeValue::Array(items) = value else {
            let problem = wrong_kind(key, &format!("a list of {expected}"), &value);
            self.report().add(&place, problem);
            return None;
        };
        let read_item = |item: Spanned<DeValue<'t>>| {
            let place = self.reading.source.place(item.span().start);
            match (item.into_inner(), read) {
                (DeValue::Table(table), Some(read)) => read(self.below(key, table, place)),
                (DeValue::String(text), _) => {
                    let value = self.report().check(&place, parse(&text))?;
                    Some(Placed::new(value, place))
                }
                (other, _) => {
                    let message = format!("`{key}` must hold {expected}, not {}", describe(&other));
                    self.report().add(&place, Problem::new(message));
                    None
                }
            }
        };
        let written = items.len();
        let read: Vec<_> = items.into_iter().filter_map(read_item).collect();
        (written == 0 || !read.is_empty()).then_some(read)
    }

    /// A table below this one; empty when not written.
    pub(crate) fn take_section(&mut self, key: &'static str) -> Self {
        self.take_section_like(key, "a table")
    }

    /// Like [`Self::take_section`], for one that is best written in line, as `expected` shows.
    pub(crate) fn take_section_like(&mut self, key: &'static str, expected: &str) -> Self {
        let (table, place) = self
            .table(key, expected)
            .unwrap_or_else(|| (DeTable::new(), self.place.clone()));
        self.below(key, table, place)
    }

    /// Like [`Self::take_section`] for a table whose absence means something.
    pub(crate) fn take_optional_section(&mut self, key: &'static str) -> Option<Self> {
        let (table, place) = self.table(key, "a table")?;
        Some(self.below(key, table, place))
    }

    /// A list of tables, `[[…]]` or in line; others are recorded and left out. Empty only if it was written so.
    pub(crate) fn take_sections(&mut self, key: &'static str) -> Option<Vec<Self>> {
        let (value, place) = self.value(key)?;
        let DeValue::Array(items) = value else {
            let expected = format!("a list of tables, each headed [[{}]]", self.full_name(key));
            self.report()
                .add(&place, wrong_kind(key, &expected, &value));
            return None;
        };
        let written = items.len();
        let mut sections = Vec::with_capacity(written);
        for item in items {
            let place = self.reading.source.place(item.span().start);
            match item.into_inner() {
                DeValue::Table(table) => sections.push(self.below(key, table, place)),
                value => {
                    let message = format!("`{key}` must hold tables, not {}", describe(&value));
                    self.report().add(&place, Problem::new(message));
                }
            }
        }
        (written == 0 || !sections.is_empty()).then_some(sections)
    }

    /// The tables below `key` that the operator has named, in the order of the file.
    pub(crate) fn take_named_sections(&mut self, key: &'static str) -> Vec<(String, Self)> {
        let parent = self.take_section(key);
        let mut entries: Vec<_> = parent
            .table
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let mut sections = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            let place = self.reading.source.place(value.span().start);
            match value.into_inner() {
                DeValue::Table(table) => {
                    let section = parent.below(name.get_ref(), table, place);
                    sections.push((name.get_ref().to_string(), section));
                }
                value => {
                    let expected =
                        format!("a table, headed [{}]", parent.full_name(name.get_ref()));
                    self.report()
                        .add(&place, wrong_kind(name.get_ref(), &expected, &value));
                }
            }
        }
        sections
    }

    /// Every key that nobody asked for is a mistake.
    pub(crate) fn finish(self) {
        let within = if self.name.is_empty() {
            String::new()
        } else {
            format!(" in [{}]", self.name)
        };
        for key in self.table.keys() {
            let problem = Problem::new(format!("unknown key `{}`{within}", key.get_ref()))
                .help(did_you_mean(key.get_ref(), &self.known));
            self.report()
                .add(&self.reading.source.place(key.span().start), problem);
        }
    }

    fn value(&mut self, key: &'static str) -> Option<(DeValue<'t>, Place)> {
        self.known.push(key);
        let value = self.table.remove(key)?;
        let place = self.reading.source.place(value.span().start);
        Some((value.into_inner(), place))
    }

    fn table(&mut self, key: &'static str, expected: &str) -> Option<(DeTable<'t>, Place)> {
        match self.value(key)? {
            (DeValue::Table(table), place) => Some((table, place)),
            (value, place) => {
                self.report().add(&place, wrong_kind(key, expected, &value));
                None
            }
        }
    }

    fn full_name(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }

    fn below(&self, key: &str, table: DeTable<'t>, place: Place) -> Self {
        Self {
            reading: self.reading,
            name: self.full_name(key),
            place,
            table,
            known: Vec::new(),
        }
    }
}

/// One value of a key, in its range.
fn scalar<T: Scalar>(
    key: &str,
    value: &DeValue<'_>,
    range: &RangeInclusive<T>,
) -> Result<T, Problem> {
    match T::read(value) {
        Err(Unread::Kind) => Err(wrong_kind(key, T::EXPECTED, value)),
        Ok(scalar) if range.contains(&scalar) => Ok(scalar),
        Ok(_) | Err(Unread::Beyond) => Err(Problem::new(format!(
            "`{key}` must be between {} and {}, not {}",
            range.start().show(),
            range.end().show(),
            describe(value)
        ))),
    }
}
