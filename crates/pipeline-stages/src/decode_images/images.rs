//! The work of `decode-images`: the rows of a data set to shards of pixels.

use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use pipeline_core::{
    Computation, Digest, OpenRows, Reject, Shard, ShardReport, StageContext, StageError, StageReport, Work, error_chain,
};
use pipeline_data::{
    DECODER_BYTES, DecodeError, FileIndex, ImageRow, Images, ImagesFile, Limits, Memory, PixelRow, PixelsInfo,
    decode_within,
};
use rayon::ThreadPool;

use super::named::Named;
use super::origin::{ImageForm, Origin};
use super::params::Geometry;
use super::{QUERIES, clashes, index};
use crate::artifact::{self, RejectedRow, Wanted};
use crate::seconds::Seconds;
use crate::table_files;

/// The most shards that are decoded and written at once, each with its pixels and about as much again in memory. The
/// reader of Parquet counts on at most four.
const MAX_SIDE_BY_SIDE: usize = 4;
/// The most bytes that these take together.
const SIDE_BY_SIDE_BYTES: u64 = 1 << 30;

const WANTED: Wanted = Wanted {
    rows: "images",
    row: "row",
    looks: "tab-separated text",
    help: "`decode-images` reads an id, a tab and the base64 of an image file a line",
};

/// Any form but a TSV.
const WANTED_ELSEWHERE: Wanted = Wanted {
    looks: "",
    help: "a folder, tars and Parquet hold .jpg, .png, .webp, .gif, .bmp and .tif files",
    ..WANTED
};

/// The images of a data set.
pub(crate) struct DecodedImages<'a> {
    path: &'a Path,
    geometry: Geometry,
    wanted: &'static Wanted,
    images: Images,
    digests: Vec<Digest>,
    context: &'a StageContext<'a>,
    /// Started with the first image to decode.
    threads: OnceLock<ThreadPool>,
    /// The memory budgets of all threads' decoders, and of unfinished shards.
    decoders: Memory,
    shards: Memory,
    seconds: Seconds,
}

impl OpenRows for DecodedImages<'_> {
    fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// More than one, since a single thread writes a shard.
    fn n_workers(&self) -> usize {
        self.context.n_threads.min(MAX_SIDE_BY_SIDE)
    }

    fn read(&self, units: Range<usize>) -> Result<Box<Computation<'_>>, StageError> {
        Ok(Box::new(move |output| self.shard(&self.images.rows()[units], output.path)))
    }

    fn finish(&self, shards: &[Shard], scratch: &Path) -> Result<StageReport, StageError> {
        Ok(StageReport {
            n_rows: Some(self.images.rows().len() as u64),
            n_rejected: self.report_rejects(shards, scratch)?,
            seconds: self.seconds.all(),
            ..StageReport::default()
        })
    }
}

impl DecodedImages<'_> {
    /// Lists what gave no pixels in `scratch`, warns of it, and returns its number. `shards` have all rows.
    ///
    /// # Errors
    /// When there are no pixels at all, or the list cannot be written.
    pub(crate) fn report_rejects(&self, shards: &[Shard], scratch: &Path) -> Result<u64, StageError> {
        let mut rejects: Vec<_> = self
            .images
            .skipped()
            .iter()
            .map(|skip| RejectedRow::at(skip.place.clone(), None, skip.reason.clone()))
            .collect();
        let n_skipped = rejects.len();
        for Shard { units, report, .. } in shards {
            let rows = &self.images.rows()[units.clone()];
            rejects.extend(report.rejects.iter().map(|reject| {
                let row = &rows[reject.row_idx as usize];
                RejectedRow::at(self.images.place(row), Some(row.id.clone()), reject.reason.clone())
            }));
        }
        let n_undecodable = rejects.len() - n_skipped;
        rejects.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        if n_undecodable == self.images.rows().len() {
            return Err(artifact::nothing_usable(self.path, self.wanted, &rejects));
        }
        // A row with an id has an image that cannot be decoded; one without is no row at all.
        let is_tsv = !self.wanted.looks.is_empty();
        let column =
            |reject: &RejectedRow| (is_tsv && reject.id.is_some()).then_some("column 2 is no base64 of an image");
        let row = if table_files::unit(self.path) == "member" { "member" } else { "row" };
        artifact::warn_rejects(self.context, row, self.path, column, &rejects);
        artifact::write_rejects(scratch, &rejects)?;
        Ok(rejects.len() as u64)
    }

    /// Decodes the images of some units. Those that cannot be decoded have no pixels.
    pub(crate) fn pixels(&self, units: Range<usize>) -> Result<(Vec<PixelRow>, PixelsInfo), StageError> {
        let decoded = thread_pool(&self.threads, self.context)?.install(|| self.decode(&self.images.rows()[units]))?;
        let info = self.info(&decoded);
        Ok((decoded, info))
    }

    fn info(&self, decoded: &[PixelRow]) -> PixelsInfo {
        let target = self.geometry.target();
        let is_resized = |row: &PixelRow| row.pixels.is_some() && target.changes(row.width, row.height);
        self.geometry.pixels_info(decoded.iter().any(is_resized))
    }
}

