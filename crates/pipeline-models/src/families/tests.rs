//! Both sides through the one trait: the table finds the family, and the numbers are those of its own encoder.

use std::path::Path;

use super::*;
use crate::encoder::{EncoderRows, EncoderSide};
use crate::tokenizer::TokenCount;
use crate::weights::{ModelSearch, find_image_model, find_text_model, fixtures};
use crate::{Device, Precision};

fn text_files(folder: &Path) -> TextModelFiles {
    find_text_model(folder.to_str().unwrap(), &ModelSearch::default()).unwrap()
}

#[test]
fn a_text_model_is_encoded_by_the_family_that_its_configuration_names() {
    let files = text_files(&fixtures::path("tiny/bert").canonicalize().unwrap());
    let options = TextOptions { lower_case: Some(true), ..Default::default() };
    let model = open_text_model(&files, &options).unwrap();
    assert_eq!((model.side(), model.pooling(), model.is_normalized()), (EncoderSide::Text, "cls", false));
    assert_eq!(model.properties(), [("lower_case", "true".to_owned())]);
    let roles: Vec<String> = model.files().into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, ["config", "vocab", "tokenizer-config", "weights"]);
    let encoder = model.load(Device::Cpu, Precision::F32).unwrap();
    let texts = ["水果", "红 苹果"];
    let own = bert::encoder(&files, &options).unwrap().encode(&texts, 1).unwrap();
    assert_eq!(encoder.encode(EncoderRows::Texts(&texts), 2).unwrap(), own);
    assert_eq!((encoder.dim(), model.dim().unwrap()), (own.n_cols, own.n_cols));
    let ids = encoder.tokenize(&texts, 1).unwrap();
    assert_eq!(encoder.encode(EncoderRows::Tokens(&ids), 1).unwrap(), own);
    assert_eq!(encoder.count_tokens(&ids[0]), TokenCount { n_tokens: 2, n_unknown: 0 });
}

#[test]
fn an_image_model_is_encoded_by_the_family_that_its_configuration_names() {
    let folder = fixtures::path("tiny/resnet").canonicalize().unwrap();
    let files = find_image_model(folder.to_str().unwrap(), &ModelSearch::default()).unwrap();
    let model = open_image_model(&files, &ImageOptions::default()).unwrap();
    assert_eq!((model.side(), model.pooling(), model.properties()), (EncoderSide::Image, "avg", vec![]));
    assert_eq!(model.files().last().unwrap(), &("weights".to_owned(), files.weights[0].clone()));
    let encoder = model.load(Device::Cpu, Precision::F32).unwrap();
    let pixels: Vec<u8> = (0..32 * 32 * 3).map(|place| (place * 7 % 256) as u8).collect();
    let own = resnet::ImageEncoder::load(&files, Device::Cpu).unwrap().encode(&[&pixels], 32, 32, 1).unwrap();
    let rows = EncoderRows::Images { pixels: &[&pixels], height: 32, width: 32 };
    assert_eq!(encoder.encode(rows, 2).unwrap(), own);
    assert_eq!((encoder.dim(), model.dim().unwrap()), (own.n_cols, own.n_cols));
}

