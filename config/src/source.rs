//! A text with the places of its bytes.

use std::path::Path;
use std::rc::Rc;

use crate::place::Place;

/// The text of one file and where its lines begin.
#[derive(Debug)]
pub(crate) struct Source<'t> {
    file: Rc<Path>,
    text: &'t str,
    /// Byte offsets of the first byte of each line. Never empty.
    line_starts: Vec<usize>,
    /// Then columns need no counting, which matters for one line of a hundred thousand addresses.
    ascii: bool,
}

impl<'t> Source<'t> {
    pub(crate) fn new(file: &Path, text: &'t str) -> Self {
        let after_newlines = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        Self {
            file: Rc::from(file),
            text,
            line_starts: std::iter::once(0).chain(after_newlines).collect(),
            ascii: text.is_ascii(),
        }
    }

    pub(crate) fn text(&self) -> &'t str {
        self.text
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The place of the byte at `offset`; offsets past the end or inside a character are moved to the one before.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        let before = if self.ascii {
            offset - start
        } else {
            self.text[start..offset].chars().count()
        };
        Place {
            file: Rc::clone(&self.file),
            line,
            column: before + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, offset: usize) -> (usize, usize) {
        let place = Source::new(Path::new("f"), text).place(offset);
        (place.line, place.column)
    }

    #[test]
    fn lines_and_columns_count_from_one() {
        assert_eq!(place("", 0), (1, 1));
        assert_eq!(place("ab\ncd", 1), (1, 2));
        assert_eq!(place("ab\ncd", 2), (1, 3));
        assert_eq!(place("ab\ncd", 3), (2, 1));
        assert_eq!(place("ab\n", 3), (2, 1));
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        assert_eq!(place("größe = 1", "größe".len()), (1, 6));
    }

    #[test]
    fn an_offset_outside_the_text_is_its_end() {
        assert_eq!(place("ab", 99), (1, 3));
        assert_eq!(place("ö", 1), (1, 1));
    }
}
