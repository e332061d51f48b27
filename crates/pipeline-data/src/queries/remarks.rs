//! Counts lines that are accepted but odd, so that every oddity of the data is reported.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::QueryRow;
use crate::json_line::shortened;

/// An oddity of a line that is accepted all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Oddity {
    /// It has no id.
    NoId,
    /// Its text is empty.
    EmptyText,
    /// Its text is white space.
    BlankText,
    /// Its labels are one id, not a list.
    OneLabel,
    /// Its labels are an empty text.
    EmptyLabels,
    /// Some of its labels are null or empty texts.
    AbsentLabel,
    /// It names an image more than once.
    RepeatedLabel,
    /// One of its ids is a number such as `12.0`.
    Decimal,
    /// One of its ids has white space around it.
    Padded,
    /// It has a field more than once.
    RepeatedField,
    /// It has the fields of both dialects, and their values differ.
    TwoDialects,
}

impl Oddity {
    /// The description of one line, and of several lines.
    const fn words(self) -> [&'static str; 2] {
        match self {
            Self::NoId => ["has no id", "have no id"],
            Self::EmptyText => [
                "has an empty text, so that no training and no metric counts it",
                "have an empty text, so that no training and no metric counts them",
            ],
            Self::BlankText => ["has a text of white space only", "have a text of white space only"],
            Self::OneLabel => [
                "names one id instead of a list of ids, which is taken for a list of one",
                "name one id instead of a list of ids, which is taken for a list of one",
            ],
            Self::EmptyLabels => [
                "has an empty text for its list of ids, which is taken for no list",
                "have an empty text for their list of ids, which is taken for no list",
            ],
            Self::AbsentLabel => [
                "has a null or an empty text in its list of ids, which is left out",
                "have a null or an empty text in their list of ids, which is left out",
            ],
            Self::RepeatedLabel => ["names an image more than once", "name an image more than once"],
            Self::Decimal => [
                "has an id with a decimal point: `12.0` is not the id `12`",
                "have an id with a decimal point: `12.0` is not the id `12`",
            ],
            Self::Padded => [
                "has white space around an id, which belongs to the id",
                "have white space around an id, which belongs to the id",
            ],
            Self::RepeatedField => [
                "has a field more than once, of which the last counts",
                "have a field more than once, of which the last counts",
            ],
            Self::TwoDialects => [
                "has fields of both dialects with different values, of which `query_id`, `query_text` and `item_ids` \
                count",
                "have fields of both dialects with different values, of which `query_id`, `query_text` and `item_ids` \
                count",
            ],
        }
    }
}

/// Lines with the same oddity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The number of lines.
    pub n_lines: u64,
    /// The first of them, counted from 1.
    pub first_line: u64,
    /// The description after their number.
    pub what: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n_lines, first_line, what } = self;
        let plural = if *n_lines == 1 { "" } else { "s" };
        write!(formatter, "{n_lines} line{plural} {what}, the first at line {first_line}")
    }
}

/// Lines by oddity: the number, and the first.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<Oddity, (u64, u64)>);

impl Counts {
    /// Counts a line.
    pub fn add(&mut self, oddity: Oddity, line: u64) {
        self.0.entry(oddity).or_insert((0, line)).0 += 1;
    }

    /// The remarks about all lines.
    pub fn remarks(&self) -> Vec<Remark> {
        let remark = |(oddity, &(n_lines, first_line)): (&Oddity, &(u64, u64))| Remark {
            n_lines,
            first_line,
            what: oddity.words()[usize::from(n_lines != 1)].to_owned(),
        };
        self.0.iter().map(remark).collect()
    }
}

/// The remarks about rows that repeat an earlier id: all of them stay, and each counts.
///
/// # Shapes
/// `lines`: the line of each of `rows`
pub fn repeated_ids(rows: &[QueryRow], lines: &[u64]) -> Vec<Remark> {
    let mut first_with = HashMap::new();
    // Equal and different repeats: the number, and the first with the earlier row of its id.
    let mut repeats: [(u64, Option<(usize, usize)>); 2] = [(0, None); 2];
    for (row_idx, row) in rows.iter().enumerate() {
        let Some(id) = row.id.as_deref() else { continue };
        let first_idx = *first_with.entry(id).or_insert(row_idx);
        if first_idx != row_idx {
            let (n_lines, first) = &mut repeats[usize::from(*row != rows[first_idx])];
            *n_lines += 1;
            first.get_or_insert((row_idx, first_idx));
        }
    }
    let [equal, other] = repeats;
    [(equal, "the query"), (other, "the id, but not the text or the image ids,")]
        .into_iter()
        .filter_map(|((n_lines, first), repeated)| {
            let (row_idx, first_idx) = first?;
            let verb = if n_lines == 1 { "repeats" } else { "repeat" };
            let id = shortened(rows[row_idx].id.as_deref().unwrap_or_default());
            let what = format!(
                "{verb} {repeated} of an earlier line (`{id}` of line {}), and each counts by itself",
                lines[first_idx]
            );
            Some(Remark { n_lines, first_line: lines[row_idx], what })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_ids_are_counted_with_the_lines_of_the_first() {
        let row = |id: Option<&str>, text: &str| QueryRow {
            id: id.map(str::to_owned),
            text: text.to_owned(),
            image_ids: None,
        };
        let rows = [
            row(Some("1"), "a"),
            row(None, "a"),
            row(Some("2"), "b"),
            row(None, "a"),
            row(Some("1"), "a"),
            row(Some("2"), "c"),
            row(Some("1"), "a"),
        ];
        let remarks: Vec<String> = repeated_ids(&rows, &[1, 2, 3, 5, 6, 7, 9]).iter().map(Remark::to_string).collect();
        assert_eq!(
            remarks,
            [
                "2 lines repeat the query of an earlier line (`1` of line 1), and each counts by itself, the first at \
                line 6",
                "1 line repeats the id, but not the text or the image ids, of an earlier line (`2` of line 3), and \
                 each counts by itself, the first at line 7",
            ]
        );
        assert!(repeated_ids(&rows[..3], &[1, 2, 3]).is_empty());
    }
}
