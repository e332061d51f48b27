//! Small pictures of a pool's images, from the file from which they were decoded.

use std::collections::HashMap;

use pipeline_core::{StageError, StageId};
use pipeline_data::{DECODER_BYTES, ImageTsv, Limits, Memory, Picture};
use pipeline_spec::PipelineSpec;

use crate::{decode_images, search};

/// The images of a pool by id. The store's pixels have one size and may have been dropped; these are the originals.
pub struct Pictures {
    images: ImageTsv,
    rows: HashMap<String, usize>,
    memory: Memory,
}

impl Pictures {
    /// Finds the images behind the input `images` of the stage `evaluation`; `None` when they were not decoded by this
    /// spec.
    ///
    /// # Errors
    /// When their file cannot be read.
    pub fn open(spec: &PipelineSpec, evaluation: &StageId) -> Result<Option<Self>, StageError> {
        let features = search::input(spec, search::stage(spec, evaluation)?, "images");
        let images = features.and_then(|features| search::input(spec, features, "images"));
        let Some(images) = images.filter(|images| images.kind.value == decode_images::KIND.name) else {
            return Ok(None);
        };
        let images = decode_images::originals(&images.params)?;
        let rows = images.rows().iter().enumerate().map(|(row_idx, row)| (row.id.clone(), row_idx)).collect();
        Ok(Some(Self { images, rows, memory: Memory::new(DECODER_BYTES) }))
    }

    /// A small picture of the image with this id; `None` when it does not exist or cannot be decoded.
    ///
    /// # Errors
    /// When the file cannot be read or has changed.
    pub fn picture(&self, id: &str, max_side: u32) -> Result<Option<Picture>, StageError> {
        let Some(row_idx) = self.rows.get(id) else { return Ok(None) };
        let limits = Limits { memory: &self.memory, is_cancelled: &|| false };
        let work = |file| pipeline_data::picture(file, max_side, limits);
        let picture = self.images.with_file(&self.images.rows()[*row_idx], limits, work);
        Ok(picture.map_err(|error| StageError::because("the images cannot be read", error))?.ok())
    }
}
