//! Checkpoints are read in every dialect and written so that PyTorch reads them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use super::*;
use crate::tower::fixtures::top;
use crate::tower::{Activation, LayerShape, NormPlace, TopPool};
use crate::train::goldens::{self, path};
use crate::train::{initial_heads, initial_mlp_heads};
use crate::weights::fixtures;
use crate::weights::made::{self, Item, Made};

fn checkpoint() -> Checkpoint {
    Checkpoint { heads: Some(initial_heads(5, 3, 4, 7)), normalize: false, trained_on: None }
}

/// Heads with a hidden layer.
fn deep_checkpoint() -> Checkpoint {
    Checkpoint { heads: Some(initial_mlp_heads(5, 3, 6, 4, 7)), normalize: false, trained_on: None }
}

/// The tensors of a file by name.
fn tensors(path: &std::path::Path) -> BTreeMap<String, PlainTensor> {
    read_tensors(path).unwrap()
}

#[test]
fn the_notebooks_own_checkpoint_is_read() {
    let read = Checkpoint::read(&path("mini/step_2_3_projection.pth")).unwrap();
    let heads = Some(goldens::heads("mini/trained_2_epochs.safetensors"));
    assert_eq!(read, Checkpoint { heads, normalize: true, trained_on: None });
}

#[test]
fn a_safetensors_file_comes_back_whole_and_has_the_same_bytes_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("1.safetensors"), folder.path().join("2.safetensors"));
    let none = Checkpoint { heads: None, normalize: true, trained_on: None };
    let text = FeatureSpace::of([("model", "a".into()), ("pooling", "mean".into())]);
    let trained_on = Some(TrainedOn { text, images: FeatureSpace::default() });
    let not_normalized = Checkpoint { normalize: false, ..none.clone() };
    for checkpoint in [checkpoint(), deep_checkpoint(), none, not_normalized, Checkpoint { trained_on, ..checkpoint() }]
    {
        checkpoint.write_safetensors(&first).unwrap();
        checkpoint.write_safetensors(&second).unwrap();
        assert_eq!(Checkpoint::read(&first).unwrap(), checkpoint);
        assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());
    }
}

#[test]
fn layers_that_were_trained_come_back_whole_and_damaged_ones_are_refused() {
    let shape = |norms, is_causal| LayerShape {
        width: 6,
        n_heads: 2,
        activation: Activation::QuickGelu,
        epsilon: 1e-12,
        norms,
        is_causal,
    };
    let mut heads = initial_heads(5, 5, 4, 7);
    heads.text.top = Some(top(shape(NormPlace::After, false), 2, 7, TopPool::Mean { n_skipped: 1 }));
    let mut image = top(shape(NormPlace::Before, true), 1, 3, TopPool::Last);
    (image.final_norm, image.head) = (None, Vec::new());
    heads.image = initial_heads(5, 6, 4, 7).image;
    heads.image.top = Some(image);
    let checkpoint = Checkpoint { heads: Some(heads), normalize: true, trained_on: None };
    let folder = tempfile::tempdir().unwrap();
    let [file, damaged] = ["a.safetensors", "b.safetensors"].map(|name| folder.path().join(name));
    checkpoint.write_safetensors(&file).unwrap();
    assert_eq!(Checkpoint::read(&file).unwrap(), checkpoint);
    let bytes = std::fs::read(&file).unwrap();
    let refused = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let place = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let changed = [&bytes[..place], to.as_bytes(), &bytes[place + from.len()..]].concat();
        std::fs::write(&damaged, changed).unwrap();
        let error = Checkpoint::read(&damaged).unwrap_err();
        std::error::Error::source(&error).unwrap().to_string().replace(&*damaged.to_string_lossy(), "b")
    };
    let pool = r#"\"pool\":\"last\""#;
    let unknown = refused(pool, &pool.replace("last", "lost"));
    assert!(unknown.starts_with("`b` has an unusable description `image_top`: unknown variant `lost`"), "{unknown}");
    let heads = refused(r#"\"n_heads\":2"#, r#"\"n_heads\":4"#);
    assert!(heads.ends_with("of 6 numbers and 4 heads cannot be"), "{heads}");
    let missing = refused("image_top.layers.0.key.weight", "image_top.layers.0.kex.weight");
    assert!(missing.contains("`image_top.layers.0.key.weight` is missing"), "{missing}");
}

