//! Sizes in bytes, as operators write them.

use std::fmt;
use std::str::FromStr;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A number of bytes, written with its unit: `"512B"`, `"64KiB"`, `"1MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(usize);

impl Size {
    pub(crate) const fn kib(count: usize) -> Self {
        Self(count * KIB)
    }

    pub(crate) const fn mib(count: usize) -> Self {
        Self(count * MIB)
    }

    pub(crate) const fn bytes(self) -> usize {
        self.0
    }
}

/// Not a size: the text has no known unit or no whole number before it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotASize;

impl FromStr for Size {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = match text[digits.len()..].trim_start() {
            "B" => 1,
            "KiB" => KIB,
            "MiB" => MIB,
            _ => return Err(NotASize),
        };
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotASize);
        }
        let count: usize = digits.parse().map_err(|_| NotASize)?;
        count.checked_mul(unit).map(Self).ok_or(NotASize)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= MIB && bytes.is_multiple_of(MIB) => write!(out, "{}MiB", bytes / MIB),
            bytes if bytes >= KIB && bytes.is_multiple_of(KIB) => write!(out, "{}KiB", bytes / KIB),
            bytes => write!(out, "{bytes}B"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_whole_number_and_a_unit() {
        assert_eq!("512B".parse(), Ok(Size(512)));
        assert_eq!("64KiB".parse(), Ok(Size(65_536)));
        assert_eq!("1 MiB".parse(), Ok(Size::mib(1)));
        for text in [
            "",
            "64",
            "KiB",
            "64kb",
            "6.4KiB",
            "-1KiB",
            "+1KiB",
            "64KiB ",
            "99999999999999999999MiB",
        ] {
            assert_eq!(text.parse::<Size>(), Err(NotASize), "{text}");
        }
    }

    #[test]
    fn a_size_is_shown_as_it_is_written() {
        for text in ["0B", "1B", "1025B", "64KiB", "1MiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }
}