/// The rows without pixels, and why.
pub(crate) fn rejects(decoded: &[PixelRow]) -> Vec<Reject> {
    let rejected = decoded.iter().enumerate().filter(|(_, row)| row.pixels.is_none());
    rejected.map(|(row_idx, row)| Reject { row_idx: row_idx as u64, reason: row.status.clone() }).collect()
}

impl<'a> DecodedImages<'a> {
    /// Reads the places of all images that are taken.
    pub(super) fn open(
        path: &'a Path,
        origin: &Origin<'_>,
        geometry: Geometry,
        context: &'a StageContext<'a>,
    ) -> Result<Self, StageError> {
        let start = Instant::now();
        let threads = OnceLock::new();
        let named = context.inputs.get(QUERIES).map(artifact::named_images).transpose()?;
        let named = named.map(Named::new);
        let keep = |id: &str| named.as_ref().is_none_or(|named| named.has(id));
        let keep_index =
            |file: &ImagesFile, waits, index: &FileIndex<'_>| index::keep(origin, file, context, waits, index);
        let images = thread_pool(&threads, context)?.install(|| {
            let list = |folder: &Path| context.host.source_files(folder);
            origin.open(&list, &keep, &|| context.host.is_cancelled(), Some(&keep_index))
        })?;
        origin.must_take_rows(&images)?;
        if let Some(named) = &named {
            named.tell_of_missing(path, &images, origin.max_samples.is_some(), context)?;
        }
        clashes::must_be_none(path, origin, &images)?;
        let repeated = clashes::repeated(path, origin, &images);
        images.remarks().iter().cloned().chain(repeated).for_each(|remark| context.host.warn(remark));
        let wanted = if origin.form == ImageForm::Tsv { &WANTED } else { &WANTED_ELSEWHERE };
        let digests = images.rows().iter().map(|row| Digest::from_bytes(row.row_digest())).collect();
        let seconds = Seconds::default();
        seconds.spent(Work::Scan, start);
        Ok(Self {
            path,
            geometry,
            wanted,
            images,
            digests,
            context,
            threads,
            decoders: Memory::new(DECODER_BYTES),
            shards: Memory::new(SIDE_BY_SIDE_BYTES),
            seconds,
        })
    }
}

impl DecodedImages<'_> {
    fn shard(&self, rows: &[ImageRow], path: &Path) -> Result<ShardReport, StageError> {
        // The pixels, and the column from which they are written.
        let taken = self.shards.take(2 * self.geometry.pixel_bytes(rows.len()), &|| self.context.host.is_cancelled());
        let _taken = taken.ok_or_else(StageError::cancelled)?;
        let start = Instant::now();
        let decoded = thread_pool(&self.threads, self.context)?.install(|| self.decode(rows))?;
        self.seconds.spent(Work::Decode, start);
        let start = Instant::now();
        let rejects = rejects(&decoded);
        pipeline_data::write_pixels(path, &decoded, &self.info(&decoded))
            .map_err(|error| StageError::because("a shard cannot be written", error))?;
        self.seconds.spent(Work::Write, start);
        Ok(ShardReport { n_rows: decoded.len() as u64, rejects, ..ShardReport::default() })
    }

    fn decode(&self, rows: &[ImageRow]) -> Result<Vec<PixelRow>, StageError> {
        let is_cancelled = || self.context.host.is_cancelled();
        let (target, alpha) = (self.geometry.target(), self.geometry.alpha.alpha());
        let decode = |_: &ImageRow, file: Vec<u8>, limits: Limits<'_>| match is_cancelled() {
            true => Err(DecodeError::Cancelled),
            false => decode_within(&file, Some(target), alpha, limits),
        };
        let images = self.images.each(rows, &self.decoders, &is_cancelled, decode);
        let images = images.map_err(|error| StageError::because("the images cannot be read", error))?;
        rows.iter().zip(images).map(|(row, image)| pixel_row(row, image)).collect()
    }
}

fn pixel_row(row: &ImageRow, image: pipeline_data::Decoded) -> Result<PixelRow, StageError> {
    let (original, status, pixels) = match image {
        Ok((original, image)) => (original, "ok".to_owned(), Some(image.pixels)),
        Err(DecodeError::Cancelled) => return Err(StageError::cancelled()),
        Err(error) => ((0, 0), error_chain(&error).join(": "), None),
    };
    Ok(PixelRow { id: row.id.clone(), digest: row.digest, width: original.0, height: original.1, status, pixels })
}

/// The threads of the stage, started on first use.
fn thread_pool<'t>(
    threads: &'t OnceLock<ThreadPool>,
    context: &StageContext<'_>,
) -> Result<&'t ThreadPool, StageError> {
    if let Some(threads) = threads.get() {
        return Ok(threads);
    }
    let started = artifact::thread_pool(context.n_threads)?;
    Ok(threads.get_or_init(|| started))
}