#[test]
fn a_pth_file_comes_back_and_has_the_same_bytes_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("1.pth"), folder.path().join("2.pth"));
    for checkpoint in [checkpoint(), deep_checkpoint()] {
        checkpoint.write_pth(&first).unwrap();
        checkpoint.write_pth(&second).unwrap();
        assert_eq!(Checkpoint::read(&first).unwrap().heads, checkpoint.heads);
        assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());
    }
}

#[test]
fn layers_are_named_as_in_pytorchs_sequential() {
    let folder = tempfile::tempdir().unwrap();
    let (own, pth) = (folder.path().join("own.safetensors"), folder.path().join("own.pth"));
    let heads = goldens::heads("mini_mlp/projection.pth");
    let checkpoint = Checkpoint { heads: Some(heads.clone()), normalize: true, trained_on: None };
    checkpoint.write_safetensors(&own).unwrap();
    checkpoint.write_pth(&pth).unwrap();
    assert_eq!(tensors(&own), tensors(&path("mini_mlp/projection.pth")));
    assert_eq!(tensors(&own), tensors(&pth));
    let names: Vec<_> = tensors(&own).into_keys().filter(|name| name.starts_with("text_projector.")).collect();
    let expect = ["0.bias", "0.weight", "2.bias", "2.weight"].map(|name| format!("text_projector.{name}"));
    assert_eq!(names, expect);
    assert_eq!(heads.text.d_features(), 64);
}

#[test]
fn a_layer_that_is_missing_or_one_too_many_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.safetensors");
    deep_checkpoint().write_safetensors(&path).unwrap();
    let mut wrong = tensors(&path);
    wrong.remove("text_projector.0.weight");
    wrong.insert("image_projector.weight".into(), PlainTensor { shape: vec![1], values: vec![0.0] });
    fixtures::write(&path, &wrong);
    let error = Checkpoint::read(&path).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    for part in ["`text_projector.0.weight` is missing", "`image_projector.weight` is not known in this model"] {
        assert!(cause.contains(part), "{cause}");
    }
}

#[test]
fn a_pth_file_is_laid_out_as_pytorch_lays_it_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("projection.pth");
    checkpoint().write_pth(&path).unwrap();
    let mut zip = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
    let names: Vec<_> = (0..zip.len()).map(|idx| zip.name_for_index(idx).unwrap().to_owned()).collect();
    let storages = ["archive/data/0", "archive/data/1", "archive/data/2", "archive/data/3"];
    assert_eq!(names[..3], ["archive/data.pkl", "archive/byteorder", "archive/version"]);
    assert_eq!(names[3..], storages);
    for (name, bytes) in storages.into_iter().zip([4 * 4 * 5, 4 * 4, 4 * 4 * 3, 4 * 4]) {
        let entry = zip.by_name(name).unwrap();
        assert_eq!(entry.compression(), zip::CompressionMethod::Stored);
        assert_eq!((entry.size(), entry.data_start() % 64), (bytes, 0), "{name}");
    }
    let mut pickle = Vec::new();
    zip.by_name("archive/data.pkl").unwrap().read_to_end(&mut pickle).unwrap();
    assert!(pickle.starts_with(b"\x80\x02}(X\x0e\0\0\0text_projectorccollections\nOrderedDict\n(tR("));
    assert!(pickle.ends_with(b"X\x0e\0\0\0projection_dimJ\x04\0\0\0u."));
}

#[test]
fn a_file_of_another_program_is_read_and_its_other_tensors_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flat.safetensors");
    let Checkpoint { heads, .. } = checkpoint();
    let tensor = |shape: &[usize], values: &[f32]| PlainTensor { shape: shape.to_vec(), values: values.to_vec() };
    let dicts = state_dict::state_dicts(heads.as_ref().unwrap());
    let mut tensors = BTreeMap::new();
    for (side, dict) in dicts {
        tensors.extend(dict.iter().map(|own| (format!("{side}.{}", own.name), tensor(&own.shape, own.values))));
    }
    tensors.insert("logit_scale".to_owned(), tensor(&[1], &[2.6]));
    fixtures::write(&path, &tensors);
    assert_eq!(Checkpoint::read(&path).unwrap(), Checkpoint { heads, normalize: true, trained_on: None });
}

