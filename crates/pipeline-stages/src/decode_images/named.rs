//! The images that queries name, of which only those are decoded.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use pipeline_core::{StageContext, StageError};
use pipeline_data::Images;

use crate::unicode_forms;

/// The ids that queries name.
pub(super) struct Named {
    ids: HashSet<String>,
    /// The first id of an image that no query names, for messages when none is named.
    other: Mutex<Option<String>>,
    /// The first id that a query names and an image has in another Unicode form.
    of_other_form: Mutex<Option<String>>,
}

impl Named {
    pub(super) fn new(ids: HashSet<String>) -> Self {
        Self { ids, other: Mutex::default(), of_other_form: Mutex::default() }
    }

    /// Whether a query names the image with this id.
    pub(super) fn has(&self, id: &str) -> bool {
        let is_named = self.ids.contains(id);
        if !is_named {
            keep_least(&self.other, id);
            let forms = unicode_forms::both_forms(id);
            forms.iter().filter(|form| self.ids.contains(*form)).for_each(|form| keep_least(&self.of_other_form, form));
        }
        is_named
    }

    /// The end of messages about ids that differ by their Unicode form.
    fn note(&self) -> String {
        let id = self.of_other_form.lock().unwrap_or_else(PoisonError::into_inner).clone();
        id.map(|id| unicode_forms::words(&id)).unwrap_or_default()
    }

    /// Warns of images that queries name and that are not there, unless only some of the images were looked at.
    ///
    /// # Errors
    /// When none is there: then ids of two kinds were meant to meet.
    pub(super) fn tell_of_missing(
        &self,
        path: &Path,
        images: &Images,
        is_limited: bool,
        context: &StageContext<'_>,
    ) -> Result<(), StageError> {
        let found: HashSet<&str> = images.rows().iter().map(|row| row.id.as_str()).collect();
        let missing = self.ids.iter().filter(|id| !found.contains(id.as_str()));
        let Some(example) = missing.clone().min() else { return Ok(()) };
        let (n_missing, n_named) = (missing.count(), self.ids.len());
        if found.is_empty() {
            let other = self.other.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let is_place = |id: &str| id.contains(".tar/") || id.contains('#');
            let has_places = is_place(example) || other.as_deref().is_some_and(is_place);
            let other = other.map(|other| format!("; the first image is `{other}`")).unwrap_or_default();
            let message = format!(
                "`{}` has none of the {n_named} images that the queries name, such as `{example}`{other}{}",
                path.display(),
                self.note()
            );
            let part = match has_places {
                true => "`image_id: place` must stand in both stages, or in neither",
                false => "`image_id` in both stages chooses the part of a path that is an id, such as `image_id: name`",
            };
            let help = format!("{part}; without `inputs: {{ queries: … }}` all images are taken");
            return Err(StageError::new(message).with_help(help));
        }
        if is_limited {
            return Ok(());
        }
        let are = if n_missing == 1 { "is" } else { "are" };
        context.host.warn(format!(
            "{n_missing} of {n_named} images that the queries name {are} not there, such as `{example}`{}",
            self.note()
        ));
        Ok(())
    }
}

/// Keeps the lesser of two ids, so that the order in which threads come does not matter.
fn keep_least(kept: &Mutex<Option<String>>, id: &str) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.as_ref().is_none_or(|kept| id < kept.as_str()) {
        *kept = Some(id.to_owned());
    }
}
