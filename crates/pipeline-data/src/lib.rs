//! Rows and columns of a text-image data set: readers of data sets, image decoding and Parquet shards.
//!
//! Knows no stage and no store.
//!
//! ```
//! use pipeline_data::{Filter, decode, decode_base64, resize};
//!
//! let png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mM4kWIEAANWAV/W6lf+AAAAAElFTkSuQmCC";
//! let image = resize(&decode(&decode_base64(png.as_bytes())?)?, 2, 2, Filter::Bilinear);
//! assert_eq!(image.pixels, [200, 100, 50].repeat(4));
//! # Ok::<(), pipeline_data::DecodeError>(())
//! ```

mod base64;
mod content;
mod decode;
mod error;
mod image_names;
mod images;
mod json_line;
mod lines;
mod open_files;
mod parquet_file;
mod pattern;
mod png_writer;
mod predictions;
mod python;
mod queries;
mod records;
mod resize;
mod scratch_rows;
mod shards;
mod split;
mod tar;
mod tensorboard;
mod thumbnail;
mod vectors;

pub use base64::{decode_base64, encode_base64};
pub use content::looks_like;
pub use decode::{
    Alpha, DECODER_BYTES, DecodeError, Decoded, Format, Limits, MAX_PIXELS, Memory, RgbImage, Taken, decode,
    decode_on_white, decode_within,
};
pub use error::DataError;
pub use image_names::{ImageIdPart, is_image_name};
pub use images::{
    Clashes, FileIndex, FolderFile, ImageColumns, ImagePlace, ImageRow, Images, ImagesFile, KeepIndex, RowFilter,
    Selection, SkippedImage, ValuesWithoutRows,
};
pub use json_line::shortened;
pub use pattern::{Pattern, PatternError};
pub use predictions::{Dialect, Score, WrittenPredictions, score, write_predictions};
pub use queries::{QueryReading, QueryRow, Remark, SkippedLine, read_queries, repeated_ids};
pub use records::{QueryColumns, QueryTable, TableForm, TableQueries, check_table, table_columns};
pub use resize::{CropOffset, Filter, Fit, Target, resize};
pub use scratch_rows::ScratchRows;
pub use shards::{
    PixelRow, PixelShard, PixelsInfo, Resized, ResultRow, Results, ResultsOf, StoredTokens, StoredVectors, TokenShard,
    VectorShard, count_rows, read_pixels, read_pixels_info, read_query_shard, read_rankings, read_results,
    read_token_parts, read_vectors, write_pixels, write_query_shard, write_rankings, write_results, write_tokens,
    write_vectors,
};
pub use split::{Parts, SplitError};
pub use tensorboard::{Scalar, write_scalars};
pub use thumbnail::{Miniature, Picture, Thumbnail, miniature, shrunk, thumbnail, thumbnail_of_file};
pub use vectors::{
    read_ids, read_jsonl_vectors, read_npy_texts, read_npy_vectors, read_table_texts, read_table_vectors, write_ids,
    write_list_vectors, write_npy,
};
