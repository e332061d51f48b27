//! Checkpoints in every dialect, and what is wrong with bad ones.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn search(folders: &[&Path]) -> ModelSearch {
    ModelSearch { folders: folders.iter().map(PathBuf::from).collect() }
}

/// Makes empty files, with the folders above them.
fn touch(root: &Path, names: &[&str]) {
    for name in names {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
}

fn found_image(root: &Path, model: &str) -> String {
    let files = find_image_model(model, &search(&[root])).unwrap_or_else(|error| panic!("{error}"));
    files.weights.strip_prefix(root).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_plain_folder_is_found_by_path_and_by_name() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["bert/config.json", "bert/vocab.txt", "bert/pytorch_model.bin"]);
    let by_name = find_text_model("bert", &search(&[root.path()])).unwrap();
    let by_path = find_text_model(root.path().join("bert").to_str().unwrap(), &search(&[])).unwrap();
    assert_eq!(by_name, by_path);
    assert_eq!(by_name.weights, [root.path().join("bert/pytorch_model.bin")]);
    assert_eq!(by_name.tokenizer_config, None);
}

#[test]
fn the_cache_of_the_hub_is_read_at_its_current_revision() {
    let root = tempfile::tempdir().unwrap();
    let cache = root.path().join("hub/models--bert-base-chinese");
    for revision in ["old", "new"] {
        touch(&cache.join("snapshots").join(revision), &["config.json", "vocab.txt", "model.safetensors"]);
    }
    fs::create_dir(cache.join("refs")).unwrap();
    fs::write(cache.join("refs/main"), "new\n").unwrap();
    let files = find_text_model("bert-base-chinese", &search(&[root.path()])).unwrap();
    assert_eq!(files.folder, cache.join("snapshots/new"));

    fs::remove_file(cache.join("refs/main")).unwrap();
    let error = find_text_model("bert-base-chinese", &search(&[root.path()])).unwrap_err().to_string();
    assert!(error.contains("2 snapshots, so name one of them"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_in_a_cache_are_followed() {
    let root = tempfile::tempdir().unwrap();
    let cache = root.path().join("models--hfl--chinese-macbert-base");
    touch(&cache, &["blobs/a", "blobs/b", "blobs/c"]);
    let snapshot = cache.join("snapshots/rev");
    fs::create_dir_all(&snapshot).unwrap();
    for (blob, name) in [("a", "config.json"), ("b", "vocab.txt"), ("c", "pytorch_model.bin")] {
        std::os::unix::fs::symlink(format!("../../blobs/{blob}"), snapshot.join(name)).unwrap();
    }
    for model in ["hfl/chinese-macbert-base", "chinese-macbert-base"] {
        assert_eq!(find_text_model(model, &search(&[root.path()])).unwrap().folder, snapshot);
    }
}

#[test]
fn resnet50_is_timms_default_before_torchvisions() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["hub/checkpoints/resnet50-11ad3fa6.pth", "hub/checkpoints/resnet50_gn_a1h2-8fe6c4d0.pth"]);
    assert_eq!(found_image(root.path(), "resnet50"), "hub/checkpoints/resnet50-11ad3fa6.pth");
    touch(root.path(), &["hub/checkpoints/resnet50_a1_0-14fe96d1.pth"]);
    assert_eq!(found_image(root.path(), "resnet50"), "hub/checkpoints/resnet50_a1_0-14fe96d1.pth");
    touch(root.path(), &["models--timm--resnet50.a1_in1k/snapshots/r/model.safetensors"]);
    assert_eq!(found_image(root.path(), "resnet50"), "models--timm--resnet50.a1_in1k/snapshots/r/model.safetensors");
    touch(root.path(), &["models--timm--resnet50.tv_in1k/snapshots/r/pytorch_model.bin"]);
    assert_eq!(
        found_image(root.path(), "timm/resnet50.tv_in1k"),
        "models--timm--resnet50.tv_in1k/snapshots/r/pytorch_model.bin"
    );
    touch(root.path(), &["resnet50/resnet.pth"]);
    assert_eq!(found_image(root.path(), "resnet50"), "resnet50/resnet.pth");
}

#[test]
fn an_image_model_may_be_a_single_file() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["my.pth", "config.json"]);
    let path = root.path().join("my.pth");
    let files = find_image_model(path.to_str().unwrap(), &search(&[])).unwrap();
    assert_eq!(files, ImageModelFiles { config: Some(root.path().join("config.json")), weights: path });
}

#[test]
fn a_path_also_stands_for_a_cached_model_of_that_name() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["models--timm--resnet50.a1_in1k/snapshots/r/model.safetensors"]);
    let path = root.path().join("resnet50");
    let files = find_image_model(path.to_str().unwrap(), &search(&[])).unwrap();
    assert!(files.weights.ends_with("snapshots/r/model.safetensors"));
}

