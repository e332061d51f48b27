//! Refuses different images of one id where nobody has chosen the ids: captions beside them would name the wrong image.
//! Warns of equal images that have ids of their own.

use std::collections::HashSet;
use std::path::Path;

use pipeline_core::StageError;
use pipeline_data::{Clashes, ImagePlace, Images};

use super::origin::{ImageForm, Origin};

/// Fails where two of the images that are taken have one id and other bytes, and the id is the key in a tar or the path
/// in Parquet. Ids of a column, or of the part of a path that the spec names, are the user's word: the first image of
/// each counts, and the others are rejected.
///
/// # Errors
/// With both places, and the param that gives other ids.
pub(super) fn must_be_none(path: &Path, origin: &Origin<'_>, images: &Images) -> Result<(), StageError> {
    let Some(clashes) = images.clashes() else { return Ok(()) };
    let is_chosen = match origin.form {
        ImageForm::Folder | ImageForm::Tsv => true,
        ImageForm::Tar => false,
        ImageForm::Parquet => {
            images.have_column_of_ids().map_err(|error| StageError::because("the images cannot be read", error))?
        }
    };
    if is_chosen {
        return Ok(());
    }
    let Clashes { n_images, id, place, first } = clashes;
    let images = match n_images {
        1 => "an image".to_owned(),
        n_images => format!("{n_images} images"),
    };
    let message = format!(
        "`{}` has {images} with the id of another image, so that captions would name the wrong one: {} and {} are \
         different images with the id `{id}`",
        path.display(),
        of(origin.form, first),
        of(origin.form, place)
    );
    Err(StageError::new(message).with_help(help(origin, clashes)))
}

/// A warning where the ids of a table are places and its rows repeat a picture, as for each caption: a query would have
/// one of several equal images as its own, and the others would be wrong.
pub(super) fn repeated(path: &Path, origin: &Origin<'_>, images: &Images) -> Option<String> {
    if !origin.has_ids_of_rows() {
        return None;
    }
    let mut seen = HashSet::new();
    let mut again = images.rows().iter().filter(|row| !seen.insert(row.digest));
    let place = images.place(again.next()?);
    let rows_repeat = match 1 + again.count() {
        1 => "1 row repeats".to_owned(),
        n_rows => format!("{n_rows} rows repeat"),
    };
    Some(format!(
        "`{}`: {rows_repeat} the bytes of an earlier row, and each is an image of its own by `image_id: place`, the \
         first at {place}; a query has only one of equal images, which lowers its recall",
        path.display()
    ))
}

fn of(form: ImageForm, place: &ImagePlace) -> String {
    let place = place.to_string();
    if form == ImageForm::Tar { place.replacen("row ", "member ", 1) } else { place }
}

fn help(origin: &Origin<'_>, clashes: &Clashes) -> String {
    let place = "`image_id: place` here and in `load-queries`";
    match origin.form {
        ImageForm::Tar if clashes.place.file != clashes.first.file => {
            format!("{place} puts the name of the tar before the key, such as `shard-1.tar/0001`")
        }
        ImageForm::Tar => {
            "where samples have several images, `columns: { image: rgb.jpg }` names the extension of one; \
            a key that comes again in a tar must be another one there"
                .to_owned()
        }
        _ => format!(
            "`columns: {{ id: … }}` names a column of ids; {place} takes the file and the row as ids, such as \
             `train.parquet#17`, and makes an image of each row, also of those that repeat a picture for each caption"
        ),
    }
}
