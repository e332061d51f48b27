//! `load-queries`: MUGE query lines to Parquet.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pipeline_core::cut::CutSizes;
use pipeline_core::{
    Computation, Cut, Digest, InRows, OpenRows, Shard, ShardReport, ShardedStage, Source, Stage, StageContext,
    StageError, StageReport, StageWork, Work,
};
use pipeline_data::{QueryReading, QueryRow};
use pipeline_spec::{SpecError, SpecPath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::{self, RejectedRow, Wanted};
use crate::kind::{BuildContext, Format, Kind, manifest_params, schema};
use crate::published;
use crate::seconds::Seconds;

/// A query row is about 100 bytes, and 2,048 text vectors of 768 numbers are 6 MiB.
pub(crate) const SIZES: CutSizes = CutSizes { min_rows: 512, target_rows: 2048, max_rows: 8192 };

const WANTED: Wanted = Wanted {
    rows: "queries",
    row: "line",
    looks: "JSON objects, one a line",
    help: "`load-queries` reads one JSON object a line, such as \
           {\"query_id\": 1, \"query_text\": \"red dress\", \"item_ids\": [7]}",
};

pub(crate) static KIND: Kind = Kind {
    name: "load-queries",
    version: 2,
    summary: "Reads the queries of a MUGE split (.jsonl) into Parquet",
    slots: Some(&[]),
    produces: Format::Queries,
    tokens: None,
    files: &[published::SHARDS, artifact::REJECTS],
    params_schema: schema::<LoadQueriesParams>,
    build,
};

/// The params of `load-queries`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LoadQueriesParams {
    /// The query file: one JSON object per line, with `query_id`, `query_text` and `item_ids`, or `text_id`, `text` and
    /// `image_ids`.
    // Not part of the manifest: the file's content is, as a source.
    #[serde(skip_serializing)]
    path: SpecPath,
}

struct LoadQueries {
    params: LoadQueriesParams,
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    Ok(Box::new(LoadQueries { params: pipeline_spec::params(&context.stage.params)? }))
}

impl Stage for LoadQueries {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn version(&self) -> u32 {
        KIND.version
    }

    fn params(&self) -> BTreeMap<String, String> {
        manifest_params(&self.params)
    }

    fn reads(&self) -> Vec<PathBuf> {
        vec![self.params.path.path().to_owned()]
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        let path = self.params.path.path();
        must_be_a_file(path, "path", "the query file", "a MUGE query file such as MR_valid_queries.jsonl")?;
        Ok(vec![Source { name: "path".into(), path: path.to_owned() }])
    }

    fn looked_for(&self) -> Vec<PathBuf> {
        vec![self.params.path.path().to_owned()]
    }

    fn work(&self) -> StageWork<'_> {
        StageWork::Sharded(self)
    }
}

impl ShardedStage for LoadQueries {
    fn cut(&self) -> Cut {
        Cut::Rows(SIZES)
    }

    fn in_rows(&self) -> InRows {
        InRows { sources: &["path"], ..InRows::default() }
    }

    fn shard_name(&self, shard_idx: usize) -> String {
        artifact::shard_name(shard_idx)
    }

    fn open<'a>(&'a self, context: &'a StageContext<'a>) -> Result<Box<dyn OpenRows + 'a>, StageError> {
        let start = Instant::now();
        let path = self.params.path.path();
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        let reading = pipeline_data::read_queries(path, &mut |line, row| {
            rows.push(row);
            lines.push(line);
            artifact::go_on(context)
        })
        .map_err(|error| artifact::unreadable("the queries cannot be read", error))?;
        let QueryReading { skipped, remarks } = reading;
        let rejects: Vec<_> =
            skipped.into_iter().map(|skip| RejectedRow { line: skip.line, id: None, reason: skip.reason }).collect();
        if rows.is_empty() {
            return Err(artifact::nothing_usable(path, &WANTED, &rejects));
        }
        artifact::warn_rejects(context, "line", &rejects);
        for remark in remarks.into_iter().chain(pipeline_data::repeated_ids(&rows, &lines)) {
            context.host.warn(remark.to_string());
        }
        let digests = rows.iter().map(|row| Digest::from_bytes(row.digest())).collect();
        let seconds = Seconds::default();
        seconds.spent(Work::Read, start);
        Ok(Box::new(QueryRows { rows, digests, rejects, seconds }))
    }
}

/// The queries of a file.
struct QueryRows {
    rows: Vec<QueryRow>,
    digests: Vec<Digest>,
    rejects: Vec<RejectedRow>,
    seconds: Seconds,
}

impl OpenRows for QueryRows {
    fn digests(&self) -> &[Digest] {
        &self.digests
    }

    fn read(&self, units: Range<usize>) -> Result<Box<Computation<'_>>, StageError> {
        Ok(Box::new(move |output| {
            let start = Instant::now();
            let rows = &self.rows[units];
            pipeline_data::write_query_shard(output.path, rows)
                .map_err(|error| StageError::because("a shard cannot be written", error))?;
            self.seconds.spent(Work::Write, start);
            Ok(ShardReport { n_rows: rows.len() as u64, ..ShardReport::default() })
        }))
    }

    fn finish(&self, _: &[Shard], scratch: &Path) -> Result<StageReport, StageError> {
        artifact::write_rejects(scratch, &self.rejects)?;
        Ok(StageReport {
            n_rows: Some(self.rows.len() as u64),
            n_rejected: self.rejects.len() as u64,
            seconds: self.seconds.all(),
            ..StageReport::default()
        })
    }
}

/// Fails with a message for users unless `path`, the value of `param`, is a file.
pub(crate) fn must_be_a_file(path: &Path, param: &str, what: &str, help: &str) -> Result<(), StageError> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(StageError::new(format!("{what} `{}` is not a file", path.display()))
            .with_help(format!("`{param}` must name {help}"))),
        Err(error) => Err(StageError::because(format!("{what} `{}` cannot be read", path.display()), error)
            .with_help(format!("`{param}` must name {help}; paths are relative to the spec file"))),
    }
}
