//! Reads the queries of any form, and takes those of a split.

use pipeline_core::{StageContext, StageError};
use pipeline_data::{QueryReading, QueryRow, QueryTable, TableForm, TableQueries, ValuesWithoutRows};

use super::params::{Group, LoadQueriesParams, QueryForm};
use crate::artifact::{self, RejectedRow};
use crate::split::Split;

/// The queries of files.
#[derive(Default)]
pub(super) struct Queries {
    pub(super) rows: Vec<QueryRow>,
    pub(super) rejects: Vec<RejectedRow>,
    pub(super) remarks: Vec<String>,
    /// Values of the split that no row has.
    pub(super) values_without_rows: Option<ValuesWithoutRows>,
}

/// Reads the queries that are taken.
pub(super) fn queries(
    params: &LoadQueriesParams,
    split: Option<&Split>,
    context: &StageContext<'_>,
) -> Result<Queries, StageError> {
    let mut queries = match params.form() {
        QueryForm::Muge => muge(params, context)?,
        QueryForm::Table(form) => table(params, form, split, context)?,
    };
    if let Some(Split::Part { part, .. }) = split {
        queries.take_part(split, part);
    }
    if params.group == Some(Group::Text) {
        queries.rows = TableQueries::grouped(std::mem::take(&mut queries.rows));
    }
    Ok(queries)
}

fn muge(params: &LoadQueriesParams, context: &StageContext<'_>) -> Result<Queries, StageError> {
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    let reading = pipeline_data::read_queries(params.path.path(), &mut |line, row| {
        rows.push(row);
        lines.push(line);
        artifact::go_on(context)
    })
    .map_err(|error| artifact::unreadable("the queries cannot be read", error))?;
    let QueryReading { skipped, remarks } = reading;
    let reject = |skip: pipeline_data::SkippedLine| RejectedRow {
        file: None,
        line: Some(skip.line),
        id: None,
        reason: skip.reason,
    };
    let remarks = remarks.into_iter().chain(pipeline_data::repeated_ids(&rows, &lines));
    let remarks = remarks.map(|remark| remark.to_string()).collect();
    if let Some(part) = params.image_id {
        rows = rows.into_iter().map(|row| with_parts(row, part.part())).collect();
    }
    let rejects = skipped.into_iter().map(reject).collect();
    Ok(Queries { rows, rejects, remarks, values_without_rows: None })
}

fn with_parts(row: QueryRow, part: pipeline_data::ImageIdPart) -> QueryRow {
    let parts = |ids: Vec<String>| ids.iter().map(|id| part.of(id).to_owned()).collect();
    QueryRow { image_ids: row.image_ids.map(parts), ..row }
}

fn table(
    params: &LoadQueriesParams,
    form: TableForm,
    split: Option<&Split>,
    context: &StageContext<'_>,
) -> Result<Queries, StageError> {
    let files = params.files()?;
    let table = QueryTable {
        form,
        files: &files,
        columns: &params.columns(),
        filter: Split::filter(split),
        image_id: params.image_id.map(|part| part.part()),
        is_cancelled: &|| context.host.is_cancelled(),
    };
    let read = table.read().map_err(|error| artifact::unreadable("the queries cannot be read", error))?;
    let rejects = read.skipped.into_iter().map(|skip| RejectedRow::at(skip.place, None, skip.reason)).collect();
    let TableQueries { rows, remarks, values_without_rows, .. } = read;
    Ok(Queries { rows, rejects, remarks, values_without_rows })
}

impl Queries {
    /// Keeps the queries with an image of the part, and of their images only those: an image of another part must not
    /// count where it cannot be found.
    fn take_part(&mut self, split: Option<&Split>, part: &str) {
        let (mut n_unlabelled, mut n_cut) = (0, 0);
        self.rows.retain_mut(|row| {
            let Some(ids) = &mut row.image_ids else {
                n_unlabelled += 1;
                return false;
            };
            let n_before = ids.len();
            ids.retain(|id| Split::takes(split, id));
            n_cut += u64::from(!ids.is_empty() && ids.len() < n_before);
            !ids.is_empty()
        });
        if n_unlabelled > 0 {
            self.remarks.push(format!("{n_unlabelled} queries name no image and are in no part"));
        }
        if n_cut > 0 {
            self.remarks.push(format!(
                "{n_cut} queries of `{part}` name images of other parts, too, which are left out of them"
            ));
        }
    }
}
