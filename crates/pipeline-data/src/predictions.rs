//! MUGE's prediction file, and a score by the rules of its public evaluator.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::RankingRow;

/// Ids per line: the evaluator wants exactly so many.
const N_IDS: usize = 10;

/// Writes one `{"query_id": …, "item_ids": […]}` a line, ids as integers where they are. Returns the number of lines.
///
/// The evaluator wants ten different ids a line: where the pool has fewer images, a line has fewer.
///
/// # Errors
/// When `out` fails.
pub fn write_predictions(out: &mut dyn Write, rankings: &[RankingRow]) -> io::Result<u64> {
    for row in rankings {
        let ids: Vec<Value> = row.top_ids.iter().take(N_IDS).map(|id| as_id(id)).collect();
        let query_id = row.query_id.as_deref().map_or(Value::Null, as_id);
        let line = json!({ "query_id": query_id, "item_ids": ids });
        writeln!(out, "{line}")?;
    }
    Ok(rankings.len() as u64)
}

/// An integer if the text is the canonical text of one.
fn as_id(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => number.into(),
        _ => text.into(),
    }
}

/// What the evaluator finds: fractions of the queries, in 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Queries with a relevant image first.
    pub recall_at_1: f64,
    /// Queries with a relevant image among the first five.
    pub recall_at_5: f64,
    /// Queries with a relevant image among the first ten.
    pub recall_at_10: f64,
    /// The mean of the three.
    pub mean_recall: f64,
}

/// Scores a prediction file by the evaluator's rules, given the relevant ids of each query.
///
/// # Errors
/// What the evaluator would refuse: a blank line, a line that is not such an object, not ten different integer ids, an
/// unknown, repeated or missing query.
pub fn score(predictions: &str, relevant: &BTreeMap<i64, BTreeSet<i64>>) -> Result<Score, String> {
    let mut hits = [0_u64; 3];
    let mut seen = BTreeSet::new();
    for (line_idx, line) in predictions.lines().enumerate() {
        let failed = |what: &str| format!("line {}: {what}", line_idx + 1);
        let value: Value = serde_json::from_str(line).map_err(|_| failed("not JSON"))?;
        let query = value["query_id"].as_i64().ok_or_else(|| failed("no integer `query_id`"))?;
        let ids = value["item_ids"].as_array().ok_or_else(|| failed("no list `item_ids`"))?;
        let ids: Option<Vec<i64>> = ids.iter().map(Value::as_i64).collect();
        let ids = ids.ok_or_else(|| failed("ids must be integers"))?;
        if ids.len() != N_IDS || ids.iter().collect::<BTreeSet<_>>().len() != N_IDS {
            return Err(failed("there must be ten different ids"));
        }
        let wanted = relevant.get(&query).ok_or_else(|| failed("unknown query"))?;
        if !seen.insert(query) {
            return Err(failed("the query comes twice"));
        }
        let first = ids.iter().position(|id| wanted.contains(id));
        for (hit, k) in hits.iter_mut().zip([1, 5, 10]) {
            *hit += u64::from(first.is_some_and(|first| first < k));
        }
    }
    if seen.len() != relevant.len() {
        return Err(format!("{} queries have no line", relevant.len() - seen.len()));
    }
    let [recall_at_1, recall_at_5, recall_at_10] = hits.map(|hits| hits as f64 / relevant.len().max(1) as f64);
    let mean_recall = (recall_at_1 + recall_at_5 + recall_at_10) / 3.0;
    Ok(Score { recall_at_1, recall_at_5, recall_at_10, mean_recall })
}
