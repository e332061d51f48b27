//! `decode-images`: the images of a MUGE split to RGB pixels of one size, shard by shard.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use pipeline_core::{
    Computation, Cut, Digest, InRows, Needs, OpenRows, Reject, Shard, ShardReport, ShardedStage, Source, Stage,
    StageContext, StageError, StageReport, StageWork, Threads, Work, error_chain,
};
use pipeline_data::{
    Alpha, DECODER_BYTES, DecodeError, Filter, Fit, ImageRow, ImageTsv, Limits, Memory, PixelRow, PixelsInfo, RgbImage,
    Target, decode_within,
};
use pipeline_spec::{Node, SpecError, SpecPath, StageSpec};
use rayon::ThreadPool;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::{self, RejectedRow, Wanted};
use crate::kind::{BuildContext, Format, Kind, manifest_params, schema, span_of};
use crate::load_queries::must_be_a_file;
use crate::pixel_shards;
use crate::published;
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

pub(crate) static KIND: Kind = Kind {
    name: "decode-images",
    version: 2,
    summary: "Decodes and resizes the images of a MUGE split (.tsv) to RGB pixels in Parquet",
    slots: Some(&[]),
    produces: Format::Images,
    files: &[published::SHARDS, artifact::REJECTS],
    params_schema: schema::<DecodeImagesParams>,
    build,
};

/// The params of `decode-images`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DecodeImagesParams {
    /// The image file: one `id <tab> base64` per line.
    // Not part of the manifest: the file's content is, as a source.
    #[serde(skip_serializing)]
    path: SpecPath,
    /// The number of rows to read, from the first on, decodable or not; all when absent.
    #[serde(default)]
    #[schemars(range(min = 1))]
    max_samples: Option<u64>,
    /// Height and width of the pixels.
    #[serde(default = "default_size")]
    #[schemars(inner(range(min = 1, max = 4096)))]
    size: [u32; 2],
    /// The filter of the antialiased resize; an image that already has the size stays unchanged.
    #[serde(default)]
    resize: Resize,
}

/// The filter of a resize, like Pillow's filter with the same name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Resize {
    /// As the notebook's transform.
    #[default]
    Bilinear,
    /// As the notebook's data loader.
    Bicubic,
}

/// 224 × 224, as in the notebook.
fn default_size() -> [u32; 2] {
    [224, 224]
}

struct DecodeImages {
    params: DecodeImagesParams,
}

/// The resize of every image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Height and width of the pixels.
    pub(crate) size: [u32; 2],
    /// The filter of the resize: `bilinear` or `bicubic`.
    pub(crate) resize: &'static str,
}

/// The resize by a stage of this kind; `None` for a stage of another kind.
pub(crate) fn geometry(stage: &StageSpec) -> Option<Geometry> {
    let params: DecodeImagesParams = pipeline_spec::params(&stage.params).ok()?;
    let resize = match params.resize {
        Resize::Bilinear => "bilinear",
        Resize::Bicubic => "bicubic",
    };
    (stage.kind.value == KIND.name).then_some(Geometry { size: params.size, resize })
}

/// The file that a stage of this kind reads, and its limit of rows; `None` for a stage of another kind.
pub(crate) fn source_and_limit(stage: &StageSpec) -> Option<(PathBuf, Option<u64>)> {
    let params: DecodeImagesParams = pipeline_spec::params(&stage.params).ok()?;
    (stage.kind.value == KIND.name).then(|| (params.path.path().to_owned(), params.max_samples))
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    let node = &context.stage.params;
    let params: DecodeImagesParams = pipeline_spec::params(node)?;
    if params.max_samples == Some(0) {
        return Err(SpecError::at(span_of(node, "max_samples"), "`max_samples` must be at least 1")
            .with_help("leave it out to use every row"));
    }
    if params.size.iter().any(|side| !(1..=4096).contains(side)) {
        return Err(SpecError::at(span_of(node, "size"), "`size` must be [height, width], each from 1 to 4096"));
    }
    Ok(Box::new(DecodeImages { params }))
}

/// Decodes single images like a stage of this kind.
pub(crate) struct Decoder(DecodeImagesParams);

/// The decoder of a stage with these params, which were checked when it was built.
pub(crate) fn decoder(params: &Node) -> Result<Decoder, StageError> {
    pipeline_spec::params(params)
        .map(Decoder)
        .map_err(|error| StageError::because("the images cannot be decoded", error))
}

impl Decoder {
    /// The pixels that the stage would make of an image file.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<RgbImage, DecodeError> {
        let limits = Limits { memory: &Memory::new(DECODER_BYTES), is_cancelled: &|| false };
        decode_within(bytes, Some(self.0.target()), Alpha::Drop, limits).map(|(_, image)| image)
    }
}

