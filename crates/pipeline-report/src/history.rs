//! The history of a training, `history.csv`: a column `step` and any number of numeric columns.

/// The error for a text that is not a history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAHistory {
    /// There is no column of steps.
    #[error("the history has no column `step`")]
    NoSteps,
    /// A line has another number of fields than the header.
    #[error("line {line} of the history has {n_fields} fields, not {n_columns}")]
    Fields {
        /// The 1-based line.
        line: usize,
        /// Its fields.
        n_fields: usize,
        /// The number of columns in the header.
        n_columns: usize,
    },
    /// A field is not a number.
    #[error("line {line} of the history has `{field}` where a number should be")]
    Number {
        /// The 1-based line.
        line: usize,
        /// The field.
        field: String,
    },
}

/// The columns of a history.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    columns: Vec<(String, Vec<Option<f64>>)>,
}

impl History {
    /// Parses a history; an empty field is a missing number.
    ///
    /// # Errors
    /// When there is no column `step`, or a line does not fit the header.
    pub fn parse(csv: &str) -> Result<Self, NotAHistory> {
        let mut lines = csv.lines();
        let names = lines.next().unwrap_or_default().split(',');
        let mut columns: Vec<_> = names.map(|name| (name.trim().to_owned(), Vec::new())).collect();
        if !columns.iter().any(|(name, _)| name == "step") {
            return Err(NotAHistory::NoSteps);
        }
        for (line_idx, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let line = line_idx + 2;
            if fields.len() != columns.len() {
                return Err(NotAHistory::Fields { line, n_fields: fields.len(), n_columns: columns.len() });
            }
            for ((_, values), field) in columns.iter_mut().zip(fields) {
                let number = || field.parse().map_err(|_| NotAHistory::Number { line, field: field.to_owned() });
                values.push(if field.is_empty() { None } else { Some(number()?) });
            }
        }
        Ok(Self { columns })
    }

    /// The columns that are curves: all but `step` and `epoch`.
    pub(crate) fn curves(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str()).filter(|name| !matches!(*name, "step" | "epoch"))
    }

    /// The finite values of a column by their 1-based position among all steps of the training; the start has 0.
    pub(crate) fn points(&self, column: &str) -> Vec<(f64, f64)> {
        let values = (self.first_position()..).zip(self.column(column));
        let numbers = values.filter_map(|(position, value)| Some((position as f64, (*value)?)));
        numbers.filter(|(_, value)| value.is_finite()).collect()
    }

    /// The positions after which another epoch begins.
    pub(crate) fn epoch_ends(&self) -> Vec<f64> {
        let epochs = (self.first_position()..).zip(self.column("epoch").windows(2));
        epochs.filter(|(_, pair)| pair[0] != pair[1]).map(|(position, _)| position as f64).collect()
    }

    /// The position of the first line: 0 where it is the start, which was measured before any step had a loss.
    fn first_position(&self) -> usize {
        usize::from(self.column("loss").first() != Some(&None))
    }

    fn column(&self, name: &str) -> &[Option<f64>] {
        self.columns.iter().find(|(column, _)| column == name).map_or(&[], |(_, values)| values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_may_have_holes() {
        let history = History::parse("epoch,step,loss,valid_mean_recall\n1,1,2.5,\n1,2,NaN,\n2,1,2.25,0.5\n").unwrap();
        assert_eq!(history.curves().collect::<Vec<_>>(), ["loss", "valid_mean_recall"]);
        assert_eq!(history.points("loss"), [(1.0, 2.5), (3.0, 2.25)]);
        assert_eq!(history.points("valid_mean_recall"), [(3.0, 0.5)]);
        assert_eq!(history.epoch_ends(), [2.0]);
    }

    #[test]
    fn a_first_line_without_a_loss_is_the_start() {
        let history = History::parse("epoch,step,loss,valid_mean_recall\n0,0,,0.25\n1,0,2.5,\n1,1,2.25,0.5\n").unwrap();
        assert_eq!(history.points("loss"), [(1.0, 2.5), (2.0, 2.25)]);
        assert_eq!(history.points("valid_mean_recall"), [(0.0, 0.25), (2.0, 0.5)]);
        assert_eq!(history.epoch_ends(), [0.0]);
    }

    #[test]
    fn what_is_no_history_is_an_error() {
        for (csv, message) in [
            ("", "the history has no column `step`"),
            ("step,loss\n1\n", "line 2 of the history has 1 fields, not 2"),
            ("step,loss\n1,low\n", "line 2 of the history has `low` where a number should be"),
        ] {
            assert_eq!(History::parse(csv).unwrap_err().to_string(), message);
        }
    }
}
