//! Tables of text: aligned for a terminal, or Markdown.

/// Rows under a header. The first column is text, the others are figures and stand to the right.
#[derive(Debug, Default)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self {
            header: header.map(str::to_owned).to_vec(),
            rows: Vec::new(),
        }
    }

    /// With as many columns as there are names.
    pub(crate) fn of(header: Vec<String>) -> Self {
        Self {
            header,
            rows: Vec::new(),
        }
    }

    /// A row of as many cells.
    pub(crate) fn add(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        let widths = self.widths();
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        self.lines(&rule, |row| align(row, &widths, "  ").trim_end().to_owned())
    }

    /// For a document.
    pub(crate) fn markdown(&self) -> String {
        let widths = self.widths();
        let right = |width: &usize| format!("{}:", "-".repeat(width - 1));
        let mut rule: Vec<String> = widths.iter().map(right).collect();
        if let (Some(first), Some(width)) = (rule.first_mut(), widths.first()) {
            *first = "-".repeat(*width);
        }
        self.lines(&rule, |row| format!("| {} |", align(row, &widths, " | ")))
    }

    fn lines(&self, rule: &[String], line: impl Fn(&[String]) -> String) -> String {
        let mut text = String::new();
        for row in [&*self.header, rule]
            .into_iter()
            .chain(self.rows.iter().map(Vec::as_slice))
        {
            text += &line(row);
            text.push('\n');
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self
            .header
            .iter()
            .map(|cell| cell.chars().count().max(3))
            .collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

fn align(row: &[String], widths: &[usize], gap: &str) -> String {
    let cells = row
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
    cells.collect::<Vec<_>>().join(gap)
}

/// Seconds with a sensible number of digits.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 10.0 {
        format!("{seconds:.2} s")
    } else {
        format!("{seconds:.1} s")
    }
}

/// A fraction as percent; a dash for none.
pub(crate) fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(
        || "–".to_owned(),
        |fraction| format!("{:.1} %", fraction * 100.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_under_each_other() {
        let mut table = Table::new(["", "direkt"]);
        table.row(["größte".to_owned(), "7".to_owned()]);
        table.row(["p50".to_owned(), "1200".to_owned()]);
        let lines = [
            "        direkt",
            "------  ------",
            "größte       7",
            "p50       1200",
        ];
        assert_eq!(table.text().lines().collect::<Vec<_>>(), lines);
        assert_eq!(table.markdown().lines().nth(1), Some("| ------ | -----: |"));
    }
}
