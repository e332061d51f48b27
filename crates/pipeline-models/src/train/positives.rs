//! Which other pairs of a batch belong together too.

use super::{PairedFeatures, TrainOptions};

/// What those pairs of a batch are to each other whose text and image belong together, though they are no pair of the
/// batch.
///
/// A text and an image are *relevant* to each other if any pair of the training joins them, in the batch or not. Of a
/// batch of pairs (tᵢ, vᵢ) that is `Pᵢ = {j : vⱼ is relevant to tᵢ}`, which always has `i` itself; more of them when
/// a text has several images or an image several texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Positives {
    /// Only its own pair is a pair's positive; all others are negatives, relevant or not.
    #[default]
    Own,
    /// The relevant ones are neither: they are left out of the softmax.
    Mask,
    /// The relevant ones are positives: the loss of a text is the mean over `j ∈ Pᵢ` of `-log softmax(logitsᵢ)ⱼ`, that
    /// of an image likewise. This is `L_out` of Khosla et al., *Supervised Contrastive Learning*, 2020.
    All,
}

/// Which images are relevant to each text, and where those are in a batch.
#[derive(Debug, Default)]
pub(crate) struct Relevance {
    /// Of each text the rows of its images, rising and each once.
    pub(crate) images: Vec<Vec<usize>>,
    /// Of the batch, by image: its row and its place in the batch.
    columns: Vec<(usize, usize)>,
    places: Vec<(usize, usize)>,
}

impl Relevance {
    /// By all pairs of a training, if its options ask for that.
    pub(crate) fn needed(data: &PairedFeatures<'_>, options: &TrainOptions) -> Option<Self> {
        (options.positives != Positives::Own).then(|| Self::new(data.pairs, data.text.n_rows()))
    }

    fn new(pairs: &[(usize, usize)], n_texts: usize) -> Self {
        let mut images = vec![Vec::new(); n_texts];
        pairs.iter().for_each(|&(text_row, image_row)| images[text_row].push(image_row));
        for images in &mut images {
            images.sort_unstable();
            images.dedup();
        }
        Self { images, ..Self::default() }
    }

    /// The places (i, j) in a batch, i ≠ j, where the image of pair j is relevant to the text of pair i; row by row.
    pub(crate) fn others(&mut self, batch: impl Iterator<Item = (usize, usize)> + Clone) -> &[(usize, usize)] {
        let Self { images, columns, places } = self;
        columns.clear();
        columns.extend(batch.clone().enumerate().map(|(col, (_, image_row))| (image_row, col)));
        columns.sort_unstable();
        places.clear();
        for (row, (text_row, _)) in batch.enumerate() {
            for image_row in &images[text_row] {
                let first = columns.partition_point(|(other, _)| other < image_row);
                let same = columns[first..].iter().take_while(|(other, _)| other == image_row);
                places.extend(same.map(|&(_, col)| (row, col)).filter(|(row, col)| row != col));
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_is_not_in_the_batch_makes_its_text_and_image_relevant_all_the_same() {
        // Text 0 has the images 5 and 6, text 1 has 6, text 2 has 7.
        let mut relevance = Relevance::new(&[(0, 5), (0, 6), (1, 6), (2, 7), (0, 5)], 3);
        let mut check = |batch: &[(usize, usize)], expected: &[(usize, usize)]| {
            assert_eq!(relevance.others(batch.iter().copied()), expected, "{batch:?}");
        };
        check(&[(0, 5), (1, 6), (2, 7)], &[(0, 1)]);
        check(&[(0, 6), (1, 6)], &[(0, 1), (1, 0)]);
        check(&[(0, 5), (0, 6), (1, 6)], &[(0, 1), (0, 2), (1, 0), (1, 2), (2, 1)]);
        check(&[(2, 7), (0, 5)], &[]);
    }
}
