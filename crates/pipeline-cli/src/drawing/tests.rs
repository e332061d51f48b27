//! Reads drawings back: every line that is drawn is an input of the graph and the reverse.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

type Edges = BTreeSet<(usize, usize)>;

/// A drawing as a grid of characters.
struct Grid(Vec<Vec<char>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Left,
    Right,
}

/// The rectangle of a box: its first and last row and column.
#[derive(Debug, Clone, Copy)]
struct Rectangle {
    rows: (usize, usize),
    columns: (usize, usize),
}

impl Grid {
    fn of(text: &str) -> Self {
        Self(text.lines().map(|line| line.chars().collect()).collect())
    }

    fn at(&self, row: usize, column: usize) -> char {
        self.0.get(row).and_then(|line| line.get(column)).copied().unwrap_or(' ')
    }

    fn has_up(&self, row: usize, column: usize) -> bool {
        "|'+│┘┤└├┴┼".contains(self.at(row, column))
    }

    fn has_down(&self, row: usize, column: usize) -> bool {
        "|.+│┐┤┌├┬┼".contains(self.at(row, column))
    }

    /// Whether a line goes on to this side: in ASCII where the next character that no line passes behind is a line.
    fn has_side(&self, row: usize, column: usize, way: Way) -> bool {
        match (self.at(row, column), way) {
            ('┘' | '┤' | '┐', Way::Left) | ('└' | '├' | '┌', Way::Right) | ('─' | '┴' | '┬' | '┼', _) => {
                true
            }
            ('-' | '+' | '\'' | '.', _) => {
                let mut beside = column;
                loop {
                    let Some(next) = step(beside, way) else { return false };
                    beside = next;
                    if self.at(row, beside) != '|' {
                        return "-+'.".contains(self.at(row, beside));
                    }
                }
            }
            _ => false,
        }
    }

    /// The cells with an arm up or down that are joined to one in its row.
    fn joined(&self, row: usize, column: usize) -> BTreeSet<usize> {
        let mut joined = BTreeSet::from([column]);
        for way in [Way::Left, Way::Right] {
            let (mut here, mut goes_on) = (column, self.has_side(row, column, way));
            while goes_on {
                here = step(here, way).unwrap();
                // A line passes behind another.
                if !"|│".contains(self.at(row, here)) {
                    joined.insert(here);
                    goes_on = self.has_side(row, here, way);
                }
            }
        }
        joined
    }

    /// The rectangles of the boxes, by stage.
    fn boxes(&self, n_stages: usize) -> BTreeMap<usize, Rectangle> {
        let mut boxes = BTreeMap::new();
        for (row, line) in self.0.iter().enumerate() {
            let text: String = line.iter().collect();
            for stage in 0..n_stages {
                let Some(byte) = text.find(&format!(" s{stage} ")) else { continue };
                let left = text[..byte].chars().count() - 1;
                let right = (left + 2..).find(|column| "|│".contains(self.at(row, *column))).unwrap();
                let bottom = (row..).find(|row| "+└".contains(self.at(*row, left))).unwrap();
                let rectangle = Rectangle { rows: (row - 1, bottom), columns: (left, right) };
                assert!(boxes.insert(stage, rectangle).is_none(), "two boxes of s{stage}");
            }
        }
        assert_eq!(boxes.len(), n_stages, "some boxes are missing");
        boxes
    }

    /// The boxes that the line from a box reaches.
    fn readers(&self, boxes: &BTreeMap<usize, Rectangle>, from: usize) -> BTreeSet<usize> {
        let Rectangle { rows: (_, bottom), columns: (left, right) } = boxes[&from];
        let is_port = |column: &usize| self.has_up(bottom + 1, *column) && self.has_down(bottom, *column);
        let mut open: Vec<(usize, usize)> =
            (left + 1..right).filter(is_port).map(|column| (bottom + 1, column)).collect();
        assert!(open.len() <= 1, "s{from} has two lines");
        let mut readers = BTreeSet::new();
        while let Some((row, column)) = open.pop() {
            let below = boxes
                .iter()
                .find(|(_, found)| found.rows.0 == row && (found.columns.0..=found.columns.1).contains(&column));
            if let Some((reader, _)) = below {
                readers.insert(*reader);
                continue;
            }
            assert!(self.has_up(row, column), "the line of s{from} ends at {row}:{column}");
            let downwards = self.joined(row, column).into_iter().filter(|column| self.has_down(row, *column));
            open.extend(downwards.map(|column| (row + 1, column)));
        }
        readers
    }
}

fn step(column: usize, way: Way) -> Option<usize> {
    if way == Way::Left { column.checked_sub(1) } else { Some(column + 1) }
}

fn edges_of_boxes(text: &str, n_stages: usize) -> Edges {
    let grid = Grid::of(text);
    let boxes = grid.boxes(n_stages);
    for (stage, one) in &boxes {
        let overlaps = |other: &Rectangle| {
            one.rows.0 <= other.rows.1
                && other.rows.0 <= one.rows.1
                && one.columns.0 <= other.columns.1
                && other.columns.0 <= one.columns.1
        };
        assert!(boxes.iter().all(|(number, other)| number == stage || !overlaps(other)), "s{stage} overlaps: \n{text}");
        for row in one.rows.0 + 1..one.rows.1 {
            let inside = (one.columns.0 + 1..one.columns.1).map(|column| grid.at(row, column));
            assert!(inside.into_iter().all(|letter| " ()ks0123456789".contains(letter)), "a line in s{stage}:\n{text}");
        }
    }
    let readers = |stage: usize| grid.readers(&boxes, stage).into_iter().map(move |reader| (stage, reader));
    (0..n_stages).flat_map(readers).collect()
}