#[test]
fn a_model_of_no_family_is_refused() {
    let folder = fixtures::folder_without_weights("tiny/bert");
    std::fs::write(folder.path().join("config.json"), r#"{ "model_type": "ernie" }"#).unwrap();
    let files = TextModelFiles {
        config: Some(folder.path().join("config.json")),
        ..text_files(&fixtures::path("tiny/bert").canonicalize().unwrap())
    };
    let error = open_text_model(&files, &TextOptions::default()).err().unwrap();
    assert!(matches!(&error, ModelError::UnknownFamily { named, .. } if named == "`model_type` is `ernie`"), "{error}");
}

/// A change to one tensor of a checkpoint.
#[derive(Debug, Clone, Copy)]
enum Change {
    Missing,
    Superfluous,
    Reshaped,
    Whole,
    Hollow,
}

/// Writes the checkpoint `from` with one tensor changed.
fn write_changed(from: &Path, to: &Path, name: &str, change: Change) {
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;
    let bytes = std::fs::read(from).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut views: Vec<(String, TensorView<'_>)> = file.tensors();
    let place = views.iter().position(|(own, _)| own == name).unwrap();
    let view = &views[place].1;
    let (n_numbers, shape) = (view.shape().iter().product::<usize>(), view.shape().to_vec());
    let zeros = vec![0; n_numbers * 8];
    match change {
        Change::Missing => drop(views.remove(place)),
        Change::Superfluous => {
            let (parent, _) = name.rsplit_once('.').unwrap_or((name, ""));
            let extra = TensorView::new(Dtype::F32, vec![2], &zeros[..8]).unwrap();
            views.push((format!("{parent}.extra"), extra));
        }
        Change::Reshaped => {
            let turned = TensorView::new(Dtype::F32, [vec![1, 1], shape].concat(), &zeros[..n_numbers * 4]).unwrap();
            views[place].1 = turned;
        }
        Change::Whole => views[place].1 = TensorView::new(Dtype::I64, shape, &zeros).unwrap(),
        // No size may be divided by an axis of nothing.
        Change::Hollow => {
            let hollow = [&shape[..shape.len() / 2], &vec![0; shape.len().div_ceil(2).max(1)]].concat();
            views[place].1 = TensorView::new(Dtype::F32, hollow, &[]).unwrap();
        }
    }
    safetensors::serialize_to_file(views, None, to).unwrap();
}

fn message(error: Option<ModelError>) -> Option<String> {
    error.map(|error| error.to_string())
}

/// Whether headers show a fault, which must be the one that loading finds.
fn shows_fault(model: &dyn EncoderModel, case: &str) -> bool {
    let found = message(model.check().err());
    assert_eq!(found, message(model.load(Device::Cpu, Precision::F32).err()), "{case}");
    found.is_some()
}

/// Opens a side of the model in a folder.
type Open = fn(&Path) -> Opened;

const OPEN_TEXT: Open = |folder| open_text_model(&text_files(folder), &TextOptions::default());
const OPEN_IMAGE: Open = |folder| {
    let files = find_image_model(folder.to_str().unwrap(), &ModelSearch::default()).unwrap();
    open_image_model(&files, &ImageOptions::default())
};

#[test]
fn headers_show_every_fault_of_tensors_that_loading_would_find() {
    for (name, open) in [
        ("tiny/resnet", OPEN_IMAGE),
        ("ladder/chinese_clip", OPEN_TEXT),
        ("ladder/chinese_clip", OPEN_IMAGE),
        ("ladder/clip", OPEN_TEXT),
        ("ladder/open_clip", OPEN_TEXT),
        ("ladder/open_clip", OPEN_IMAGE),
        ("ladder/siglip2", OPEN_TEXT),
        ("ladder/siglip2", OPEN_IMAGE),
        ("ladder/vit_hf", OPEN_IMAGE),
        ("ladder/vit_timm", OPEN_IMAGE),
        ("ladder/dinov2", OPEN_IMAGE),
        ("ladder/convnext_hf", OPEN_IMAGE),
        ("ladder/convnext_timm", OPEN_IMAGE),
        ("ladder/convnext_conv_mlp", OPEN_IMAGE),
        ("ladder/roberta", OPEN_TEXT),
    ] {
        let folder = fixtures::folder_without_weights(name);
        let weights = if name.ends_with("open_clip") { "open_clip_model.safetensors" } else { "model.safetensors" };
        let (from, to) = (fixtures::path(name).join(weights), folder.path().join(weights));
        std::fs::copy(&from, &to).unwrap();
        assert!(!shows_fault(&*open(folder.path()).unwrap(), name), "{name}");
        let mut n_faults = [0; 5];
        for (tensor_idx, tensor) in fixtures::tensors(&format!("{name}/{weights}")).keys().enumerate() {
            let changes = [Change::Hollow, Change::Missing, Change::Superfluous, Change::Reshaped, Change::Whole];
            for change in changes.into_iter().take(if tensor_idx % 6 == 0 { 5 } else { 1 }) {
                write_changed(&from, &to, tensor, change);
                // Sizes that follow from tensors are missed already when a model is opened.
                let is_faulty = open(folder.path())
                    .map_or(true, |model| shows_fault(&*model, &format!("{name}, {tensor}: {change:?}")));
                n_faults[change as usize] += usize::from(is_faulty);
            }
        }
        assert!(n_faults.iter().all(|n_faults| *n_faults > 0), "{name}: {n_faults:?}");
    }
}

#[test]
fn the_words_of_another_model_show_before_anything_is_encoded() {
    for (name, words) in
        [("ladder/clip", "ladder/siglip2/tokenizer.json"), ("ladder/roberta", "ladder/clip/tokenizer.json")]
    {
        let folder = fixtures::folder_without_weights(name);
        std::fs::copy(fixtures::path(name).join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
        let model = || OPEN_TEXT(folder.path()).unwrap();
        assert!(!shows_fault(&*model(), name), "{name}");
        std::fs::copy(fixtures::path(words), folder.path().join("tokenizer.json")).unwrap();
        assert!(shows_fault(&*model(), name), "{name} with {words}");
    }
    // The vector of a text is that of a token that these words do not have.
    let folder = fixtures::folder_without_weights("ladder/clip");
    std::fs::copy(fixtures::path("ladder/clip/model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let config = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
    let changed = config.replace("\"eos_token_id\": 2", "\"eos_token_id\": 49407");
    assert_ne!(changed, config);
    std::fs::write(folder.path().join("config.json"), changed).unwrap();
    assert!(shows_fault(&*OPEN_TEXT(folder.path()).unwrap(), "another end"));
    let folder = fixtures::folder_without_weights("ladder/chinese_clip");
    let weights = fixtures::path("ladder/chinese_clip/model.safetensors");
    std::fs::copy(weights, folder.path().join("model.safetensors")).unwrap();
    let vocab = folder.path().join("vocab.txt");
    let longer = std::fs::read_to_string(&vocab).unwrap().trim_end().to_owned() + "\n词语\n";
    std::fs::write(&vocab, longer).unwrap();
    let error = OPEN_TEXT(folder.path()).unwrap().check().unwrap_err().to_string();
    assert!(error.contains("`词语`, and the model knows only"), "{error}");
}
