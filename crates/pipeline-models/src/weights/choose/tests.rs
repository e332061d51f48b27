//! Possible places of a model in its checkpoint, the remark on each, and ambiguous ones.

use crate::weights::made::{Item, Made, bytes, whole};
use crate::weights::{Family, WeightsNote, open};

const FAMILY: Family = Family {
    what: "a model",
    anchors: &[&["x.weight"], &["y.weight"]],
    canonical: |name| Some(name.to_owned()).filter(|name| !name.starts_with("head.")),
    usual_prefixes: &["bert."],
};

/// A dict of tensors, each with the index of its storage.
fn dict<'a>(tensors: &[(&'a str, usize)]) -> Item<'a> {
    Item::Dict(tensors.iter().map(|(name, storage_idx)| (*name, whole(*storage_idx, &[1]))).collect())
}

/// The value of `x.weight` and the remark on its place, with the warning in brackets; or the error.
fn found(root: Item<'_>) -> Result<(f32, String), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.pth");
    let storages = (0..8).map(|n| ("FloatStorage", bytes(&[n as f32]))).collect();
    std::fs::write(&path, Made { storages, root }.zip()).unwrap();
    let mut checklist = open(&[path], &FAMILY).map_err(|error| error.to_string())?;
    let WeightsNote { place, warning } = checklist.note().clone();
    let note = place.unwrap_or_default() + &warning.map(|warning| format!(" ({warning})")).unwrap_or_default();
    let values = checklist.take("x.weight", &[1]);
    checklist.take("y.weight", &[1]);
    checklist.finish().map_err(|error| error.to_string())?;
    Ok((values[0], note))
}

#[test]
fn the_model_is_found_wherever_training_programs_put_it() {
    let model = || dict(&[("x.weight", 1), ("y.weight", 2)]);
    let optimizer = || Item::Dict(vec![("state", Item::Raw(b"}(K\x00}u")), ("param_groups", Item::Raw(b"]"))]);
    for (root, note) in [
        (model(), ""),
        (dict(&[("bert.x.weight", 1), ("bert.y.weight", 2), ("cls.weight", 3)]), ""),
        (Item::Dict(vec![("state_dict", model()), ("optimizer", optimizer())]), "weights from `state_dict`"),
        (Item::Dict(vec![("a", Item::Dict(vec![("b", model())]))]), "weights from `a.b`"),
        (
            dict(&[("module._orig_mod.x.weight", 1), ("module._orig_mod.y.weight", 2)]),
            "`_orig_mod.` and `module.` taken off the names of weights",
        ),
        (dict(&[("x._orig_mod.weight", 1), ("y.weight", 2)]), "`_orig_mod.` taken off the names of weights"),
        (
            Item::Dict(vec![("model", dict(&[("backbone.x.weight", 1), ("backbone.y.weight", 2), ("neck.z", 3)]))]),
            "weights from `model`, `backbone.` taken off the names of weights",
        ),
        (
            Item::Dict(vec![("net", Item::Dict(vec![("x", dict(&[("weight", 1)])), ("y", dict(&[("weight", 2)]))]))]),
            "`net.` taken off the names of weights",
        ),
        (Item::Dict(vec![("model", model()), ("same", model())]), "weights from `model`"),
    ] {
        assert_eq!(found(root), Ok((1.0, note.to_owned())));
    }
}

/// The text tower of a checkpoint of cn_clip, and its image tower.
const TOWERS: [Family; 2] = [
    Family {
        what: "a text tower",
        anchors: &[&["bert.x.weight"]],
        canonical: |name| name.starts_with("bert.").then(|| name.to_owned()),
        usual_prefixes: &[],
    },
    Family {
        what: "an image tower",
        anchors: &[&["visual.x.weight"]],
        canonical: |name| name.starts_with("visual.").then(|| name.to_owned()),
        usual_prefixes: &[],
    },
];

/// A fine-tuned checkpoint: wrapped names, half precision beside single, a counter, and an optimizer whose state has
/// numbers for keys and tensors of its own.
fn fine_tuned() -> Made<'static> {
    let names = ["module.bert.x.weight", "module.bert.y.weight", "module.visual.x.weight", "module.bert.position_ids"];
    let tensors = names.iter().enumerate().map(|(idx, name)| (*name, whole(idx, &[1])));
    let state = Item::Raw(b"}(K\x00}(X\x04\x00\x00\x00stepK\x01uK\x01}u");
    let optimizer =
        Item::Dict(vec![("state", state), ("param_groups", Item::Raw(b"](}(X\x06\x00\x00\x00paramsK\x00ue"))]);
    Made {
        storages: vec![
            ("HalfStorage", vec![0x00, 0x3e]),
            ("FloatStorage", bytes(&[2.5])),
            ("FloatStorage", bytes(&[3.5])),
            ("LongStorage", 7u64.to_le_bytes().to_vec()),
        ],
        root: Item::Dict(vec![
            ("epoch", Item::Raw(b"K\x03")),
            ("state_dict", Item::Dict(tensors.collect())),
            ("optimizer", optimizer),
        ]),
    }
}

