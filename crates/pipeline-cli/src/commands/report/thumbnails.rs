//! Thumbnails for a report: from the images' source as long as it is unchanged, else from decoded pixels.

use std::collections::{BTreeMap, BTreeSet};

use pipeline_data::{RgbImage, thumbnail};
use pipeline_experiments::in_one_line;
use pipeline_stages::{Thumbnails, thumbnails_of_pixels, thumbnails_of_source};

use super::described::{DescribedRun, DescribedStage};
use super::subject::Subject;

/// The longer side of a thumbnail in pixels.
const MAX_SIDE: u32 = 72;

/// The available thumbnails of the images that an evaluation ranks, and the reason why some are missing.
pub fn read(
    subject: &Subject,
    run: &DescribedRun<'_>,
    evaluation: &str,
    wanted: &BTreeSet<String>,
) -> (Thumbnails, Option<String>) {
    if wanted.is_empty() {
        return (BTreeMap::new(), None);
    }
    let decoded =
        run.stage(evaluation).and_then(|stage| run.input(stage, "images")).and_then(|stage| run.input(stage, "images"));
    let Some(decoded) = decoded else {
        return (BTreeMap::new(), Some("No thumbnails: the spec does not say where the images come from.".into()));
    };
    let shrink = |image: &RgbImage| thumbnail(image, MAX_SIDE);
    let found = match from_source(subject, run, decoded, wanted, &shrink) {
        Err(no_source) => {
            from_pixels(subject, run, decoded, wanted, &shrink).map_err(|no_pixels| (no_source, no_pixels))
        }
        found => found.map_err(|why| (why, String::new())),
    };
    match found {
        Err((no_source, no_pixels)) => (BTreeMap::new(), Some(format!("No thumbnails: {no_source}, and {no_pixels}."))),
        Ok(thumbnails) => {
            let n_missing = wanted.len() - thumbnails.len();
            let note = format!(
                "{n_missing} of {} images have no thumbnail: they cannot be decoded, or are not in the pool.",
                wanted.len()
            );
            (thumbnails, (n_missing > 0).then_some(note))
        }
    }
}

type Shrink<'a> = &'a (dyn Fn(&RgbImage) -> Vec<u8> + Sync);

/// Decodes only the wanted images, in their own shape.
fn from_source(
    subject: &Subject,
    run: &DescribedRun<'_>,
    decoded: &DescribedStage<'_>,
    wanted: &BTreeSet<String>,
    shrink: Shrink<'_>,
) -> Result<Thumbnails, String> {
    let stage = run.spec_of(decoded).ok_or("the run has not kept its spec")?;
    let unknown = || format!("`{}` names no file of images", decoded.facts.name);
    let then = decoded.record.and_then(|record| record.manifest.get("source.path")).ok_or_else(unknown)?;
    let path = pipeline_stages::image_source(stage).ok_or_else(unknown)?;
    let now = subject.store.sources().digest(&path).map_err(|error| in_one_line(&error))?;
    if now.hex() != then {
        return Err(format!("`{}` has changed since", path.display()));
    }
    let thumbnails = thumbnails_of_source(stage, wanted, shrink).map_err(|error| in_one_line(&error))?;
    thumbnails.ok_or_else(unknown)
}

fn from_pixels(
    subject: &Subject,
    run: &DescribedRun<'_>,
    decoded: &DescribedStage<'_>,
    wanted: &BTreeSet<String>,
    shrink: Shrink<'_>,
) -> Result<Thumbnails, String> {
    let artifact = run.open(&subject.store, decoded)?;
    thumbnails_of_pixels(artifact.artifact(), wanted, shrink).map_err(|error| in_one_line(&error))
}
