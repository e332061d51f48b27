//! Where models are found, and the messages about missing ones.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn search(folders: &[&Path]) -> ModelSearch {
    ModelSearch { folders: folders.iter().map(PathBuf::from).collect(), unset: Vec::new() }
}

/// Creates empty files, with the folders above them.
fn touch(root: &Path, names: &[&str]) {
    for name in names {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
}

fn found_image(root: &Path, model: &str) -> String {
    let files = find_image_model(model, &search(&[root])).unwrap_or_else(|error| panic!("{error}"));
    files.weights[0].strip_prefix(root).unwrap().to_str().unwrap().to_owned()
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
    assert!(error.contains("2 snapshots and no `refs/main`, so name one of them: `new`, `old`"), "{error}");
}

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
    assert_eq!((files.config, files.weights), (Some(root.path().join("config.json")), vec![path]));
}

#[test]
fn a_path_also_stands_for_a_cached_model_of_that_name() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["models--timm--resnet50.a1_in1k/snapshots/r/model.safetensors"]);
    let path = root.path().join("resnet50");
    let files = find_image_model(path.to_str().unwrap(), &search(&[])).unwrap();
    assert!(files.weights[0].ends_with("snapshots/r/model.safetensors"));
}

#[test]
fn a_missing_model_is_an_error_that_names_every_place_and_what_must_be_there() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["bert/config.json"]);
    let absent = root.path().join("absent");
    let error = find_text_model("bert", &search(&[&absent, root.path()])).unwrap_err();
    let error = format!("{error}\n{}", error.help().unwrap());
    for part in [
        "text model `bert` was not found",
        "a text model is\n- a folder of Hugging Face with config.json, vocab.txt or tokenizer.json",
        &format!("\n- `{}`: no such folder\n", absent.display()),
        &format!("\n- `{}`: no `vocab.txt` or `tokenizer.json`", root.path().join("bert").display()),
    ] {
        assert!(error.contains(part), "{error}");
    }
    let error = find_image_model("bert", &search(&[root.path()])).unwrap_err().to_string();
    assert!(error.contains(": no checkpoint"), "{error}");
}

#[test]
fn several_checkpoints_in_a_folder_are_not_guessed_between() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["resnet/a.pth", "resnet/b.pth"]);
    let error = find_image_model("resnet", &search(&[root.path()])).unwrap_err().to_string();
    for part in ["2 checkpoints, so name one of them", "resnet/a.pth`", "resnet/b.pth`"] {
        assert!(error.contains(part), "{error}");
    }
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

/// timm's file names of two recipes, and torch's of two versions.
#[test]
fn a_name_that_several_checkpoints_match_is_an_error_that_names_them() {
    let root = tempfile::tempdir().unwrap();
    let names = ["hub/checkpoints/resnet18-f37072fd.pth", "hub/checkpoints/resnet18-5c106cde.pth"];
    touch(root.path(), &names);
    let error = find_image_model("resnet18", &search(&[root.path()])).unwrap_err().to_string();
    assert!(names.iter().all(|name| error.contains(name)) && error.contains("2 checkpoints"), "{error}");
    touch(root.path(), &["hub/checkpoints/resnet50_a1_0-14fe96d1.pth", "hub/checkpoints/resnet50_a1h2-001a1197.pth"]);
    assert_eq!(found_image(root.path(), "resnet50"), "hub/checkpoints/resnet50_a1_0-14fe96d1.pth");
}

#[test]
fn a_model_is_found_by_its_former_name_and_by_the_one_it_has_now() {
    let files = ["config.json", "vocab.txt", "model.safetensors"];
    for (folder, names) in [
        ("models--bert-base-chinese/snapshots/r", ["bert-base-chinese", "google-bert/bert-base-chinese"]),
        ("models--google-bert--bert-base-chinese/snapshots/r", ["bert-base-chinese", "google-bert/bert-base-chinese"]),
        ("google-bert/bert-base-chinese", ["bert-base-chinese", "google-bert/bert-base-chinese"]),
        ("bert-base-chinese", ["bert-base-chinese", "google-bert/bert-base-chinese"]),
        ("models--hfl--chinese-macbert-base/snapshots/r", ["chinese-macbert-base", "hfl/chinese-macbert-base"]),
    ] {
        let root = tempfile::tempdir().unwrap();
        touch(&root.path().join(folder), &files);
        for name in names {
            let found =
                find_text_model(name, &search(&[root.path()])).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(found.folder, root.path().join(folder), "{name}");
        }
    }
    let root = tempfile::tempdir().unwrap();
    touch(&root.path().join("models--google-bert--bert-base-chinese/snapshots/r"), &files);
    find_text_model("hfl/bert-base-chinese", &search(&[root.path()])).unwrap_err();
    touch(root.path(), &["models--timm--resnet50.a1_in1k/snapshots/r/model.safetensors"]);
    for name in ["resnet50", "timm/resnet50", "resnet50.a1_in1k", "timm/resnet50.a1_in1k"] {
        assert!(found_image(root.path(), name).starts_with("models--timm--resnet50.a1_in1k"), "{name}");
    }
}

