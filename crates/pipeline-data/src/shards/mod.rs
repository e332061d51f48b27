//! Shards: the cuts between rows, and the Parquet files that hold them.
//!
//! | rows | columns |
//! |---|---|
//! | queries | `query_id` Utf8?, `query_text` Utf8, `item_ids` `List<Utf8>?` |
//! | pixels | `id` Utf8, `digest` FixedSizeBinary(32), `width` UInt32, `height` UInt32, `status` Utf8, `pixels` Binary? |
//! | vectors | `id` Utf8?, `vector` FixedSizeBinary(4 · dim), little-endian f32 |
//! | tokens | `id` Utf8?, `n_tokens` UInt32, `tokens` Binary: `[n_tokens, dim]`, little-endian f32 or f16 |
//! | rankings | `query_id` Utf8?, `query_text` Utf8, `relevant` `List<Utf8>`, `rank` UInt32?, `top_ids` `List<Utf8>`, `top_scores` `List<Float32>` |
//! | results | `query_id` Utf8? and `query_text` Utf8, or `image_id` Utf8?; `n_relevant` UInt32, `n_in_pool` UInt32, `relevant_ranks` `List<UInt32>`, `best_rank` UInt32? |
//!
//! Equal rows give equal bytes: fixed row groups, no times, no statistics.

pub(crate) mod bytes;
mod columns;
mod pixels;
mod plain_pages;
mod queries;
mod rankings;
mod results;
mod tokens;
mod vectors;

pub use columns::count_rows;
#[cfg(test)]
pub(crate) use columns::write as write_columns;
pub(crate) use columns::{Column, ColumnsWriter};
pub use pixels::{PixelRow, PixelShard, PixelsInfo, Resized, read_pixels, read_pixels_info, write_pixels};
pub use queries::{read_query_shard, write_query_shard};
pub use rankings::{read_rankings, write_rankings};
pub use results::{ResultRow, Results, ResultsOf, read_results, write_results};
pub use tokens::{StoredTokens, TokenShard, read_token_parts, write_tokens};
pub use vectors::{StoredVectors, VectorShard, read_vectors, write_vectors};