/// The original images of a stage with these params, from its file.
pub(crate) fn originals(params: &Node) -> Result<ImageTsv, StageError> {
    let failed = "the images cannot be read";
    let params: DecodeImagesParams =
        pipeline_spec::params(params).map_err(|error| StageError::because(failed, error))?;
    ImageTsv::open(params.path.path(), params.max_samples).map_err(|error| StageError::because(failed, error))
}

impl DecodeImagesParams {
    fn pixels_info(&self, is_resized: bool) -> PixelsInfo {
        let [height, width] = self.size;
        let filter = match self.resize {
            Resize::Bilinear => "bilinear",
            Resize::Bicubic => "bicubic",
        };
        PixelsInfo { height, width, resize: is_resized.then(|| filter.to_owned()) }
    }

    /// The target size of images.
    fn target(&self) -> Target {
        let [height, width] = self.size;
        let filter = match self.resize {
            Resize::Bilinear => Filter::Bilinear,
            Resize::Bicubic => Filter::Bicubic,
        };
        Target { width, height, filter, fit: Fit::Squash }
    }

    /// The bytes of the pixels of `n_rows` rows.
    fn pixel_bytes(&self, n_rows: usize) -> u64 {
        let [height, width] = self.size.map(u64::from);
        3 * height * width * n_rows as u64
    }
}

impl Stage for DecodeImages {
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
        must_be_a_file(path, "path", "the image file", "a MUGE image file such as MR_valid_imgs.tsv")?;
        Ok(vec![Source { name: "path".into(), path: path.to_owned() }])
    }

    fn looked_for(&self) -> Vec<PathBuf> {
        vec![self.params.path.path().to_owned()]
    }

    fn needs(&self) -> Needs {
        Needs { threads: Threads::All, ..Needs::default() }
    }

    fn work(&self) -> StageWork<'_> {
        StageWork::Sharded(self)
    }
}

impl ShardedStage for DecodeImages {
    fn cut(&self) -> Cut {
        Cut::Rows(pixel_shards::sizes(self.params.pixel_bytes(1)))
    }

    fn in_rows(&self) -> InRows {
        InRows { params: &["max_samples"], sources: &["path"], ..InRows::default() }
    }

    fn shard_name(&self, shard_idx: usize) -> String {
        artifact::shard_name(shard_idx)
    }

    fn open<'a>(&'a self, context: &'a StageContext<'a>) -> Result<Box<dyn OpenRows + 'a>, StageError> {
        let start = Instant::now();
        let watch = &mut |_| artifact::go_on(context);
        let images = ImageTsv::open_watched(self.params.path.path(), self.params.max_samples, watch)
            .map_err(|error| artifact::unreadable("the images cannot be read", error))?;
        let digests = images.rows().iter().map(|row| Digest::from_bytes(row.row_digest())).collect();
        let seconds = Seconds::default();
        seconds.spent(Work::Scan, start);
        Ok(Box::new(Images {
            params: &self.params,
            images,
            digests,
            context,
            threads: OnceLock::new(),
            decoders: Memory::new(DECODER_BYTES),
            shards: Memory::new(SIDE_BY_SIDE_BYTES),
            seconds,
        }))
    }
}

/// The images of a file.
struct Images<'a> {
    params: &'a DecodeImagesParams,
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
            return Err(artifact::nothing_usable(self.params.path.path(), &WANTED, &rejects));
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

impl Images<'_> {
    fn shard(&self, rows: &[ImageRow], path: &Path) -> Result<ShardReport, StageError> {
        // The pixels, and the column from which they are written.
        let taken = self.shards.take(2 * self.params.pixel_bytes(rows.len()), &|| self.context.host.is_cancelled());
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
        let is_resized = |row: &PixelRow| row.pixels.is_some() && [row.height, row.width] != self.params.size;
        let info = self.params.pixels_info(decoded.iter().any(is_resized));
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
        let image = self.images.image(row, Some(self.params.target()), Alpha::Drop, limits);
        let image = image.map_err(|error| StageError::because("the images cannot be read", error))?;
        let (original, status, pixels) = match image {
            Ok((original, image)) => (original, "ok".to_owned(), Some(image.pixels)),
            Err(DecodeError::Cancelled) => return Err(StageError::cancelled()),
            Err(error) => ((0, 0), error_chain(&error).join(": "), None),
        };
        Ok(PixelRow { id: row.id.clone(), digest: row.digest, width: original.0, height: original.1, status, pixels })
    }
}
