//! A ranking of images, and the similarity by which they are ranked.

/// The similarity of two embeddings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Similarity {
    /// The cosine of their angle; 0 if either is zero.
    #[default]
    Cosine,
    /// Their inner product.
    Dot,
}

/// The images for one query, best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The row and score of the first images, at most `top_k`.
    pub top: Vec<(usize, f32)>,
    /// The ranks of the relevant images among all images, from 1, ascending; duplicates count once.
    pub relevant_ranks: Vec<usize>,
}

impl Ranking {
    /// The rank of the best relevant image; `None` if there is no relevant image.
    pub fn best_rank(&self) -> Option<usize> {
        self.relevant_ranks.first().copied()
    }
}
