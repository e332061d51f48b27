//! Indexes the images of a folder: every file below it that is an image by its name.

use std::fs;
use std::path::PathBuf;

use rayon::prelude::*;

use super::collect::Found;
use super::{Form, ImageRow, Images, ImagesFile, MAX_FILE_BYTES, Selection, too_long};
use crate::DataError;
use crate::image_names::{ImageIdPart, NameKind, kind_of, must_be_a_line, text_of};

/// A file below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderFile {
    /// Its name, relative to the folder.
    pub name: Vec<u8>,
    /// Its path.
    pub path: PathBuf,
    /// The BLAKE3 digest of its content, or the reason why it has none.
    pub content: Result<[u8; 32], String>,
}

impl Images {
    /// Indexes the images among the files of a folder, in the order of the names' bytes. Reads none of them.
    ///
    /// Hidden files are passed over, and so is what an ignore file names, which the caller leaves out.
    ///
    /// # Errors
    /// When a file cannot be examined, and [`DataError::Stopped`] when the work is cancelled.
    pub fn of_folder(files: Vec<FolderFile>, id: ImageIdPart, selection: &Selection<'_>) -> Result<Self, DataError> {
        let mut others = Vec::new();
        let mut images: Vec<FolderFile> = Vec::with_capacity(files.len());
        for file in files {
            match kind_of(&file.name) {
                NameKind::Image => images.push(file),
                NameKind::Other => others.push(file.name),
                NameKind::Companion | NameKind::Hidden => {}
            }
        }
        images.sort_by(|a, b| a.name.cmp(&b.name));
        let named = |file: &FolderFile| ImagesFile {
            path: file.path.clone(),
            name: Some(String::from_utf8_lossy(&file.name).into_owned()),
        };
        let mut all = Self::new(images.iter().map(named).collect(), Form::Ranges);
        if let [first, rest @ ..] = others.as_slice() {
            let first = String::from_utf8_lossy(first);
            let (n_files, are) =
                (rest.len() + 1, if rest.is_empty() { "file is no image" } else { "files are no images" });
            all.remarks.push(format!("{n_files} {are} by name and passed over, such as `{first}`"));
        }
        let lengths: Vec<u64> = images.par_iter().map(length).collect::<Result<_, DataError>>()?;
        all.collect(selection, &|file, take| {
            let image = &images[file as usize];
            selection.go_on(&image.path)?;
            let _ = take(match row_of(image, file, lengths[file as usize], id) {
                Ok(row) => Found::Row(row),
                Err(reason) => Found::Skipped { number: 0, reason },
            });
            Ok(())
        })?;
        Ok(all)
    }
}

/// The length of a file in bytes; 0 for what has no content.
fn length(file: &FolderFile) -> Result<u64, DataError> {
    if file.content.is_err() {
        return Ok(0);
    }
    let metadata = fs::metadata(&file.path).map_err(|source| DataError::Read { path: file.path.clone(), source })?;
    Ok(metadata.len())
}

fn row_of(file: &FolderFile, file_idx: u32, len: u64, id: ImageIdPart) -> Result<ImageRow, String> {
    let name = text_of(&file.name)?;
    let digest = file.content.clone()?;
    if len > MAX_FILE_BYTES {
        return Err(too_long());
    }
    let id = id.of(name).to_owned();
    must_be_a_line(&id)?;
    Ok(ImageRow { id, file: file_idx, number: 0, offset: 0, len, digest, is_base64: false })
}
