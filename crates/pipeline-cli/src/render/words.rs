//! Reasons and changes in words.

use std::collections::BTreeMap;

use pipeline_core::{Digest, LineChange, Numerics, RunReason, Work};
use pipeline_engine::ShardCount;
use pipeline_experiments::recorded::RunLog;
use pipeline_stages::Format;

use crate::format::{count, counted, duration};
use crate::render::rate::Rate;

/// Such as `2 of 253 shards`.
pub fn of_shards(n: u64, n_shards: u64) -> String {
    format!("{} of {}", count(n), counted(n_shards, "shard"))
}

/// The shards of a stage that a plan would run.
pub fn shards(shards: ShardCount) -> String {
    of_shards(shards.n_missing as u64, shards.n_shards as u64)
}

/// A reason in a few words, such as `param.temperature 0.07 -> 0.05`.
pub fn reason(reason: &RunReason) -> String {
    match reason {
        RunReason::New => "new".to_owned(),
        RunReason::Forced => "forced".to_owned(),
        RunReason::RecordLost => "the record of its result is lost or damaged".to_owned(),
        RunReason::OtherNumerics { numerics: computed } => {
            format!("its result was computed with other arithmetic ({})", numerics(computed))
        }
        RunReason::Demanded { reader } => format!("its files are gone and `{reader}` needs them"),
        RunReason::Changed { changes } => match changes.as_slice() {
            [] => "its files are gone".to_owned(),
            [only] => change(only),
            [first, rest @ ..] => format!("{} and {} more", change(first), rest.len()),
        },
    }
}

/// Classes of arithmetic, such as `fma` or `cuda and fma`.
pub fn numerics(classes: &[Numerics]) -> String {
    if classes.is_empty() {
        return "unknown".to_owned();
    }
    classes.iter().map(|class| class.name()).collect::<Vec<_>>().join(" and ")
}

/// A changed line of a manifest in a few words; digests are omitted.
pub fn change(change: &LineChange) -> String {
    let name = &change.name;
    match (&change.old, &change.new) {
        (Some(old), Some(new)) if is_digest(name) || hidden(old).or(hidden(new)).is_some() => format!("{name} changed"),
        (Some(old), Some(new)) => {
            let (old, new) = around_difference(old, new);
            format!("{name} {old} -> {new}")
        }
        (None, Some(new)) if is_digest(name) || new.is_empty() || hidden(new).is_some() => format!("{name} is new"),
        (None, Some(new)) => format!("{name} is new: {}", shortened(new)),
        (Some(old), None) if is_digest(name) || old.is_empty() || hidden(old).is_some() => format!("{name} is gone"),
        (Some(old), None) => format!("{name} is gone: {}", shortened(old)),
        (None, None) => name.clone(),
    }
}

/// A changed line in full, as `pipeline why` shows it.
pub fn change_in_full(change: &LineChange) -> String {
    let is_hidden = change.old.iter().chain(&change.new).any(|value| hidden(value).is_some());
    let shown = |value: &Option<String>| match value {
        Some(digest) if is_digest(&change.name) => digest.chars().take(12).collect(),
        // Even beside a value that was not hidden yet.
        Some(value) if is_hidden => hidden(value).unwrap_or("(hidden)").chars().take(12).collect(),
        Some(value) => value.clone(),
        None => "(none)".to_owned(),
    };
    format!("{}: {} -> {}", change.name, shown(&change.old), shown(&change.new))
}

/// A stage's adoption: the key under which the result was computed, and the versions of the code then and now.
pub fn adoption(from: &Digest, old_version: &str, new_version: &str) -> String {
    format!("from {} (version {old_version} -> {new_version})", from.short())
}