#[test]
fn a_place_is_named_once_whatever_leads_to_it() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("hub/checkpoints")).unwrap();
    let folders = [root.path().to_owned(), root.path().join("hub"), root.path().join("hub/checkpoints")];
    let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    let error = find_image_model("resnet18", &search(&folders)).unwrap_err().to_string();
    let places: Vec<&str> = error.lines().filter(|line| line.starts_with("- `")).collect();
    let distinct: std::collections::BTreeSet<&&str> = places.iter().collect();
    assert_eq!((places.len(), distinct.len()), (3, 3), "{error}");
}

#[test]
fn what_a_misspelt_name_may_have_meant_is_known() {
    let root = tempfile::tempdir().unwrap();
    touch(
        root.path(),
        &["hub/checkpoints/resnet18-f37072fd.pth", "hub/models--timm--resnet50.a1_in1k/refs/main", "mine/a.pth"],
    );
    let near = image_models_near("resnet19", &search(&[root.path()]));
    for name in ["resnet18", "timm/resnet50.a1_in1k", "mine"] {
        assert!(near.contains(&name.to_owned()), "{near:?}");
    }
}

/// Files that identify a folder, although an encoder's files are not complete.
#[test]
fn a_folder_of_no_known_family_is_named_and_not_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        touch(root.path(), &[name]);
        fs::write(root.path().join(name), text).unwrap();
    };
    write("t5/config.json", r#"{"model_type": "t5"}"#);
    write("qwen/config.json", r#"{"model_type": "qwen3_vl"}"#);
    write("coca/open_clip_config.json", r#"{"model_cfg": {"multimodal_cfg": {}}}"#);
    let search = search(&[root.path()]);
    for weights in ["", "open_clip_pytorch_model.bin"] {
        for (model, named) in [("t5", "`t5`"), ("qwen", "`qwen3_vl`"), ("coca", "CoCa")] {
            if !weights.is_empty() {
                touch(&root.path().join(model), &[weights]);
            }
            let errors = [
                find_text_model(model, &search).unwrap_err(),
                find_image_model(model, &search).err().unwrap_or_else(|| {
                    crate::open_image_model(&find_image_model(model, &search).unwrap(), &Default::default())
                        .err()
                        .unwrap()
                }),
            ];
            for error in errors.map(|error| error.to_string()) {
                assert!(error.contains(named) && error.contains(model), "{error}");
            }
        }
    }
}

/// transformers reads the two older files only where the newer one has no added tokens.
#[test]
fn files_that_are_not_read_are_no_part_of_a_model() {
    let root = tempfile::tempdir().unwrap();
    let names = ["config.json", "vocab.txt", "model.safetensors", "added_tokens.json", "special_tokens_map.json"];
    touch(&root.path().join("bert"), &names);
    let roles = || {
        let files = find_text_model("bert", &search(&[root.path()])).unwrap();
        files.settings().into_iter().map(|(role, _)| role).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(roles(), "config vocab added-tokens special-tokens");
    fs::write(root.path().join("bert/tokenizer_config.json"), r#"{"added_tokens_decoder": {}}"#).unwrap();
    assert_eq!(roles(), "config vocab tokenizer-config");
    touch(&root.path().join("bert"), &["tokenizer.json", "modules.json", "config_sentence_transformers.json"]);
    assert_eq!(roles(), "config vocab tokenizer tokenizer-config modules prompts");
}

#[test]
fn weights_of_other_programs_are_named_with_the_way_to_save_them() {
    for (files, text, image) in [
        ("bert/config.json bert/vocab.txt bert/onnx/model.onnx", "`model.onnx` is of ONNX", "`model.onnx` is of ONNX"),
        ("bert/config.json bert/vocab.txt bert/tf_model.h5", "`tf_model.h5` is of TensorFlow", "`tf_model.h5` is of"),
        (
            "bert/config.json bert/vocab.txt bert/m.gguf bert/optimizer.pt",
            "`m.gguf` is of llama.cpp",
            "is of llama.cpp",
        ),
        (
            "bert/config.json bert/vocab.txt bert/openvino_model.xml bert/openvino_model.bin",
            "`openvino_model.xml` is of OpenVINO",
            "is of OpenVINO",
        ),
        (
            "bert/modules.json bert/0_CLIPModel/config.json",
            "in its folder `0_CLIPModel`",
            "in its folder `0_CLIPModel`",
        ),
    ] {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), &files.split(' ').collect::<Vec<_>>());
        let search = search(&[root.path()]);
        let found = find_text_model("bert", &search).unwrap_err().to_string();
        assert!(found.contains(text), "{found}");
        let found = find_image_model("bert", &search).unwrap_err().to_string();
        assert!(found.contains(image), "{found}");
    }
}

#[test]
fn an_adapter_is_refused_even_beside_a_model() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["lora/adapter_config.json", "lora/adapter_model.safetensors"]);
    touch(root.path(), &["both/adapter_config.json", "both/config.json", "both/vocab.txt", "both/model.safetensors"]);
    let search = search(&[root.path()]);
    for name in ["lora", "both"] {
        for error in [find_text_model(name, &search).unwrap_err(), find_image_model(name, &search).unwrap_err()] {
            assert!(error.to_string().contains("`merge_and_unload()` of PEFT"), "{error}");
        }
    }
}
