//! The texts in the boxes: names of stages and kinds, broken where a narrow terminal asks for it.

use console::measure_text_width;

use crate::graph_text::DrawnStage;

/// The widest state in a box, in columns.
const MAX_STATE: usize = 28;

/// A way to label boxes.
#[derive(Debug, Clone, Copy)]
pub struct Labels {
    /// The columns at which names are broken.
    columns: usize,
    /// Whether the kinds are shown.
    has_kinds: bool,
}

impl Labels {
    /// All ways, the widest first.
    pub fn choices() -> [Self; 6] {
        [(usize::MAX, true), (20, true), (16, true), (16, false), (12, false), (9, false)]
            .map(|(columns, has_kinds)| Self { columns, has_kinds })
    }

    /// The lines of a box.
    pub fn of(self, stage: &DrawnStage) -> Vec<String> {
        let mut lines = broken(&stage.stage, self.columns);
        if self.has_kinds && stage.kind != stage.stage {
            lines.push(format!("({})", stage.kind));
        }
        lines.extend(stage.state.as_ref().map(|state| state.words_in(self.columns.min(MAX_STATE))));
        lines
    }
}

/// A name in lines of at most `columns`, broken behind hyphens, dots and underscores alone.
fn broken(name: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in name.split_inclusive(['-', '.', '_']) {
        let last = lines.last_mut().expect("there is a first line");
        if last.is_empty() || measure_text_width(last) + measure_text_width(part) <= columns {
            last.push_str(part);
        } else {
            lines.push(part.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_break_behind_their_hyphens() {
        assert_eq!(broken("train-text-features", 12), ["train-text-", "features"]);
        assert_eq!(broken("evaluation", 4), ["evaluation"]);
        assert_eq!(broken("a-b-c", usize::MAX), ["a-b-c"]);
    }
}
