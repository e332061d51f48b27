//! The vectors of the tokens of rows, of which each row has any number.

use crate::half::{f32_to_half, half_to_f32};

/// Rows of token vectors, one row after the other.
///
/// # Shapes
/// `numbers`: `[n_all_tokens, width]`
#[derive(Debug, Clone, PartialEq)]
pub struct TokenMatrix {
    width: usize,
    /// The number of tokens of all rows up to each, itself included.
    ends: Vec<usize>,
    numbers: TokenNumbers,
}

/// The numbers of token vectors, in the precision that they are held in.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenNumbers {
    /// Single precision.
    Single(Vec<f32>),
    /// The bits of half precision: half of the memory.
    Half(Vec<u16>),
}

impl TokenMatrix {
    /// Rows of so many tokens each, of `width` numbers.
    ///
    /// # Panics
    /// When there are fewer or more numbers than tokens need: a bug of the caller.
    pub fn new(width: usize, n_tokens: impl IntoIterator<Item = usize>, numbers: TokenNumbers) -> Self {
        let sum = |end: &mut usize, n_tokens: usize| {
            *end += n_tokens;
            Some(*end)
        };
        let ends: Vec<usize> = n_tokens.into_iter().scan(0, sum).collect();
        let n_wanted = ends.last().copied().unwrap_or(0) * width;
        assert_eq!(numbers.len(), n_wanted, "BUG: tokens of {width} numbers need as many");
        Self { width, ends, numbers }
    }

    /// The numbers of a token's vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of rows.
    pub fn n_rows(&self) -> usize {
        self.ends.len()
    }

    /// The number of tokens of a row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn n_tokens(&self, row_idx: usize) -> usize {
        self.ends[row_idx] - self.start(row_idx)
    }

    /// The number of tokens of all rows.
    pub fn n_all_tokens(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// All numbers, row after row.
    pub fn numbers(&self) -> &TokenNumbers {
        &self.numbers
    }

    /// The vectors of a row; `buffer` holds them where they must be widened.
    ///
    /// # Shapes
    /// returns `[n_tokens, width]`
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row<'a>(&'a self, row_idx: usize, buffer: &'a mut Vec<f32>) -> &'a [f32] {
        let range = self.start(row_idx) * self.width..self.ends[row_idx] * self.width;
        match &self.numbers {
            TokenNumbers::Single(values) => &values[range],
            TokenNumbers::Half(bits) => {
                buffer.clear();
                buffer.extend(bits[range].iter().map(|bits| half_to_f32(*bits)));
                buffer
            }
        }
    }

    /// The vectors of a row as they are held; `None` in half precision.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn single_row(&self, row_idx: usize) -> Option<&[f32]> {
        let range = self.start(row_idx) * self.width..self.ends[row_idx] * self.width;
        match &self.numbers {
            TokenNumbers::Single(values) => Some(&values[range]),
            TokenNumbers::Half(_) => None,
        }
    }

    /// The same rows in half precision, each number rounded to the nearest.
    ///
    /// # Errors
    /// The first row with a number that half precision does not reach.
    pub fn in_halves(self) -> Result<Self, usize> {
        let TokenNumbers::Single(values) = &self.numbers else { return Ok(self) };
        let bits: Vec<u16> = values.iter().map(|value| f32_to_half(*value)).collect();
        match bits.iter().position(|bits| bits & 0x7c00 == 0x7c00) {
            Some(number_idx) => Err(self.row_of(number_idx)),
            None => Ok(Self { numbers: TokenNumbers::Half(bits), ..self }),
        }
    }

    /// The first row that holds an infinity or NaN, if there is one.
    pub fn first_row_not_finite(&self) -> Option<usize> {
        let number_idx = match &self.numbers {
            TokenNumbers::Single(values) => values.iter().position(|value| !value.is_finite()),
            TokenNumbers::Half(bits) => bits.iter().position(|bits| bits & 0x7c00 == 0x7c00),
        };
        number_idx.map(|number_idx| self.row_of(number_idx))
    }

    fn start(&self, row_idx: usize) -> usize {
        row_idx.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    fn row_of(&self, number_idx: usize) -> usize {
        self.ends.partition_point(|end| end * self.width <= number_idx)
    }
}

impl TokenNumbers {
    /// The number of numbers.
    pub fn len(&self) -> usize {
        match self {
            Self::Single(values) => values.len(),
            Self::Half(bits) => bits.len(),
        }
    }

    /// Whether there are no numbers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of one, no and two tokens.
    fn tokens(values: [f32; 6]) -> TokenMatrix {
        TokenMatrix::new(2, [1, 0, 2], TokenNumbers::Single(values.into()))
    }

    #[test]
    fn rows_have_tokens_of_their_own_in_either_precision() {
        let single = tokens([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let half = single.clone().in_halves().unwrap();
        for tokens in [single, half] {
            let mut buffer = Vec::new();
            assert_eq!((tokens.n_rows(), tokens.n_all_tokens(), tokens.n_tokens(2)), (3, 3, 2));
            assert_eq!(tokens.row(0, &mut buffer), [1.0, 2.0]);
            assert!(tokens.row(1, &mut buffer).is_empty());
            assert_eq!(tokens.row(2, &mut buffer), [3.0, 4.0, 5.0, 6.0]);
        }
    }

    #[test]
    fn numbers_that_half_precision_does_not_reach_are_refused_by_their_row() {
        assert_eq!(tokens([1.0, 2.0, 3.0, 4.0, 65520.0, 6.0]).in_halves(), Err(2));
        assert_eq!(tokens([-7e4, 2.0, 3.0, 4.0, 5.0, 6.0]).in_halves(), Err(0));
        assert_eq!(tokens([1.0, 2.0, 3.0, f32::NAN, 5.0, 6.0]).first_row_not_finite(), Some(2));
        assert_eq!(tokens([65504.0; 6]).in_halves().unwrap().first_row_not_finite(), None);
    }
}
