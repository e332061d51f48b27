//! Groups texts of any lengths into batches for the processor.

/// The most tokens of a batch: with more, intermediate values leave the caches.
const MAX_TOKENS: usize = 384;
/// The least tokens of a batch, where there are enough: with fewer, fetching the weights takes longer than using them.
const MIN_TOKENS: usize = 96;

/// Indices of texts, long ones first, at most `batch_rows` per batch, and equally many batches per thread if possible.
pub(crate) fn of_any_length(lengths: &[usize], batch_rows: usize, n_threads: usize) -> Vec<Vec<usize>> {
    let (n_tokens, longest) = (lengths.iter().sum::<usize>(), lengths.iter().max().copied().unwrap_or(0));
    let n_batches = n_tokens.div_ceil(MAX_TOKENS).max(1).next_multiple_of(n_threads.max(1));
    // Texts are not split, so batches of exactly a share would need an extra batch for the rest.
    let max_tokens = (n_tokens.div_ceil(n_batches) + longest.saturating_sub(1)).clamp(MIN_TOKENS, MAX_TOKENS);
    let mut by_length: Vec<usize> = (0..lengths.len()).collect();
    by_length.sort_by_key(|text_idx| std::cmp::Reverse(lengths[*text_idx]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens_left = 0;
    for text_idx in by_length {
        let length = lengths[text_idx];
        match batches.last_mut() {
            Some(batch) if length <= tokens_left && batch.len() < batch_rows => batch.push(text_idx),
            _ => {
                batches.push(vec![text_idx]);
                tokens_left = max_tokens;
            }
        }
        tokens_left = tokens_left.saturating_sub(length);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_one_batch_within_the_limits() {
        let lengths: Vec<usize> = (0..500).map(|idx| 2 + idx * 37 % 126).collect();
        for (batch_rows, n_threads) in [(1, 1), (7, 2), (32, 3), (1000, 2)] {
            let batches = of_any_length(&lengths, batch_rows, n_threads);
            let mut all = batches.concat();
            assert!(all.is_sorted_by_key(|text_idx| std::cmp::Reverse(lengths[*text_idx])));
            all.sort_unstable();
            assert!(all.into_iter().eq(0..500));
            for batch in batches {
                let n_tokens: usize = batch.iter().map(|text_idx| lengths[*text_idx]).sum();
                assert!(batch.len() <= batch_rows && n_tokens <= MAX_TOKENS);
            }
        }
    }

    #[test]
    fn few_texts_are_shared_among_the_threads() {
        let n_texts = |n_threads| of_any_length(&[16; 32], 32, n_threads).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(n_texts(2), [16, 16]);
        assert_eq!(n_texts(3), [11, 11, 10]);
        assert_eq!(n_texts(64), [6, 6, 6, 6, 6, 2]);
        assert_eq!(of_any_length(&[9, 400], 32, 2), [[1], [0]]);
        assert!(of_any_length(&[], 32, 2).is_empty());
    }
}
