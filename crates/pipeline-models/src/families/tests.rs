//! Both sides through the one trait: the table finds the family, and the numbers are those of its own encoder.

use std::path::Path;

use super::*;
use crate::Device;
use crate::encoder::{EncoderRows, EncoderSide};
use crate::weights::{ModelSearch, find_image_model, find_text_model, fixtures};

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
    let encoder = model.load(Device::Cpu).unwrap();
    let texts = ["水果", "红 苹果"];
    let own = bert::encoder(&files, &options).unwrap().encode(&texts, 1).unwrap();
    assert_eq!(encoder.encode(EncoderRows::Texts(&texts), 2).unwrap(), own);
    assert_eq!((encoder.dim(), model.dim().unwrap()), (own.n_cols, own.n_cols));
    assert!(encoder.tokenize_seconds().unwrap() > 0.0);
}

#[test]
fn an_image_model_is_encoded_by_the_family_that_its_configuration_names() {
    let folder = fixtures::path("tiny/resnet").canonicalize().unwrap();
    let files = find_image_model(folder.to_str().unwrap(), &ModelSearch::default()).unwrap();
    let model = open_image_model(&files, &ImageOptions::default()).unwrap();
    assert_eq!((model.side(), model.pooling(), model.properties()), (EncoderSide::Image, "avg", vec![]));
    assert_eq!(model.files().last().unwrap(), &("weights".to_owned(), files.weights[0].clone()));
    let encoder = model.load(Device::Cpu).unwrap();
    let pixels: Vec<u8> = (0..32 * 32 * 3).map(|place| (place * 7 % 256) as u8).collect();
    let own = resnet::ImageEncoder::load(&files, Device::Cpu).unwrap().encode(&[&pixels], 32, 32, 1).unwrap();
    let rows = EncoderRows::Images { pixels: &[&pixels], height: 32, width: 32 };
    assert_eq!(encoder.encode(rows, 2).unwrap(), own);
    assert_eq!((encoder.dim(), model.dim().unwrap(), encoder.tokenize_seconds()), (own.n_cols, own.n_cols, None));
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
