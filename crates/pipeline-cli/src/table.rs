//! Aligned columns of text.

use console::measure_text_width;

use crate::terminal::{Palette, fit, pad};

/// A table with a header; the last column takes what is left of the line.
#[derive(Debug, Clone, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new<S: AsRef<str>>(header: &[S]) -> Self {
        Self { header: header.iter().map(|name| name.as_ref().to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row: one cell for each column.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.header.len());
        self.rows.push(cells);
    }

    /// The lines of the table, cut to `columns` if given.
    pub fn render(&self, palette: Palette, columns: Option<usize>) -> String {
        let widths = self.widths();
        let mut text = palette.dim(&line(&self.header, &widths, columns));
        for row in &self.rows {
            text.push('\n');
            text.push_str(&line(row, &widths, columns));
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let widest = |idx: usize| self.rows.iter().map(|row| measure_text_width(&row[idx])).max().unwrap_or(0);
        self.header.iter().enumerate().map(|(idx, name)| measure_text_width(name).max(widest(idx))).collect()
    }
}

fn line(cells: &[String], widths: &[usize], columns: Option<usize>) -> String {
    let cells: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| pad(cell, *width)).collect();
    fit(cells.join("  ").trim_end(), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_with_wide_characters_and_lines_fit() {
        let mut table = Table::new(&["stage", "reason"]);
        table.row(vec!["图".into(), "new".into()]);
        table.row(vec!["evaluate".into(), "input.projection changed".into()]);
        let text = table.render(Palette::default(), Some(20));
        assert_eq!(text, "stage     reason\n图        new\nevaluate  input.pro…");
    }
}
