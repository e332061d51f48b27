//! The work of `decode-images`: the rows of a file to shards of pixels.

use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use pipeline_core::{
    Computation, Digest, OpenRows, Reject, Shard, ShardReport, StageContext, StageError, StageReport, Work, error_chain,
};
use pipeline_data::{DECODER_BYTES, DecodeError, ImageRow, ImageTsv, Limits, Memory, PixelRow};
use rayon::ThreadPool;
use rayon::prelude::*;

use super::params::Geometry;
use crate::artifact::{self, RejectedRow, Wanted};
use crate::seconds::Seconds;

/// The most shards that are decoded and written at once, each with its pixels and about as much again in memory.
const MAX_SIDE_BY_SIDE: usize = 4;
/// The most bytes that these take together.
const SIDE_BY_SIDE_BYTES: u64 = 1 << 30;

const WANTED: Wanted = Wanted {
    rows: "images",
    row: "row",
    looks: "tab-separated text",
    help: "`decode-images` reads an id, a tab and the base64 of an image file a line",
};

/// The images of a file.
pub(super) struct Images<'a> {
    path: &'a Path,
    geometry: Geometry,
    images: ImageTsv,
    digests: Vec<Digest>,
    context: &'a StageContext<'a>,
    /// Started with the first image to decode.
    threads: OnceLock<ThreadPool>,
    /// The memory budgets of all threads' decoders, and of unfinished shards.
    decoders: Memory,
    shards: Memory,
    seconds: Seconds,
}

impl OpenRows for Images<'_> {
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
        let mut rejects: Vec<_> = self
            .images
            .skipped()
            .iter()
            .map(|skip| RejectedRow { line: skip.line, id: None, reason: skip.reason.clone() })
            .collect();
        let n_skipped = rejects.len();
        for Shard { units, report, .. } in shards {
            let rows = &self.images.rows()[units.clone()];
            rejects.extend(report.rejects.iter().map(|reject| {
                let row = &rows[reject.row_idx as usize];
                RejectedRow { line: row.line, id: Some(row.id.clone()), reason: reject.reason.clone() }
            }));
        }
        let n_rows = self.images.rows().len();
        let n_undecodable = rejects.len() - n_skipped;
        rejects.sort_by_key(|reject| reject.line);
        if n_undecodable == n_rows {
            return Err(artifact::nothing_usable(self.path, &WANTED, &rejects));
        }
        artifact::warn_rejects(self.context, "row", &rejects);
        artifact::write_rejects(scratch, &rejects)?;
        Ok(StageReport {
            n_rows: Some(n_rows as u64),
            n_rejected: rejects.len() as u64,
            seconds: self.seconds.all(),
            ..StageReport::default()
        })
    }
}

impl<'a> Images<'a> {
    /// Reads the places of all images, or of the first `max_samples`.
    pub(super) fn open(
        path: &'a Path,
        max_samples: Option<u64>,
        geometry: Geometry,
        context: &'a StageContext<'a>,
    ) -> Result<Self, StageError> {
        let start = Instant::now();
        let watch = &mut |_| artifact::go_on(context);
        let images = ImageTsv::open_watched(path, max_samples, watch)
            .map_err(|error| artifact::unreadable("the images cannot be read", error))?;
        let digests = images.rows().iter().map(|row| Digest::from_bytes(row.row_digest())).collect();
        let seconds = Seconds::default();
        seconds.spent(Work::Scan, start);
        Ok(Self {
            path,
            geometry,
            images,
            digests,
            context,
            threads: OnceLock::new(),
            decoders: Memory::new(DECODER_BYTES),
            shards: Memory::new(SIDE_BY_SIDE_BYTES),
            seconds,
        })
    }
}

impl Images<'_> {
    fn shard(&self, rows: &[ImageRow], path: &Path) -> Result<ShardReport, StageError> {
        // The pixels, and the column from which they are written.
        let taken = self.shards.take(2 * self.geometry.pixel_bytes(rows.len()), &|| self.context.host.is_cancelled());
        let _taken = taken.ok_or_else(StageError::cancelled)?;
        let start = Instant::now();
        let decoded: Result<Vec<PixelRow>, StageError> =
            self.threads()?.install(|| rows.par_iter().map(|row| self.decode(row)).collect());
        let decoded = decoded?;
        self.seconds.spent(Work::Decode, start);
        let start = Instant::now();
        let rejects = decoded
            .iter()
            .enumerate()
            .filter(|(_, row)| row.pixels.is_none())
            .map(|(row_idx, row)| Reject { row_idx: row_idx as u64, reason: row.status.clone() })
            .collect();
        let target = self.geometry.target();
        let is_resized = |row: &PixelRow| row.pixels.is_some() && target.changes(row.width, row.height);
        let info = self.geometry.pixels_info(decoded.iter().any(is_resized));
        pipeline_data::write_pixels(path, &decoded, &info)
            .map_err(|error| StageError::because("a shard cannot be written", error))?;
        self.seconds.spent(Work::Write, start);
        Ok(ShardReport { n_rows: decoded.len() as u64, rejects, ..ShardReport::default() })
    }

    fn threads(&self) -> Result<&ThreadPool, StageError> {
        if let Some(threads) = self.threads.get() {
            return Ok(threads);
        }
        let threads = artifact::thread_pool(self.context.n_threads)?;
        Ok(self.threads.get_or_init(|| threads))
    }

    fn decode(&self, row: &ImageRow) -> Result<PixelRow, StageError> {
        if self.context.host.is_cancelled() {
            return Err(StageError::cancelled());
        }
        let limits = Limits { memory: &self.decoders, is_cancelled: &|| self.context.host.is_cancelled() };
        let image = self.images.image(row, Some(self.geometry.target()), self.geometry.alpha.alpha(), limits);
        let image = image.map_err(|error| StageError::because("the images cannot be read", error))?;
        let (original, status, pixels) = match image {
            Ok((original, image)) => (original, "ok".to_owned(), Some(image.pixels)),
            Err(DecodeError::Cancelled) => return Err(StageError::cancelled()),
            Err(error) => ((0, 0), error_chain(&error).join(": "), None),
        };
        Ok(PixelRow { id: row.id.clone(), digest: row.digest, width: original.0, height: original.1, status, pixels })
    }
}
