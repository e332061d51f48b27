//! The names of a ResNet's tensors in the dialects of timm, torchvision and transformers.

/// The name in torchvision and timm, or `None` for tensors that the features do not need: classifier and counters.
pub(super) fn canonical_name(name: &str) -> Option<String> {
    let is_head = ["fc.", "classifier.", "head."].iter().any(|part| name.starts_with(part));
    if is_head || name.ends_with(".num_batches_tracked") {
        return None;
    }
    Some(from_transformers(name).unwrap_or_else(|| name.to_owned()))
}

/// `encoder.stages.S.layers.I.layer.J.convolution.weight` is `layer{S+1}.I.conv{J+1}.weight`, and so on.
fn from_transformers(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("embedder.embedder.") {
        let (part, field) = rest.split_once('.')?;
        return Some(format!("{}.{field}", part_name(part, "conv1", "bn1")?));
    }
    let (stage, rest) = name.strip_prefix("encoder.stages.")?.split_once(".layers.")?;
    let stage = stage.parse::<usize>().ok()? + 1;
    let (block, rest) = rest.split_once('.')?;
    let block = format!("layer{stage}.{block}");
    if let Some(rest) = rest.strip_prefix("shortcut.") {
        let (part, field) = rest.split_once('.')?;
        return Some(format!("{block}.{}.{field}", part_name(part, "downsample.0", "downsample.1")?));
    }
    let (conv, rest) = rest.strip_prefix("layer.")?.split_once('.')?;
    let conv = conv.parse::<usize>().ok()? + 1;
    let (part, field) = rest.split_once('.')?;
    Some(format!("{block}.{}.{field}", part_name(part, &format!("conv{conv}"), &format!("bn{conv}"))?))
}

fn part_name(part: &str, convolution: &str, normalization: &str) -> Option<String> {
    match part {
        "convolution" => Some(convolution.to_owned()),
        "normalization" => Some(normalization.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_has_one_canonical_name() {
        for (given, expected) in [
            ("layer1.0.conv1.weight", Some("layer1.0.conv1.weight")),
            ("layer4.2.bn3.running_var", Some("layer4.2.bn3.running_var")),
            ("embedder.embedder.convolution.weight", Some("conv1.weight")),
            ("embedder.embedder.normalization.running_mean", Some("bn1.running_mean")),
            ("encoder.stages.2.layers.5.layer.1.convolution.weight", Some("layer3.5.conv2.weight")),
            ("encoder.stages.0.layers.0.shortcut.normalization.bias", Some("layer1.0.downsample.1.bias")),
            ("fc.weight", None),
            ("classifier.1.bias", None),
            ("bn1.num_batches_tracked", None),
            ("conv1.0.weight", Some("conv1.0.weight")),
        ] {
            assert_eq!(canonical_name(given).as_deref(), expected, "{given}");
        }
    }
}
