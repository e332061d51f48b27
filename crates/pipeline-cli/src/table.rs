//! Aligned columns of text.

use std::borrow::Cow;

use console::measure_text_width;

use crate::terminal::{Palette, fit, pad, shorten};

/// A table with a header; the last column takes the rest of the line. On a narrow terminal optional columns are left
/// out, the rightmost first, and a line below names them. Then names are cut in their middle.
#[derive(Debug, Clone, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    /// The columns that may be left out, the last first.
    optional: Vec<usize>,
    /// The columns whose cells may be cut in their middle.
    shortened: Vec<usize>,
}

/// The columns that a shortened cell keeps at least.
const LEAST_SHORTENED: usize = 8;

/// The columns that the last cells keep, at most, when others are shortened for them.
const LEAST_LAST: usize = 24;

impl Table {
    /// A table without rows.
    pub fn new<S: AsRef<str>>(header: &[S]) -> Self {
        Self { header: header.iter().map(|name| name.as_ref().to_owned()).collect(), ..Self::default() }
    }

    /// Lets the cells of these columns be cut in their middle on a narrow terminal.
    pub fn shorten(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        self.shortened = columns.into_iter().collect();
        self
    }

    /// Makes these columns optional on a narrow terminal.
    pub fn leave_out(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        self.optional = columns.into_iter().collect();
        self.optional.sort_unstable();
        self
    }

    /// Makes these columns optional on a narrow terminal; leaves them out in this order.
    pub fn leave_out_first(mut self, columns: Vec<usize>) -> Self {
        self.optional = columns;
        self.optional.reverse();
        self
    }

    /// Adds a row: one cell for each column.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.header.len());
        // A line break in a cell would split the row.
        let one_line = |cell: String| if cell.contains('\n') { cell.replace('\n', "\u{240a}") } else { cell };
        self.rows.push(cells.into_iter().map(one_line).collect());
    }

    /// The lines of the table, cut to `columns` if given.
    pub fn render(&self, palette: Palette, columns: Option<usize>) -> String {
        let (table, left_out) = self.fitting(columns);
        let widths = table.shortened_widths(columns);
        let mut text = palette.dim(&line(&table.header, &widths, columns));
        for row in &table.rows {
            text.push('\n');
            text.push_str(&line(row, &widths, columns));
        }
        if !left_out.is_empty() {
            let names = format!("left out on a narrow terminal: {}; `--json` has all", left_out.join(", "));
            text.push_str(&format!("\n{}", palette.dim(&fit(&names, columns))));
        }
        text
    }

    /// The table without the columns that do not fit into `columns`, and their names.
    fn fitting(&self, columns: Option<usize>) -> (Cow<'_, Self>, Vec<String>) {
        let widths = self.widths();
        let mut kept: Vec<usize> = (0..widths.len()).collect();
        let mut left_out = Vec::new();
        let is_too_wide = |kept: &[usize]| {
            let width: usize = kept.iter().map(|idx| widths[*idx] + 2).sum();
            columns.is_some_and(|columns| width.saturating_sub(2) > columns)
        };
        for idx in self.optional.iter().rev().copied() {
            if !is_too_wide(&kept) {
                break;
            }
            kept.retain(|column| *column != idx);
            left_out.push(idx);
        }
        left_out.sort_unstable();
        let left_out: Vec<String> = left_out.into_iter().map(|idx| self.header[idx].clone()).collect();
        if left_out.is_empty() {
            return (Cow::Borrowed(self), left_out);
        }
        let pick = |cells: &Vec<String>| kept.iter().map(|idx| cells[*idx].clone()).collect::<Vec<_>>();
        let rows = self.rows.iter().map(pick).collect();
        let shortened = self.shortened.iter().filter_map(|column| kept.iter().position(|idx| idx == column)).collect();
        (Cow::Owned(Self { header: pick(&self.header), rows, optional: Vec::new(), shortened }), left_out)
    }

    /// The widths of the columns, those that may be shortened reduced as far as the terminal asks for, the widest
    /// first.
    fn shortened_widths(&self, columns: Option<usize>) -> Vec<usize> {
        let mut widths = self.widths();
        let (Some(columns), Some(last)) = (columns, widths.len().checked_sub(1)) else { return widths };
        // A text at the end is cut at its end, unless it is a name, too.
        let at_end = if self.shortened.contains(&last) { widths[last] } else { widths[last].min(LEAST_LAST) };
        let needed = widths[..last].iter().map(|width| width + 2).sum::<usize>() + at_end;
        for _ in columns..needed {
            let longest = self.shortened.iter().copied().max_by_key(|idx| widths[*idx]);
            match longest {
                Some(idx) if widths[idx] > LEAST_SHORTENED => widths[idx] -= 1,
                _ => break,
            }
        }
        widths
    }

    fn widths(&self) -> Vec<usize> {
        let widest = |idx: usize| self.rows.iter().map(|row| measure_text_width(&row[idx])).max().unwrap_or(0);
        self.header.iter().enumerate().map(|(idx, name)| measure_text_width(name).max(widest(idx))).collect()
    }
}

fn line(cells: &[String], widths: &[usize], columns: Option<usize>) -> String {
    let cells: Vec<String> =
        cells.iter().zip(widths).map(|(cell, width)| pad(&shorten(cell, *width), *width)).collect();
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

    #[test]
    fn a_narrow_terminal_keeps_the_columns_that_matter() {
        let mut table = Table::new(&["metric", "value", "interval", "test", "verdict"]).leave_out([2, 3]);
        table.row(vec!["recall".into(), "0.5".into(), "0.4 … 0.6".into(), "p = 0.5".into(), "better".into()]);
        let text = |columns| table.render(Palette::default(), columns);
        assert_eq!(text(Some(60)), text(None));
        let without_test =
            "metric  value  interval   verdict\nrecall  0.5    0.4 … 0.6  better\nleft out on a narrow terminal: test…";
        assert_eq!(text(Some(36)), without_test);
        assert!(text(Some(24)).starts_with("metric  value  verdict\nrecall  0.5    better\nleft out"));
    }

    #[test]
    fn long_names_are_cut_in_their_middle() {
        let mut table = Table::new(&["stage", "took", "reason"]).shorten([0]);
        table.row(vec!["projection.temperature-0.03.seed-0".into(), "1 s".into(), "new".into()]);
        assert!(!table.render(Palette::default(), None).contains('…'));
        let narrow = table.render(Palette::default(), Some(30));
        assert_eq!(narrow, format!("{:16}  took  reason\nproject…3.seed-0  1 s   new", "stage"));
    }

    #[test]
    fn a_line_end_in_a_cell_does_not_tear_the_row() {
        let mut table = Table::new(&["a", "b"]);
        table.row(vec!["x\ny".into(), "z".into()]);
        assert_eq!(table.render(Palette::default(), None), "a    b\nx␊y  z");
    }
}