/// The times of a stage by kind of work, the longest first: `forward 12.3 s · write 0.1 s · 41 rows/s · 2 threads`.
/// `None` when the stage reports no times.
pub fn spent(
    seconds_by_work: &BTreeMap<Work, f64>,
    n_rows_computed: u64,
    seconds: f64,
    n_threads: usize,
) -> Option<String> {
    let total: f64 = seconds_by_work.values().sum();
    // Every stage has `store`, even one whose program reports nothing.
    if seconds_by_work.keys().all(|work| *work == Work::Store) {
        return None;
    }
    let mut works: Vec<_> = seconds_by_work.iter().filter(|(_, spent)| **spent >= total * LEAST_SHARE).collect();
    works.sort_by(|a, b| b.1.total_cmp(a.1));
    let mut parts: Vec<String> = works.iter().map(|(work, spent)| format!("{work} {}", duration(**spent))).collect();
    if n_rows_computed > 0 {
        parts.push(format!("{} rows/s", speed(n_rows_computed as f64 / seconds.max(1e-3))));
    }
    parts.push(counted(n_threads as u64, "thread"));
    Some(parts.join(" · "))
}

/// The smallest share of the time that is shown.
const LEAST_SHARE: f64 = 0.005;

fn speed(rows_per_second: f64) -> String {
    if rows_per_second < 10.0 { format!("{rows_per_second:.1}") } else { count(rows_per_second as u64) }
}

/// The progress of a stage: rows, speed, remaining time.
pub fn progress(n_done: u64, total: Option<u64>, rate: &Rate) -> String {
    let mut parts = vec![match total {
        Some(total) => format!("{}/{} rows", count(n_done), count(total)),
        None => format!("{} rows", count(n_done)),
    }];
    if let Some(rows_per_second) = rate.rows_per_second() {
        parts.push(format!("{} rows/s", speed(rows_per_second)));
    }
    if let Some(seconds) = total.and_then(|total| rate.seconds_left(total)).filter(|seconds| *seconds > 0.0) {
        parts.push(format!("ETA {}", seconds_left(seconds)));
    }
    parts.join(", ")
}

/// An estimated time, which is not exact to a tenth of a second.
pub fn seconds_left(seconds: f64) -> String {
    if seconds < 59.5 { format!("{seconds:.0} s") } else { duration(seconds) }
}

