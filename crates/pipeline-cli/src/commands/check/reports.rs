//! The verdicts for other programs: a JUnit report, and a table in Markdown for a comment on a change.

use std::fmt::Write as _;

use pipeline_experiments::gate::{Baseline, Checked, Overall, Paired, Verdict, overall};

use super::words;

/// A JUnit report with a test case for each metric; an incomparable metric is an error, any other failure a failure.
pub fn junit(spec: &str, checked: &[Checked]) -> String {
    let n = |counts: fn(Verdict) -> bool| checked.iter().filter(|checked| counts(checked.verdict)).count();
    let n_errors = n(|verdict| verdict == Verdict::NotComparable);
    let n_failures = n(|verdict| !matches!(verdict, Verdict::Passed | Verdict::NotComparable));
    let (spec, n_tests) = (escaped(spec), checked.len());
    let counts = format!("tests=\"{n_tests}\" failures=\"{n_failures}\" errors=\"{n_errors}\"");
    let cases: String = checked.iter().map(|checked| test_case(&spec, checked)).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"pipeline check\" {counts}>\n  \
         <testsuite name=\"{spec}\" {counts}>\n{cases}  </testsuite>\n</testsuites>\n"
    )
}

fn test_case(spec: &str, checked: &Checked) -> String {
    let stage = checked.stage.as_ref().map_or(String::new(), |stage| format!(".{stage}"));
    let head = format!("    <testcase classname=\"{spec}{stage}\" name=\"{}\"", escaped(&checked.metric));
    let element = match checked.verdict {
        Verdict::Passed => return format!("{head}/>\n"),
        Verdict::NotComparable => "error",
        _ => "failure",
    };
    let (kind, message) = (escaped(words(checked.verdict)), escaped(&checked.detail));
    format!("{head}>\n      <{element} type=\"{kind}\" message=\"{message}\"/>\n    </testcase>\n")
}

/// A heading with the overall verdict, a table of the metrics, a remark on each, and the person who accepted the
/// baseline.
pub fn markdown(spec: &str, accepted: Option<&Baseline>, checked: &[Checked]) -> String {
    let verdict = match overall(checked) {
        Overall::Passed => "passed",
        Overall::NotComparable => "not comparable",
        Overall::Failed => "**FAILED**",
    };
    let mut text = format!("### `pipeline check` of {}: {verdict}\n\n", in_cell(spec));
    text.push_str(
        "| metric | stage | accepted | current | change | 95% | p | verdict |\n|---|---|---|---|---|---|---|---|\n",
    );
    checked.iter().for_each(|checked| text.push_str(&row(checked)));
    for checked in checked.iter().filter(|checked| !checked.detail.is_empty()) {
        let _ = write!(text, "\n- `{}` {}", checked.metric, checked.detail);
    }
    if let Some(baseline) = accepted {
        let reason = baseline.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        let _ = write!(text, "\n\nAccepted {} by {}{reason}.", baseline.accepted_at, baseline.accepted_by);
    }
    text.push('\n');
    text
}

fn row(checked: &Checked) -> String {
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.4}"));
    let change = checked.accepted.zip(checked.current).map(|(accepted, current)| current - accepted);
    let change = change.map_or("–".to_owned(), |change| format!("{change:+.4}"));
    let interval = |Paired { low, high, .. }: Paired| format!("{low:+.4} … {high:+.4}");
    let cells = [
        in_cell(&checked.metric),
        checked.stage.as_ref().map_or("–".to_owned(), |stage| in_cell(stage.as_str())),
        number(checked.accepted),
        number(checked.current),
        change,
        checked.paired.map_or("–".to_owned(), interval),
        number(checked.paired.map(|paired| paired.p)),
        words(checked.verdict).to_owned(),
    ];
    format!("| {} |\n", cells.join(" | "))
}

fn in_cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// The text escaped for XML; control characters, which XML cannot hold, become spaces.
fn escaped(text: &str) -> String {
    let escape = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        c if c.is_control() => " ".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_reports() {
        assert_eq!(escaped("a<b & \"c\"\n"), "a&lt;b &amp; &quot;c&quot; ");
        assert_eq!(in_cell("a|b"), "a\\|b");
    }
}
