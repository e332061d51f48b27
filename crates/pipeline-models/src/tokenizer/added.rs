//! Tokens that the settings add to a vocabulary.

use std::collections::HashSet;

use tokenizers::{AddedToken, Tokenizer};

use super::TokenizerSettings;
use super::vocabulary;

/// Adds the tokens that the settings name, in transformers' order: it decides about the ids of new ones.
pub(super) fn add_tokens(
    inner: &mut Tokenizer,
    settings: &TokenizerSettings,
    n_known: usize,
) -> Result<(), tokenizers::Error> {
    let is_added = |content: &str| settings.added.values().any(|token| token.content == content);
    for end in settings.ends().filter(|end| !is_added(end)) {
        vocabulary::id(inner, end)?;
    }
    let known: HashSet<String> =
        inner.get_added_tokens_decoder().into_values().map(|token: AddedToken| token.content).collect();
    let mut tokens: Vec<AddedToken> = settings.added.values().cloned().collect();
    let mut n_tokens = inner.get_vocab_size(true);
    n_tokens += tokens.iter().filter(|token| inner.token_to_id(&token.content).is_none()).count();
    for named in &settings.named {
        let content = &named.token.content;
        if known.contains(content) || tokens.iter().any(|token| token.content == *content) {
            continue;
        }
        if inner.token_to_id(content).is_none() {
            // A padding token that nobody needs has no row in the embedding of some models.
            if named.is_dispensable && n_tokens >= n_known {
                continue;
            }
            n_tokens += 1;
        }
        tokens.push(named.token.clone());
    }
    inner.add_tokens(&tokens);
    let moved = settings.added.iter().find(|(id, token)| inner.token_to_id(&token.content) != Some(**id));
    match moved {
        None => Ok(()),
        Some((id, token)) => {
            let found = inner.token_to_id(&token.content).map_or("none".to_owned(), |id| id.to_string());
            let file = settings.added_in.as_deref().map(super::file_name).unwrap_or_default();
            Err(format!("`{file}` gives `{}` the id {id}, but the vocabulary gives it {found}", token.content).into())
        }
    }
}