#[test]
fn heads_of_other_programs_may_be_turned_wrapped_and_without_bias() {
    let Checkpoint { heads, .. } = checkpoint();
    let mut heads = heads.unwrap();
    heads.text.output.bias = vec![0.0; 4];
    let (text, image) = (&heads.text.output.weight, &heads.image.output);
    // Saved as the transpose of another layout.
    let turned: Vec<f32> = (0..5).flat_map(|column| (0..4).map(move |row| text.values[row * 5 + column])).collect();
    let storages = [&turned, &image.weight.values, &image.bias].map(|values| ("FloatStorage", made::bytes(values)));
    let turned = Item::Tensor { storage_idx: 0, offset: 0, shape: vec![4, 5], strides: vec![1, 4] };
    let sides = Item::Dict(vec![
        ("text_projector", Item::Dict(vec![("module.weight", turned)])),
        ("image_projector", Item::Dict(vec![("weight", made::whole(1, &[4, 3])), ("bias", made::whole(2, &[4]))])),
    ]);
    let root = Item::Dict(vec![("model_state_dict", sides), ("epoch", Item::Raw(b"K\x03"))]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heads.pth");
    std::fs::write(&path, Made { storages: storages.into(), root }.zip()).unwrap();
    let (read, note) = Checkpoint::read_with_note(&path).unwrap();
    assert_eq!(read, Checkpoint { heads: Some(heads), normalize: true, trained_on: None });
    let expected = "`module.` and `model_state_dict.` taken off the names of weights, \
                    no bias in `text_projector`, so zeros are taken";
    assert_eq!(note, WeightsNote { place: Some(expected.to_owned()), warning: None });
}

#[test]
fn what_is_wrong_with_a_checkpoint_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.safetensors");
    let mut heads = initial_heads(5, 3, 4, 7);
    heads.image = initial_heads(5, 3, 6, 7).image;
    heads.text.output.bias[0] = f32::INFINITY;
    Checkpoint { heads: Some(heads), normalize: true, trained_on: None }.write_safetensors(&path).unwrap();
    let error = Checkpoint::read(&path).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    for part in [
        "`text_projector.bias` has a value that is not finite",
        "`image_projector.weight` has shape [6, 3] instead of [4, 3]",
        "`image_projector.bias` has shape [6] instead of [4]",
    ] {
        assert!(cause.contains(part), "{cause}");
    }
}

#[test]
fn what_is_no_checkpoint_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let whole = {
        checkpoint().write_safetensors(&path).unwrap();
        std::fs::read(&path).unwrap()
    };
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n".as_slice();
    for bytes in [b"".as_slice(), b"\x80\x02}.", pointer, &whole[..whole.len() - 1], &whole[..40], &[0; 64]] {
        std::fs::write(&path, bytes).unwrap();
        assert!(Checkpoint::read(&path).is_err(), "{bytes:?}");
    }
    assert!(Checkpoint::read(&folder.path().join("missing")).is_err());
    assert!(Checkpoint::read(&path).is_err());
}

#[test]
fn a_row_that_cannot_be_read_is_not_taken_for_a_file_that_cannot_be_written() {
    #[derive(Debug)]
    struct Unreadable;
    impl pipeline_kernels::RowReader for Unreadable {
        fn n_rows(&self) -> usize {
            2
        }
        fn n_cols(&self) -> usize {
            3
        }
        fn read_rows(&self, _: &[usize], _: &mut [f32]) -> std::io::Result<()> {
            Err(std::io::Error::other("`features.parquet` is damaged"))
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let error = write_vectors(&folder.path().join("vectors.safetensors"), &Unreadable).unwrap_err();
    assert_eq!(error.to_string(), "`features.parquet` is damaged");
}
