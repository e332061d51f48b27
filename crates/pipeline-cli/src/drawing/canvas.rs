//! Cells with lines that join where they belong to one net, and texts.

use std::collections::BTreeMap;

use console::measure_text_width;

use super::Strokes;

const UP: u8 = 1;
const DOWN: u8 = 2;
const LEFT: u8 = 4;
const RIGHT: u8 = 8;

/// The net of the borders of boxes.
pub const BORDER: usize = usize::MAX;

#[derive(Debug, Clone, Copy)]
enum Cell {
    /// A line: the directions in which it leaves the cell, and its net.
    Line {
        arms: u8,
        net: usize,
    },
    Character(char),
    /// The second column of a wide character.
    Covered,
}

/// What is drawn: cells by row and column.
#[derive(Debug, Default)]
pub struct Canvas {
    cells: BTreeMap<(usize, usize), Cell>,
}

impl Canvas {
    /// Writes a text.
    pub fn write(&mut self, row: usize, column: usize, text: &str) {
        let mut at = column;
        for character in text.chars() {
            let n_columns = measure_text_width(character.encode_utf8(&mut [0; 4]));
            self.cells.insert((row, at), Cell::Character(character));
            self.cells.extend((1..n_columns).map(|covered| ((row, at + covered), Cell::Covered)));
            at += n_columns;
        }
    }

    /// A line of `net` from column to column in a row. It passes behind the lines of other nets.
    pub fn across(&mut self, net: usize, row: usize, columns: (usize, usize)) {
        let (first, last) = (columns.0.min(columns.1), columns.0.max(columns.1));
        for column in first..=last {
            let arms = if column > first { LEFT } else { 0 } | if column < last { RIGHT } else { 0 };
            self.join(net, (row, column), arms, false);
        }
    }

    /// A line of `net` from row to row in a column. It passes before the lines of other nets.
    pub fn down(&mut self, net: usize, column: usize, rows: (usize, usize)) {
        for row in rows.0..=rows.1 {
            let arms = if row > rows.0 { UP } else { 0 } | if row < rows.1 { DOWN } else { 0 };
            self.join(net, (row, column), arms, true);
        }
    }

    /// A line of `net` that enters a cell from above.
    pub fn enter(&mut self, net: usize, row: usize, column: usize) {
        self.join(net, (row, column), UP, true);
    }

    /// A line of `net` that leaves a cell downwards.
    pub fn leave(&mut self, net: usize, row: usize, column: usize) {
        self.join(net, (row, column), DOWN, true);
    }

    fn join(&mut self, net: usize, at: (usize, usize), arms: u8, is_before: bool) {
        let cell = self.cells.entry(at).or_insert(Cell::Line { arms: 0, net });
        match cell {
            Cell::Line { arms: there, net: other } if *other == net => *there |= arms,
            Cell::Line { .. } if is_before => *cell = Cell::Line { arms, net },
            Cell::Line { .. } | Cell::Character(_) | Cell::Covered => {}
        }
    }

    /// The columns of the drawing.
    pub fn width(&self) -> usize {
        self.cells.keys().map(|(_, column)| column + 1).max().unwrap_or(0)
    }

    /// The drawing as lines of text, with a line end after each.
    pub fn text(&self, strokes: Strokes) -> String {
        let mut text = String::new();
        let (mut row, mut column) = (0, 0);
        for (at, cell) in &self.cells {
            if row < at.0 {
                text.extend(std::iter::repeat_n('\n', at.0 - row));
                (row, column) = (at.0, 0);
            }
            let character = match *cell {
                Cell::Character(character) => character,
                Cell::Line { arms, net } => stroke(arms, net == BORDER, strokes),
                Cell::Covered => continue,
            };
            text.extend(std::iter::repeat_n(' ', at.1 - column));
            text.push(character);
            column = at.1 + measure_text_width(character.encode_utf8(&mut [0; 4]));
        }
        text.push('\n');
        text
    }
}

/// The character of a line with these arms. In ASCII `'` leads up and `.` down, so that ends can be told from joins.
fn stroke(arms: u8, is_border: bool, strokes: Strokes) -> char {
    let by_arms = match strokes {
        Strokes::Ascii => [' ', '|', '|', '|', '-', '\'', '.', '+', '-', '\'', '.', '+', '-', '\'', '.', '+'],
        Strokes::Unicode => [' ', '│', '│', '│', '─', '┘', '┐', '┤', '─', '└', '┌', '├', '─', '┴', '┬', '┼'],
    };
    match by_arms[usize::from(arms & 15)] {
        '\'' | '.' if is_border => '+',
        character => character,
    }
}
