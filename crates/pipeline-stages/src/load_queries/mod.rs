//! `load-queries`: the queries of a data set to Parquet.

mod params;
mod read;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pipeline_core::cut::CutSizes;
use pipeline_core::{
    Computation, Cut, Digest, InRows, OpenRows, Shard, ShardReport, ShardedStage, Source, Stage, StageContext,
    StageError, StageReport, StageWork, Work,
};
use pipeline_data::QueryRow;
use pipeline_spec::SpecError;

use crate::artifact::{self, RejectedRow, Wanted};
use crate::decode_images::ImageIdName;
use crate::kind::{BuildContext, Format, Kind, manifest_params, schema};
use crate::missing_file;
use crate::published;
use crate::seconds::Seconds;
use crate::split::Split;
use crate::table_files;
use params::{LoadQueriesParams, QueryForm};

/// A query row is about 100 bytes, and 2,048 text vectors of 768 numbers are 6 MiB.
pub(crate) const SIZES: CutSizes = CutSizes { min_rows: 512, target_rows: 2048, max_rows: 8192 };

const WANTED: Wanted = Wanted {
    rows: "queries",
    row: "line",
    looks: "JSON objects, one a line",
    help: "`load-queries` reads one JSON object a line, such as \
           {\"query_id\": 1, \"query_text\": \"red dress\", \"item_ids\": [7]}; \
           `columns: { text: NAME, item_ids: NAME }` names other fields",
};

/// Any form but JSON Lines of MUGE.
const WANTED_IN_TABLES: Wanted = Wanted {
    row: "row",
    looks: "",
    help: "`columns: { text: …, item_ids: … }` names the columns of texts and of images; `split` chooses rows",
    ..WANTED
};

pub(crate) static KIND: Kind = Kind {
    name: "load-queries",
    version: 3,
    summary: "Reads queries from JSON Lines, CSV, TSV, Parquet or tars into Parquet",
    slots: Some(&[]),
    produces: Format::Queries,
    tokens: None,
    files: &[published::SHARDS, artifact::REJECTS],
    params_schema: schema::<LoadQueriesParams>,
    build,
};

struct LoadQueries {
    params: LoadQueriesParams,
    split: Option<Split>,
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    let params = LoadQueriesParams::read(&context.stage.params)?;
    let split = Split::read(&context.stage.params, params.split.as_ref())?;
    Ok(Box::new(LoadQueries { params, split }))
}

impl Stage for LoadQueries {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn version(&self) -> u32 {
        KIND.version
    }

    fn params(&self) -> BTreeMap<String, String> {
        let mut params = manifest_params(&self.params);
        let form = self.params.form().word();
        params.extend(form.map(|form| ("form".to_owned(), format!("\"{form}\""))));
        let is_place = self.params.image_id == Some(ImageIdName::Place);
        params.extend(is_place.then(|| table_files::place_param(self.params.path.path())).flatten());
        params
    }

    fn check(&self) -> Result<(), StageError> {
        self.params.check(self.split.as_ref())
    }

    fn reads(&self) -> Vec<PathBuf> {
        table_files::reads(self.params.path.path())
    }

    fn places(&self) -> Vec<PathBuf> {
        table_files::places(self.params.path.path())
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        Ok(table_files::sources(&self.params.files()?))
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
        InRows {
            params: &["columns", "file", "form", "group", "image_id", "split"],
            sources: &["path"],
            ..InRows::default()
        }
    }

    fn shard_name(&self, shard_idx: usize) -> String {
        artifact::shard_name(shard_idx)
    }

    fn open<'a>(&'a self, context: &'a StageContext<'a>) -> Result<Box<dyn OpenRows + 'a>, StageError> {
        let start = Instant::now();
        let read::Queries { rows, rejects, remarks, values_without_rows } =
            read::queries(&self.params, self.split.as_ref(), context)?;
        if rows.is_empty()
            && let Some(missing) = values_without_rows.as_ref().filter(|missing| missing.are_all)
        {
            return Err(Split::takes_no_row(self.params.path.path(), "queries", &missing.reason));
        }
        if rows.is_empty() {
            let wanted = if self.params.form() == QueryForm::Muge { &WANTED } else { &WANTED_IN_TABLES };
            let error = artifact::nothing_usable(self.params.path.path(), wanted, &rejects);
            let ending = table_files::ending_of_table(self.params.path.path()).filter(|_| wanted.looks == WANTED.looks);
            return Err(match ending {
                Some((looks, ending)) => error.with_help(format!(
                    "it looks like {looks}: a table of captions is read where its name ends in `{ending}`"
                )),
                None => error,
            });
        }
        let unit = table_files::unit(self.params.path.path());
        artifact::warn_rejects(context, unit, self.params.path.path(), |_| None, &rejects);
        let missing = values_without_rows.map(|missing| missing.reason);
        remarks.into_iter().chain(missing).for_each(|remark| context.host.warn(remark));
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
        Err(error) => Err(StageError::because(format!("{what} `{}` cannot be read", path.display()), error).with_help(
            missing_file::help(path)
                .unwrap_or_else(|| format!("`{param}` must name {help}; paths are relative to the spec file")),
        )),
    }
}
