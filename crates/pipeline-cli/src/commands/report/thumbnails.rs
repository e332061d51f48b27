//! Pictures for a report: from the images' source as long as it is unchanged, else from decoded pixels.

use std::collections::BTreeSet;

use pipeline_data::Picture;
use pipeline_experiments::in_one_line;
use pipeline_stages::{Pictures, decodes_images, pictures_of_pixels, pictures_of_source};

use super::described::{DescribedRun, DescribedStage};
use super::subject::Subject;
use crate::door::{self, list_folder};

/// The longer sides of pictures in pixels, from which the largest is taken at which the page stays small.
const SIDES: [u32; 4] = [72, 60, 48, 36];
/// The most bytes of all pictures of a page; in base64 they are a third longer.
const MAX_BYTES: usize = 1_600_000;
/// The smallest of these sides.
const SMALLEST: u32 = SIDES[SIDES.len() - 1];
/// The power of its side with which the bytes of a compressed picture grow: less than with its area.
const BYTES_BY_SIDE: f64 = 1.6;
/// The number of pictures by which their size is estimated.
const N_SAMPLE: usize = 32;

/// The available pictures of the images that an evaluation ranks, and a note where some are missing or are not the
/// originals.
pub fn read(
    subject: &Subject,
    run: &DescribedRun<'_>,
    (evaluation, n_evaluations): (&str, usize),
    wanted: &BTreeSet<String>,
) -> (Pictures, Option<String>) {
    if wanted.is_empty() {
        return (Pictures::default(), None);
    }
    let features = run.stage(evaluation).and_then(|stage| run.input(stage, "images"));
    let decoded = features.and_then(|features| {
        let decodes = run.spec_of(features).is_some_and(decodes_images);
        if decodes { Some(features) } else { run.input(features, "images") }
    });
    let Some(decoded) = decoded else {
        return (Pictures::default(), Some("No pictures: the spec does not say where the images come from.".into()));
    };
    let max_bytes = MAX_BYTES / n_evaluations.max(1);
    let of_source = |wanted: &BTreeSet<String>, side| from_source(subject, run, decoded, wanted, side);
    let of_pixels = |wanted: &BTreeSet<String>, side| from_pixels(subject, run, decoded, wanted, side);
    let (pictures, origin) = match in_size(&of_source, wanted, max_bytes) {
        Ok(pictures) => (pictures, None),
        Err(no_source) => match in_size(&of_pixels, wanted, max_bytes) {
            Ok(pictures) => (pictures, Some(format!("The pictures are as the model sees them: {no_source}."))),
            Err(no_pixels) => {
                return (Pictures::default(), Some(format!("No pictures: {no_source}, and {no_pixels}.")));
            }
        },
    };
    let n_missing = wanted.len() - pictures.by_id.len();
    let missing = (n_missing > 0).then(|| {
        format!(
            "{n_missing} of {} images have no picture: they cannot be decoded, or are not in the pool.",
            wanted.len()
        )
    });
    let notes: Vec<String> = origin.into_iter().chain(missing).collect();
    (pictures, (!notes.is_empty()).then(|| notes.join(" ")))
}

/// Reads pictures whose longer side has so many pixels.
type Read<'a> = dyn Fn(&BTreeSet<String>, u32) -> Result<Pictures, String> + 'a;

/// The pictures with the largest side at which a sample of them promises at most `max_bytes`. Reads the images twice at
/// most, since their file may be large.
fn in_size(read: &Read<'_>, wanted: &BTreeSet<String>, max_bytes: usize) -> Result<Pictures, String> {
    let sample: BTreeSet<String> = wanted.iter().step_by(wanted.len().div_ceil(N_SAMPLE)).cloned().collect();
    let largest = SIDES[0];
    let pictures = read(&sample, largest)?;
    if sample.len() == wanted.len() {
        return Ok(pictures);
    }
    let bytes = |picture: &Picture| picture.own.len() + picture.fed.as_ref().map_or(0, Vec::len);
    let n_bytes: usize = pictures.by_id.values().map(bytes).sum();
    let promised = (n_bytes * wanted.len() / pictures.by_id.len().max(1)) as f64;
    let share = |side: u32| (f64::from(side) / f64::from(largest)).powf(BYTES_BY_SIDE);
    let side = SIDES.into_iter().find(|side| promised * share(*side) <= max_bytes as f64);
    read(wanted, side.unwrap_or(SMALLEST))
}

/// Decodes only the wanted images, in their own shape.
fn from_source(
    subject: &Subject,
    run: &DescribedRun<'_>,
    decoded: &DescribedStage<'_>,
    wanted: &BTreeSet<String>,
    side: u32,
) -> Result<Pictures, String> {
    let (stage, spec) = run.spec_of(decoded).zip(run.spec.as_ref()).ok_or("the run has not kept its spec")?;
    let unknown = || format!("`{}` names no file of images", decoded.facts.name);
    let manifest = decoded.record.map(|record| &record.manifest).ok_or_else(unknown)?;
    let sources = pipeline_stages::image_sources(stage).ok_or_else(unknown)?.map_err(|error| in_one_line(&error))?;
    for source in sources {
        let now = subject.store.sources().digest(&source.path).map_err(|error| in_one_line(&error))?;
        if manifest.get(&format!("source.{}", source.name)) != Some(now.hex().as_str()) {
            return Err(format!("`{}` has changed since", source.path.display()));
        }
    }
    let search = door::surroundings().settings(spec).model_search;
    let list = list_folder(&subject.store);
    let pictures = pictures_of_source(stage, &search, wanted, &list, side).map_err(|error| in_one_line(&error))?;
    pictures.ok_or_else(unknown)
}

fn from_pixels(
    subject: &Subject,
    run: &DescribedRun<'_>,
    decoded: &DescribedStage<'_>,
    wanted: &BTreeSet<String>,
    side: u32,
) -> Result<Pictures, String> {
    if run.spec_of(decoded).is_some_and(pipeline_stages::stores_no_pixels) {
        return Err(format!("`{}` stores no pixels", decoded.facts.name));
    }
    let artifact = run.open(&subject.store, decoded)?;
    pictures_of_pixels(artifact.artifact(), wanted, side).map_err(|error| in_one_line(&error))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn many_pictures_are_small_and_few_are_large() {
        let sides = |n_pictures: usize| {
            let wanted: BTreeSet<String> = (0..n_pictures).map(|id| id.to_string()).collect();
            let (last_side, n_reads) = (Cell::new(0), Cell::new(0));
            let read = |wanted: &BTreeSet<String>, side: u32| {
                last_side.set(side);
                n_reads.set(n_reads.get() + 1);
                let n_bytes = f64::from(side).powf(BYTES_BY_SIDE) * 2.0;
                let picture = Picture { own: vec![0; n_bytes as usize], fed: None };
                let by_id = wanted.iter().map(|id| (id.clone(), picture.clone())).collect();
                Ok(Pictures { by_id, fed_as: None })
            };
            let pictures = in_size(&read, &wanted, MAX_BYTES).unwrap();
            assert_eq!((pictures.by_id.len(), n_reads.get()), (n_pictures, if n_pictures > N_SAMPLE { 2 } else { 1 }));
            last_side.get()
        };
        assert_eq!([1, 800, 1_000, 1_500, 5_000].map(sides), [72, 72, 60, 48, 36]);
    }
}