#[test]
fn a_missing_model_is_an_error_that_names_every_place_and_what_must_be_there() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["bert/config.json"]);
    let absent = root.path().join("absent");
    let error = find_text_model("bert", &search(&[&absent, root.path()])).unwrap_err().to_string();
    for part in [
        "text model `bert` was not found",
        "vocab.txt or tokenizer.json",
        &format!("`{}` (no such folder)", absent.display()),
        &format!("`{}` (no `vocab.txt` or `tokenizer.json`)", root.path().join("bert").display()),
    ] {
        assert!(error.contains(part), "{error}");
    }
    let error = find_image_model("bert", &search(&[root.path()])).unwrap_err().to_string();
    assert!(error.contains("(no checkpoint)"), "{error}");
}

#[test]
fn several_checkpoints_in_a_folder_are_not_guessed_between() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["resnet/a.pth", "resnet/b.pth"]);
    let error = find_image_model("resnet", &search(&[root.path()])).unwrap_err().to_string();
    assert!(error.contains("2 checkpoints, so name one of them"), "{error}");
}

#[test]
fn shards_come_from_the_index_and_must_all_be_there() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["b/config.json", "b/vocab.txt", "b/1.safetensors", "b/2.safetensors"]);
    let index = root.path().join("b/model.safetensors.index.json");
    fs::write(&index, r#"{"weight_map": {"x": "2.safetensors", "y": "1.safetensors", "z": "1.safetensors"}}"#).unwrap();
    let files = find_text_model("b", &search(&[root.path()])).unwrap();
    assert_eq!(files.weights, ["1", "2"].map(|shard| root.path().join(format!("b/{shard}.safetensors"))));
    fs::remove_file(root.path().join("b/2.safetensors")).unwrap();
    let error = find_text_model("b", &search(&[root.path()])).unwrap_err().to_string();
    assert!(error.contains("no `2.safetensors`, which the index of its weights names"), "{error}");
}

fn read_all(path: &Path) -> Result<std::collections::BTreeMap<String, PlainTensor>, ModelError> {
    read_tensors(&[path.to_owned()], &|name| Some(name.to_owned()))
}

#[test]
fn a_pickle_holds_the_same_numbers_as_safetensors() {
    let pickle = read_all(&fixtures::path("tiny/bert/pytorch_model.bin")).unwrap();
    let safetensors = fixtures::tensors("tiny/bert/model.safetensors");
    assert_eq!(pickle, safetensors);
}

#[test]
fn what_is_no_checkpoint_is_named_for_what_it_is() {
    let whole = fs::read(fixtures::path("tiny/resnet/model.safetensors")).unwrap();
    let whole_pickle = fs::read(fixtures::path("tiny/bert/pytorch_model.bin")).unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let mut header_too_long = whole.clone();
    header_too_long[3] = 200;
    let mut header_damaged = whole.clone();
    header_damaged[10] = b'{';
    let cases: [(&[u8], &str); 8] = [
        (b"", "is empty"),
        (pointer.as_bytes(), "is a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>404</html>", "is a web page"),
        (&whole[..whole.len() - 1], "is cut off"),
        (&header_too_long, "is cut off"),
        (&header_damaged, "damaged safetensors header"),
        (&whole_pickle[..whole_pickle.len() / 2], "is neither a safetensors file nor a PyTorch checkpoint"),
        (b"just some text", "is neither a safetensors file nor a PyTorch checkpoint"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (bytes, named) in cases {
        let path = folder.path().join("weights.bin");
        fs::write(&path, bytes).unwrap();
        let error = read_all(&path).unwrap_err().to_string();
        assert!(error.contains(named), "{named}: {error}");
    }
}

#[test]
fn numbers_of_any_floating_point_type_are_read() {
    use ::safetensors::{Dtype, serialize_to_file, tensor::TensorView};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let (half, brain) = ([0x00, 0x3e, 0x00, 0xc0], [0xc0, 0x3f, 0x00, 0xc0]);
    let double: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = |dtype, bytes| TensorView::new(dtype, vec![2], bytes).unwrap();
    let tensors =
        [("f16", view(Dtype::F16, &half)), ("bf16", view(Dtype::BF16, &brain)), ("f64", view(Dtype::F64, &double))];
    serialize_to_file(tensors, None, &path).unwrap();
    for (name, tensor) in read_all(&path).unwrap() {
        assert_eq!(tensor, PlainTensor { shape: vec![2], values: vec![1.5, -2.0] }, "{name}");
    }
}

#[test]
fn a_whole_number_where_a_weight_should_be_is_an_error() {
    use ::safetensors::{Dtype, serialize_to_file, tensor::TensorView};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    serialize_to_file([("a", TensorView::new(Dtype::I64, vec![1], &[0; 8]).unwrap())], None, &path).unwrap();
    let error = read_all(&path).unwrap_err().to_string();
    assert!(error.contains("holds `a` as I64 instead of floating-point numbers"), "{error}");
}

/// A pickle that would create a file, were it executed.
#[test]
fn a_pickle_executes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, evidence) = (folder.path().join("evil.pth"), folder.path().join("executed"));
    fs::write(&path, format!("cos\nsystem\n(S'touch {}'\ntR.", evidence.display())).unwrap();
    read_all(&path).unwrap_err();
    assert!(!evidence.exists());
}
