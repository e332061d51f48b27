//! MUGE's prediction file, and a score by the rules of its public evaluator.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, Write};

use serde_json::{Value, json};

use pipeline_eval::RankingRow;

/// The number of ids per line that the evaluator requires.
const N_IDS: usize = 10;

/// The field names of a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `query_id` and `item_ids`: Tianchi's.
    Muge,
    /// `text_id` and `image_ids`: Chinese-CLIP's.
    ChineseClip,
}

/// The number of written lines, and of those that the evaluator will not count or accept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WrittenPredictions {
    /// All lines.
    pub n_lines: u64,
    /// Lines whose query has no id.
    pub n_without_id: u64,
    /// Lines with an id that is not an integer, of the query or of an image.
    pub n_with_texts: u64,
    /// Lines whose query has an earlier line.
    pub n_repeated: u64,
    /// Lines with fewer than ten ids, since the pool has no more.
    pub n_short: u64,
}

impl WrittenPredictions {
    /// Warnings before a submission, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let counts = [
            (self.n_without_id, "no query id, which MUGE's evaluator refuses"),
            (self.n_with_texts, "an id that is not an integer, which MUGE's evaluator refuses"),
            (self.n_repeated, "the query id of an earlier line; MUGE's evaluator counts the last"),
            (self.n_short, "fewer than ten image ids, since the pool has no more; MUGE's evaluator refuses that"),
        ];
        let counted = counts.into_iter().filter(|(n_lines, _)| *n_lines > 0);
        let sentence = |(n_lines, what)| match n_lines {
            1 => format!("1 line has {what}"),
            _ => format!("{n_lines} lines have {what}"),
        };
        counted.map(sentence).collect()
    }

    fn count(&mut self, query_id: &Value, ids: &[Value], is_repeated: bool) {
        let is_text = |id: &Value| !id.is_i64() && !id.is_null();
        self.n_lines += 1;
        self.n_without_id += u64::from(query_id.is_null());
        self.n_with_texts += u64::from(is_text(query_id) || ids.iter().any(is_text));
        self.n_repeated += u64::from(is_repeated);
        self.n_short += u64::from(ids.len() < N_IDS);
    }
}

/// Writes one `{"query_id": …, "item_ids": […]}` per line, with ids as integers where possible.
///
/// The evaluator requires ten different ids per line: where the pool has fewer images, a line has fewer.
///
/// # Errors
/// When `out` fails.
pub fn write_predictions(
    out: &mut dyn Write,
    dialect: Dialect,
    rankings: &[RankingRow],
) -> io::Result<WrittenPredictions> {
    let [query, items] = match dialect {
        Dialect::Muge => ["query_id", "item_ids"],
        Dialect::ChineseClip => ["text_id", "image_ids"],
    };
    let mut written = WrittenPredictions::default();
    let mut seen = HashSet::new();
    for row in rankings {
        let ids: Vec<Value> = row.top_ids.iter().take(N_IDS).map(|id| as_id(id)).collect();
        let query_id = row.query_id.as_deref().map_or(Value::Null, as_id);
        let is_repeated = row.query_id.as_deref().is_some_and(|id| !seen.insert(id));
        written.count(&query_id, &ids, is_repeated);
        let line = json!({ query: query_id, items: ids });
        writeln!(out, "{line}")?;
    }
    Ok(written)
}

/// An integer if the text is its canonical form, else the text.
fn as_id(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => number.into(),
        _ => text.into(),
    }
}

/// The evaluator's result: fractions of the queries, in 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The share of queries with a relevant image first.
    pub recall_at_1: f64,
    /// The share of queries with a relevant image among the first five.
    pub recall_at_5: f64,
    /// The share of queries with a relevant image among the first ten.
    pub recall_at_10: f64,
    /// The mean of the three.
    pub mean_recall: f64,
}

/// Scores a prediction file by the evaluator's rules, given the relevant ids of each query.
///
/// The rules are those of `cn_clip/eval/evaluation.py` of Chinese-CLIP, which calls the fields `text_id` and
/// `image_ids`. The last line of a repeated query counts, and unknown queries are ignored.
///
/// # Errors
/// Where the evaluator would fail: an invalid line (even a blank one), other than ten different integer ids, or a query
/// without a line.
pub fn score(predictions: &str, relevant: &BTreeMap<i64, BTreeSet<i64>>) -> Result<Score, String> {
    let mut answers = BTreeMap::new();
    for (line_idx, line) in predictions.lines().enumerate() {
        let (query, ids) = answer(line).map_err(|reason| format!("line {}: {reason}", line_idx + 1))?;
        answers.insert(query, ids);
    }
    let mut hits = [0_u64; 3];
    for (query, wanted) in relevant {
        let ids = answers.get(query).ok_or_else(|| format!("query {query} has no line"))?;
        let first = ids.iter().position(|id| wanted.contains(id));
        for (hit, k) in hits.iter_mut().zip([1, 5, 10]) {
            *hit += u64::from(first.is_some_and(|first| first < k));
        }
    }
    let [recall_at_1, recall_at_5, recall_at_10] = hits.map(|hits| hits as f64 / relevant.len().max(1) as f64);
    let mean_recall = (recall_at_1 + recall_at_5 + recall_at_10) / 3.0;
    Ok(Score { recall_at_1, recall_at_5, recall_at_10, mean_recall })
}

