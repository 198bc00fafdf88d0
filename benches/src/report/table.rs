//! Markdown tables, aligned so that their source is readable.

use std::fmt;

/// A table. The first cell of a row is its name, all others are figures.
#[derive(Clone, Debug)]
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    /// Begins a table without rows. The first column has the rows' names.
    pub fn new<C: Into<String>>(title: impl Into<String>, columns: impl IntoIterator<Item = C>) -> Self {
        let columns = columns.into_iter().map(Into::into).collect();
        Self { title: title.into(), columns, rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row. Missing cells at its end stay empty.
    ///
    /// # Panics
    /// The row has more cells than the table has columns.
    pub fn row<C: Into<String>>(&mut self, name: impl Into<String>, cells: impl IntoIterator<Item = C>) {
        let mut row = vec![name.into()];
        row.extend(cells.into_iter().map(Into::into));
        assert!(row.len() <= self.columns.len(), "a row has no more cells than the table has columns");
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Adds a line below the table.
    pub fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// Returns whether the table has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn widths(&self) -> Vec<usize> {
        let of = |at: usize| self.rows.iter().map(|row| width(&row[at])).max().unwrap_or(0);
        self.columns.iter().enumerate().map(|(at, name)| width(name).max(of(at)).max(3)).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let line = |f: &mut fmt::Formatter<'_>, cells: &[String]| {
            for (at, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                if at == 0 { write!(f, "| {cell:<width$} |")? } else { write!(f, " {cell:>width$} |")? }
            }
            writeln!(f)
        };
        writeln!(f, "### {}\n", self.title)?;
        line(f, &self.columns)?;
        for (at, width) in widths.iter().enumerate() {
            if at == 0 { write!(f, "|{:-<1$}|", "", width + 2)? } else { write!(f, "{:-<1$}:|", "", width + 1)? }
        }
        writeln!(f)?;
        for row in &self.rows {
            line(f, row)?;
        }
        for note in &self.notes {
            writeln!(f, "\n{note}")?;
        }
        Ok(())
    }
}

/// Returns the width as the formatter counts it for padding.
fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new("Receive, ns", ["payload", "memcpy", "**ours**"]);
        table.row("16 B", ["0.6", "**10**"]);
        table.row("1 MiB", ["47 µs"]);
        table.note("A note.");
        let expected = "\
### Receive, ns

| payload | memcpy | **ours** |
|---------|-------:|---------:|
| 16 B    |    0.6 |   **10** |
| 1 MiB   |  47 µs |          |

A note.
";
        assert_eq!(table.to_string(), expected);
    }
}
