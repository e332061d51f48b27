//! Thumbnails: each distinct image is in the page once, as a class of its style.

use std::collections::BTreeMap;
use std::fmt::Write;

use maud::{Markup, html};

use crate::facts::Evaluation;

/// The distinct images of a page by their bytes, numbered.
pub(super) struct Thumbnails<'a> {
    numbers: BTreeMap<&'a [u8], usize>,
}

impl<'a> Thumbnails<'a> {
    pub(super) fn of(evaluations: &'a [Evaluation]) -> Self {
        let mut numbers = BTreeMap::new();
        for jpeg in evaluations.iter().flat_map(|evaluation| evaluation.thumbnails.values()) {
            let number = numbers.len();
            numbers.entry(jpeg.as_slice()).or_insert(number);
        }
        Self { numbers }
    }

    /// The rules that give each class its image.
    pub(super) fn style(&self) -> String {
        let mut style = String::new();
        for (jpeg, number) in &self.numbers {
            let base64 = pipeline_data::encode_base64(jpeg);
            writeln!(style, ".t{number}{{background-image:url(data:image/jpeg;base64,{base64})}}")
                .expect("a String takes any text");
        }
        style
    }

    /// The thumbnail of an image, or its id where there is none; `tip` is the tooltip.
    pub(super) fn draw(&self, evaluation: &Evaluation, image: &str, tip: &str) -> Markup {
        let label = format!("image {image}");
        let number = evaluation.thumbnails.get(image).and_then(|jpeg| self.numbers.get(jpeg.as_slice()));
        html! {
            @match number {
                Some(number) => span class={ "thumb t" (number) } role="img" aria-label=(label) data-tip=(tip) {},
                None => span.thumb.none role="img" aria-label=(label) data-tip=(tip) { small { (image) } },
            }
        }
    }
}
