//! Single values with a range: durations, counts, rates and sizes.

use std::num::IntErrorKind;
use std::time::Duration;

use toml::de::DeValue;

use crate::report::Problem;
use crate::size::Size;

/// A value that is read from one TOML value and can be compared with the ends of its range.
pub(crate) trait Scalar: Copy + PartialOrd + 'static {
    /// What must be written, with an example, as in "must be …".
    const EXPECTED: &'static str;

    /// Reads it; whether it is in its range is not looked at here.
    fn read(value: &DeValue<'_>) -> Result<Self, Unread>;

    /// As an operator would write it.
    fn show(self) -> String;
}

/// Why a value could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Not of the right kind, or not in the right form.
    Kind,
    /// Of the right kind, and beyond everything that could be meant.
    Beyond,
}

impl Scalar for Duration {
    const EXPECTED: &'static str = r#"a duration such as "500ms", "2s" or "4h""#;

    fn read(value: &DeValue<'_>) -> Result<Self, Unread> {
        let text = value.as_str().ok_or(Unread::Kind)?;
        humantime::parse_duration(text).map_err(|_| Unread::Kind)
    }

    fn show(self) -> String {
        // The ranges end at "24h", not at "1day".
        match self.as_secs() {
            seconds if seconds > 0 && seconds.is_multiple_of(3600) => {
                format!("{}h", seconds / 3600)
            }
            _ => humantime::format_duration(self).to_string(),
        }
    }
}

impl Scalar for u32 {
    const EXPECTED: &'static str = "a whole number";

    fn read(value: &DeValue<'_>) -> Result<Self, Unread> {
        let integer = value.as_integer().ok_or(Unread::Kind)?;
        let number = i128::from_str_radix(integer.as_str(), integer.radix());
        let number = number.map_err(|error| match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => Unread::Beyond,
            _ => Unread::Kind,
        })?;
        // Below zero is no zero, and whoever writes ten digits does not mean the largest of nine.
        Self::try_from(number).map_err(|_| Unread::Beyond)
    }

    fn show(self) -> String {
        self.to_string()
    }
}

impl Scalar for f64 {
    const EXPECTED: &'static str = "a number";

    fn read(value: &DeValue<'_>) -> Result<Self, Unread> {
        let text = match value {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            _ => return Err(Unread::Kind),
        };
        let number = text.parse().map_err(|_| Unread::Kind)?;
        f64::is_finite(number).then_some(number).ok_or(Unread::Kind)
    }

    fn show(self) -> String {
        self.to_string()
    }
}

impl Scalar for Size {
    const EXPECTED: &'static str = r#"a size such as "64KiB" or "1MiB""#;

    fn read(value: &DeValue<'_>) -> Result<Self, Unread> {
        let size = value.as_str().and_then(|text| text.parse().ok());
        size.ok_or(Unread::Kind)
    }

    fn show(self) -> String {
        self.to_string()
    }
}

/// A TOML value as it should be named in a message: `"2x"`, `17`, `a table`.
pub(crate) fn describe(value: &DeValue<'_>) -> String {
    const LONGEST: usize = 60;
    match value {
        // Whoever writes a URL in the wrong place may have a password in it.
        DeValue::String(text) if text.contains('@') => "this text".to_owned(),
        DeValue::String(text) if text.chars().count() <= LONGEST => format!("{text:?}"),
        DeValue::String(_) => "this text".to_owned(),
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(float) => float.to_string(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// "`key` must be …, not …".
pub(crate) fn wrong_kind(key: &str, expected: &str, value: &DeValue<'_>) -> Problem {
    Problem::new(format!(
        "`{key}` must be {expected}, not {}",
        describe(value)
    ))
}
