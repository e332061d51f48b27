//! Thumbnails: each distinct image is in the page once, as a class of its style.

use std::collections::BTreeMap;
use std::fmt::Write;

use maud::{Markup, html};
use pipeline_data::{Picture, encode_base64};

use crate::facts::Evaluation;

/// The distinct pictures of a page by their bytes, numbered.
pub(super) struct Thumbnails<'a> {
    numbers: BTreeMap<(&'a [u8], Option<&'a [u8]>), usize>,
}

impl<'a> Thumbnails<'a> {
    pub(super) fn of(evaluations: &'a [Evaluation]) -> Self {
        let mut numbers = BTreeMap::new();
        for picture in evaluations.iter().flat_map(|evaluation| evaluation.pictures.values()) {
            let number = numbers.len();
            numbers.entry(both(picture)).or_insert(number);
        }
        Self { numbers }
    }

    /// The rules that give each class its image and, where it looks different, the model's view of it.
    pub(super) fn style(&self) -> String {
        let mut style = String::new();
        for ((own, fed), number) in &self.numbers {
            let own = address(own);
            let fed = fed.map(|fed| format!(";--fed:{}", address(fed))).unwrap_or_default();
            writeln!(style, ".t{number}{{--own:{own}{fed}}}").expect("a String takes any text");
        }
        style
    }

    /// The thumbnail of an image, or its id where there is none; `tip` is the tooltip.
    pub(super) fn draw(&self, evaluation: &Evaluation, image: &str, tip: &str) -> Markup {
        let label = format!("image {image}");
        let number = evaluation.pictures.get(image).and_then(|picture| self.numbers.get(&both(picture)));
        html! {
            @match number {
                Some(number) => span class={ "thumb t" (number) } role="img" aria-label=(label) data-tip=(tip) {},
                None => span.thumb.none role="img" aria-label=(label) data-tip=(tip) { small { (image) } },
            }
        }
    }
}

fn both(picture: &Picture) -> (&[u8], Option<&[u8]>) {
    (&picture.own, picture.fed.as_deref())
}

/// A box that shows the model's view below every image that looks different to it, without a script; nothing where
/// no image does.
pub(super) fn fed_box(evaluation: &Evaluation) -> Markup {
    let n_different = evaluation.pictures.values().filter(|picture| picture.fed.is_some()).count();
    html! {
        @if let (Some(fed_as), 1..) = (&evaluation.fed_as, n_different) {
            label.fed {
                input type="checkbox" autocomplete="off";
                span { "as the model sees them" }
                small { (fed_as) "; " (n_different) " of " (evaluation.pictures.len()) " images look different" }
            }
        }
    }
}

fn address(file: &[u8]) -> String {
    let kind = if file.starts_with(b"\x89PNG") { "png" } else { "jpeg" };
    format!("url(data:image/{kind};base64,{})", encode_base64(file))
}
