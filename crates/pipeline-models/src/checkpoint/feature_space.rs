//! The properties of features, so that heads are used only on features like those they were trained on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The properties of an encoder and its inputs that change every vector.
///
/// They are `model` (the digest of its files), `pooling`, `max_length` of texts, and `height`, `width` and `resize` of
/// images.
///
/// Vectors of two spaces mean different things, even with the same width. Imported vectors have no properties but the
/// `encoder` that their user names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FeatureSpace {
    /// The values by name.
    pub properties: BTreeMap<String, String>,
}

/// The spaces of the features that heads were trained on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrainedOn {
    /// The text features.
    pub text: FeatureSpace,
    /// The image features.
    pub images: FeatureSpace,
}

impl FeatureSpace {
    /// The space with these properties.
    pub fn of<const N: usize>(properties: [(&str, String); N]) -> Self {
        Self { properties: properties.map(|(name, value)| (name.to_owned(), value)).into() }
    }

    /// The property that identifies the encoder: the digest of the model's files, or the user's name for imported
    /// vectors.
    pub fn maker(&self) -> Option<&str> {
        ["model", "encoder"].iter().find_map(|name| self.properties.get(*name)).map(String::as_str)
    }

    /// The properties in which it differs from `other`: the name, its own value and the other's.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<(&'a str, Option<&'a str>, Option<&'a str>)> {
        let names: std::collections::BTreeSet<_> =
            self.properties.keys().chain(other.properties.keys()).map(String::as_str).collect();
        let value = |space: &'a Self, name: &str| space.properties.get(name).map(String::as_str);
        names
            .into_iter()
            .map(|name| (name, value(self, name), value(other, name)))
            .filter(|(_, own, others)| own != others)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_what_only_one_space_has_too() {
        let own = FeatureSpace::of([("model", "a".into()), ("pooling", "cls".into())]);
        let other = FeatureSpace::of([("model", "a".into()), ("encoder", "b".into()), ("pooling", "mean".into())]);
        let expect = [("encoder", None, Some("b")), ("pooling", Some("cls"), Some("mean"))];
        assert_eq!(own.differences(&other), expect);
        assert!(own.differences(&own).is_empty());
        assert_eq!((own.maker(), FeatureSpace::default().maker()), (Some("a"), None));
    }
}