/// The summary of a run in one line, such as `7 stages: 2 ran, 5 reused, 0.8 s`.
pub fn summary(log: &RunLog) -> String {
    let n_failed = log.failures.len() as u64;
    let mut parts = Vec::new();
    match log.n_ran {
        0 if n_failed == 0 => parts.push("nothing ran".to_owned()),
        n_ran => parts.push(format!("{} ran", count(n_ran))),
    }
    let counts = [(n_failed, "failed"), (log.n_reused, "reused"), (log.n_skipped, "skipped")];
    parts.extend(counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", count(*n))));
    if log.n_published > 0 {
        parts.push(format!("{} published", counted(log.n_published, "file")));
    }
    if log.n_warnings > 0 {
        parts.push(counted(log.n_warnings, "warning"));
    }
    parts.push(duration(log.seconds));
    format!("{}: {}", counted(log.n_stages, "stage"), parts.join(", "))
}

/// The digest in a manifest in place of a value that may be a secret.
fn hidden(value: &str) -> Option<&str> {
    value.strip_prefix(r#"{"blake3":""#)?.strip_suffix(r#""}"#)
}

fn is_digest(name: &str) -> bool {
    name.starts_with("input.") || name.starts_with("source.")
}

/// The longest value that is shown in full, in characters.
const LONGEST: usize = 40;

/// Both values; long ones are cut to the part around their first difference.
fn around_difference(old: &str, new: &str) -> (String, String) {
    const BEFORE: usize = 12;
    if old.chars().count().max(new.chars().count()) <= LONGEST {
        return (old.to_owned(), new.to_owned());
    }
    let n_common = old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count();
    let begin = n_common.saturating_sub(BEFORE);
    (excerpt(old, begin), excerpt(new, begin))
}

fn shortened(value: &str) -> String {
    excerpt(value, 0)
}

/// The text from character number `begin` on, with ellipses where parts are left out.
fn excerpt(text: &str, begin: usize) -> String {
    let rest: Vec<char> = text.chars().skip(begin).collect();
    let before = if begin > 0 { "…" } else { "" };
    let (shown, after) = if rest.len() <= LONGEST { (rest.as_slice(), "") } else { (&rest[..LONGEST - 1], "…") };
    format!("{before}{}{after}", shown.iter().collect::<String>())
}

/// Whether the headline of a stage of this kind is a result, which a run prints on stdout.
pub fn has_result_line(kind: &str) -> bool {
    [Format::Evaluation, Format::Files].into_iter().any(|format| pipeline_stages::makes(kind, format))
}

#[cfg(test)]
mod tests {
    use pipeline_experiments::recorded::FailedStage;

    use super::*;

    fn line(name: &str, old: Option<&str>, new: Option<&str>) -> LineChange {
        LineChange { name: name.into(), old: old.map(Into::into), new: new.map(Into::into) }
    }

    #[test]
    fn the_summary_says_what_happened() {
        let check = |change: &dyn Fn(&mut RunLog), expect: &str| {
            let mut log = RunLog::default();
            change(&mut log);
            assert_eq!(summary(&log), expect);
        };
        let two_ran = |log: &mut RunLog| (log.n_stages, log.n_ran, log.n_reused, log.seconds) = (7, 2, 5, 0.81);
        check(&two_ran, "7 stages: 2 ran, 5 reused, 0.8 s");
        let reused = |log: &mut RunLog| (log.n_stages, log.n_reused, log.seconds) = (1, 1, 0.02);
        check(&reused, "1 stage: nothing ran, 1 reused, 20 ms");
        let failed = |log: &mut RunLog| {
            log.failures.push(FailedStage { stage: "a".parse().unwrap(), errors: vec![], help: None });
            (log.n_stages, log.n_skipped, log.seconds) = (3, 2, 1.0);
        };
        check(&failed, "3 stages: 0 ran, 1 failed, 2 skipped, 1.0 s");
    }

    #[test]
    fn a_reason_names_what_changed() {
        let check = |changes: Vec<LineChange>, expect: &str| {
            assert_eq!(reason(&RunReason::Changed { changes }), expect);
        };
        check(vec![line("param.temperature", Some("0.07"), Some("0.05"))], "param.temperature 0.07 -> 0.05");
        check(vec![line("source.path", Some("aa"), Some("bb"))], "source.path changed");
        check(
            vec![line("param.a", None, Some("1")), line("version", Some("1"), Some("2"))],
            "param.a is new: 1 and 1 more",
        );
        check(vec![], "its files are gone");
    }

    #[test]
    fn the_longest_work_comes_first() {
        let seconds =
            |spent: &[(&str, f64)]| spent.iter().map(|(work, s)| (Work::from((*work).to_owned()), *s)).collect();
        let spent_by = seconds(&[("forward", 12.3), ("read", 0.2), ("load", 0.01), ("write", 0.1)]);
        assert_eq!(
            spent(&spent_by, 512, 12.6, 2).unwrap(),
            "forward 12.3 s · read 0.2 s · write 0.1 s · 40 rows/s · 2 threads"
        );
        assert_eq!(spent(&seconds(&[("train", 2.0)]), 0, 2.5, 1).unwrap(), "train 2.0 s · 1 thread");
        assert_eq!(spent(&seconds(&[("store", 2.0)]), 0, 2.5, 1), None, "a program reports no work");
    }

    #[test]
    fn long_values_are_shown_where_they_differ() {
        let value = |n: u32| format!(r#"["sh","-c","a program with a long name --number {n} and more arguments"]"#);
        let text = change(&line("param.run", Some(&value(5)), Some(&value(7))));
        assert_eq!(text, r#"param.run …me --number 5 and more arguments"] -> …me --number 7 and more arguments"]"#);
    }

    #[test]
    fn the_full_form_keeps_long_values_and_shortens_digests() {
        let digest = "0123456789abcdef".repeat(4);
        let text = change_in_full(&line("input.text", Some(&digest), None));
        assert_eq!(text, "input.text: 0123456789ab -> (none)");
        let long = "x".repeat(100);
        assert!(change_in_full(&line("param.run", Some(&long), None)).contains(&long));
    }
}