fn edges_of_lanes(text: &str) -> Edges {
    let grid = Grid::of(text);
    let stars: Vec<(usize, usize)> = (grid.0.iter().enumerate())
        .filter_map(|(row, line)| Some((row, line.iter().position(|letter| *letter == '*')?)))
        .collect();
    let stage_at = |at: (usize, usize)| stars.iter().position(|star| *star == at).unwrap();
    let mut edges = Edges::new();
    for (reader, (row, column)) in stars.iter().enumerate() {
        let Some(above) = row.checked_sub(1).filter(|above| grid.has_down(*above, *column)) else { continue };
        for lane in grid.joined(above, *column).into_iter().filter(|lane| grid.has_up(above, *lane)) {
            let mut row = above - 1;
            while grid.at(row, lane) != '*' {
                assert!(grid.has_up(row, lane), "the lane of s{reader} ends at {row}:{lane}:\n{text}");
                row -= 1;
            }
            edges.insert((stage_at((row, lane)), reader));
        }
    }
    edges
}

/// Stages `s0`, `s1`, … with these inputs.
fn stages(inputs: &[Vec<usize>]) -> Vec<DrawnStage> {
    let slots = |read: &Vec<usize>| read.iter().map(|input| (format!("slot-{input}"), format!("s{input}"))).collect();
    let stage =
        |(idx, read)| DrawnStage { stage: format!("s{idx}"), kind: "k".into(), inputs: slots(read), state: None };
    inputs.iter().enumerate().map(stage).collect()
}

/// A random graph: each stage reads up to four of those before it, near ones more often.
fn random(n_stages: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut inputs = Vec::new();
    for stage in 0..n_stages {
        let n_inputs = if stage == 0 { 0 } else { next(5).min(stage) };
        let read: BTreeSet<usize> =
            (0..n_inputs).map(|_| if next(3) == 0 { next(stage) } else { stage - 1 - next(stage.min(6)) }).collect();
        inputs.push(read.into_iter().collect());
    }
    inputs
}

#[test]
fn every_line_of_a_drawing_is_an_input_and_the_reverse() {
    let mut n_boxes = 0;
    for seed in 0..400 {
        let read = random(1 + seed as usize % 40, seed);
        let expect: Edges =
            read.iter().enumerate().flat_map(|(to, read)| read.iter().map(move |from| (*from, to))).collect();
        let drawn = stages(&read);
        let labels: Vec<Vec<String>> = drawn.iter().map(|stage| vec![stage.stage.clone(), "(k)".into()]).collect();
        let columns = 60 + seed as usize % 5 * 40;
        let boxes = boxes::draw(&Layers::of(&read), &read, &labels, columns);
        for strokes in [Strokes::Ascii, Strokes::Unicode] {
            let text = lanes::draw(&drawn, &read).text(strokes);
            assert_eq!(edges_of_lanes(&text), expect, "seed {seed}:\n{text}");
            if let Some(canvas) = &boxes {
                let text = canvas.text(strokes);
                assert_eq!(edges_of_boxes(&text, read.len()), expect, "seed {seed}:\n{text}");
                assert!(text.lines().all(|line| line.chars().count() <= columns), "wider than {columns}:\n{text}");
                n_boxes += 1;
            }
        }
    }
    assert!(n_boxes > 400, "only {n_boxes} of 800 drawings have boxes");
}

/// A stage that two read, and one that reads all.
fn four_stages() -> Vec<DrawnStage> {
    stages(&[vec![], vec![], vec![0], vec![0, 1, 2]])
}

#[test]
fn a_small_graph_is_drawn_as_people_would_draw_it() {
    let text = draw(&four_stages(), Strokes::Unicode, 80);
    let expect = "
     ┌─────┐
     │ s0  │
     │ (k) │
     └──┬──┘
┌───────┴──────┐
│  ┌─────┐  ┌──┴──┐
│  │ s1  │  │ s2  │
│  │ (k) │  │ (k) │
│  └──┬──┘  └──┬──┘
└───┐ │  ┌─────┘
   ┌┴─┴──┴─┐
   │ s3    │
   │ (k)   │
   └───────┘
";
    assert_eq!(text, expect[1..]);
    let ascii = draw(&four_stages(), Strokes::Ascii, 80);
    assert!(ascii.starts_with("     +-----+\n     | s0  |\n     | (k) |\n     +--+--+\n.-------'------.\n"), "{ascii}");
    assert!(ascii.is_ascii());
}

#[test]
fn lanes_stand_in_for_boxes_that_do_not_fit() {
    let text = draw(&four_stages(), Strokes::Ascii, 10);
    assert_eq!(text, "*      s0  k\n| *    s1  k\n+-|-.\n| | *  s2  k\n+-'-'\n*      s3  k\n");
}