/// The query and the ids of one line.
fn answer(line: &str) -> Result<(i64, Vec<i64>), &'static str> {
    let value: Value = serde_json::from_str(line).map_err(|_| "not JSON")?;
    let query = value["query_id"].as_i64().ok_or("no integer `query_id`")?;
    let ids = value["item_ids"].as_array().ok_or("no list `item_ids`")?;
    let ids: Vec<i64> = ids.iter().map(Value::as_i64).collect::<Option<_>>().ok_or("ids must be integers")?;
    let n_different = ids.iter().collect::<BTreeSet<_>>().len();
    if ids.len() == N_IDS && n_different == N_IDS { Ok((query, ids)) } else { Err("there must be ten different ids") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(query_id: &str, top_ids: impl Iterator<Item = u32>) -> RankingRow {
        RankingRow {
            query_id: Some(query_id.to_owned()),
            query_text: "红".to_owned(),
            relevant: Vec::new(),
            rank: None,
            top_ids: top_ids.map(|id| id.to_string()).collect(),
            top_scores: Vec::new(),
        }
    }

    fn written(rankings: &[RankingRow]) -> String {
        let mut out = Vec::new();
        assert_eq!(write_predictions(&mut out, Dialect::Muge, rankings).unwrap().n_lines, rankings.len() as u64);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn ids_are_integers_where_they_are() {
        let line = written(&[ranking("7", 1..13)]);
        assert_eq!(line, "{\"query_id\":7,\"item_ids\":[1,2,3,4,5,6,7,8,9,10]}\n");
        let mut out = Vec::new();
        write_predictions(&mut out, Dialect::ChineseClip, &[ranking("7", 1..3)]).unwrap();
        assert_eq!(out, b"{\"text_id\":7,\"image_ids\":[1,2]}\n");
        for text in ["007", "8.0", "a", "", "-", "99999999999999999999"] {
            assert_eq!(as_id(text), Value::from(text));
        }
        assert_eq!(as_id("-5"), Value::from(-5));
    }

    /// The expected numbers are those of `cn_clip/eval/evaluation.py` of cn_clip 1.6.0 for these lines.
    #[test]
    fn a_written_file_has_the_score_of_the_public_evaluator() {
        let predictions = written(&[
            ranking("1", 10..20),
            ranking("2", 20..30),
            ranking("3", 30..40),
            ranking("4", 40..50),
            ranking("5", 50..60),
            ranking("6", 60..70),
            ranking("7", 70..80),
            ranking("99", 80..90),
            ranking("7", 71..81),
        ]);
        let relevant = [
            (1, vec![10]),
            (2, vec![24, 20]),
            (3, vec![34]),
            (4, vec![45, 1]),
            (5, vec![59]),
            (6, vec![70]),
            (7, vec![71]),
        ];
        let relevant = relevant.map(|(query, ids)| (query, ids.into_iter().collect())).into();
        let score = score(&predictions, &relevant).unwrap();
        let expected = [42.857142857142854, 57.14285714285714, 85.71428571428571, 61.904761904761905];
        let found = [score.recall_at_1, score.recall_at_5, score.recall_at_10, score.mean_recall];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found * 100.0 - expected).abs() < 1e-9, "{score:?}");
        }
    }

    #[test]
    fn lines_that_the_evaluator_does_not_count_are_counted() {
        let warnings =
            |rankings: &[RankingRow]| write_predictions(&mut Vec::new(), Dialect::Muge, rankings).unwrap().warnings();
        assert!(warnings(&[ranking("1", 10..20), ranking("2", 10..20)]).is_empty());
        let without_id = RankingRow { query_id: None, ..ranking("", 10..20) };
        assert_eq!(
            warnings(&[
                without_id,
                ranking("a", 10..20),
                ranking("1", 10..20),
                ranking("1", 10..19),
                ranking("1", 0..0)
            ]),
            [
                "1 line has no query id, which MUGE's evaluator refuses",
                "1 line has an id that is not an integer, which MUGE's evaluator refuses",
                "2 lines have the query id of an earlier line; MUGE's evaluator counts the last",
                "2 lines have fewer than ten image ids, since the pool has no more; MUGE's evaluator refuses that",
            ]
        );
    }

    #[test]
    fn what_the_evaluator_refuses_is_refused() {
        let relevant = BTreeMap::from([(1, BTreeSet::from([10]))]);
        let refused = |predictions: &str| score(predictions, &relevant).unwrap_err();
        assert_eq!(refused(&written(&[ranking("1", 10..19)])), "line 1: there must be ten different ids");
        assert_eq!(refused(&written(&[ranking("1a", 10..20)])), "line 1: no integer `query_id`");
        assert_eq!(refused(&(written(&[ranking("1", 10..20)]) + "\n")), "line 2: not JSON");
        assert_eq!(refused(""), "query 1 has no line");
    }
}