#[test]
fn a_tower_of_a_fine_tuned_checkpoint_is_read_without_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("epoch_latest.pt");
    let mut archive = fine_tuned().zip();
    // The numbers of the image tower no longer fit their checksum.
    let image = bytes(&[3.5]);
    let place = archive.windows(4).position(|window| window == image).unwrap();
    archive[place] ^= 1;
    std::fs::write(&path, archive).unwrap();
    let [text, image] = TOWERS.each_ref().map(|tower| open(std::slice::from_ref(&path), tower).unwrap());
    assert_eq!(
        text.note().place.as_deref(),
        Some("weights from `state_dict`, `module.` taken off the names of weights")
    );
    let mut text = text;
    assert_eq!((text.take("bert.x.weight", &[1]), text.take("bert.y.weight", &[1])), (vec![1.5], vec![2.5]));
    text.finish().unwrap();
    let mut image = image;
    image.take("visual.x.weight", &[1]);
    let error = image.finish().unwrap_err().to_string();
    assert!(error.contains("checksum") && error.contains("visual.x.weight"), "{error}");
}

#[test]
fn an_average_beside_the_model_is_left_aside_and_reported() {
    let model = || dict(&[("x.weight", 1), ("y.weight", 2)]);
    let average = || dict(&[("x.weight", 3), ("y.weight", 4)]);
    for (plain, averaged) in
        [("state_dict", "state_dict_ema"), ("model", "model_ema"), ("model", "ema"), ("net", "net_m")]
    {
        let note = format!(
            "weights from `{plain}` (the averaged weights in `{averaged}` are left aside, and those in `{plain}` are \
            taken)"
        );
        assert_eq!(found(Item::Dict(vec![(averaged, average()), (plain, model())])), Ok((1.0, note)));
    }
    assert_eq!(found(Item::Dict(vec![("ema", average())])), Ok((3.0, "weights from `ema`".to_owned())));
    let pair =
        [("encoder_q.x.weight", 1), ("encoder_q.y.weight", 2), ("encoder_k.x.weight", 3), ("encoder_k.y.weight", 4)];
    let (value, note) = found(dict(&pair)).unwrap();
    assert_eq!(value, 1.0);
    assert!(note.contains("`encoder_q.` taken off"), "{note}");
}

#[test]
fn of_two_models_none_is_taken() {
    let (one, other) = (dict(&[("x.weight", 1), ("y.weight", 2)]), dict(&[("x.weight", 3), ("y.weight", 4)]));
    for (first, second) in [("student", "teacher"), ("model", "state_dict"), ("ema", "model_ema")] {
        let error = found(Item::Dict(vec![(first, one.clone()), (second, other.clone())])).unwrap_err();
        let expected = format!("nothing says which one is meant: `{first}`, `{second}`");
        assert!(error.contains(&expected), "{error}");
    }
    let error = found(dict(&[("x.weight", 1), ("module.x.weight", 2)])).unwrap_err();
    assert!(error.contains("more than once under different names"), "{error}");
}

#[test]
fn what_holds_no_model_is_refused_with_the_names_that_it_has() {
    let many: Vec<String> = (0..1000).map(|idx| format!("blocks.{idx}.weight")).collect();
    let many: Vec<(&str, usize)> = many.iter().map(|name| (name.as_str(), 0)).collect();
    for (root, expected) in [
        (Item::Dict(vec![]), "does not hold a model (nothing ends with `x.weight`); it has no tensors"),
        (Item::Raw(b"]"), "it has no tensors"),
        (dict(&[("z.weight", 1), ("e\u{1b}[2J", 2)]), "it has `e\\u{1b}[2J`, `z.weight`"),
        (dict(&[("max.weight", 1)]), "it has `max.weight`"),
        (dict(&many), "`blocks.103.weight`, `blocks.104.weight` and 992 more"),
        (Item::Raw(b"ctimm.models\nResNet\n)\x81}b"), "objects are not read (`timm.models.ResNet`)"),
        (dict(&[("y.weight", 1)]), "`x.weight` is missing; it has `y.weight`"),
        (dict(&[("x.weight", 1), ("y.weight", 2), ("se.weight", 3)]), "`se.weight` is not known in this model"),
    ] {
        let error = found(root).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}
