//! Both towers of a model are found by one path, in every form in which its own library saves it.

use std::fs;
use std::path::Path;

use crate::families::{check_image, check_text};
use crate::weights::made::{Item, Made, bytes, whole};
use crate::weights::{ModelSearch, TextModelFiles, find_image_model, find_text_model, fixtures};

const CLIP: &str = r#"{"model_type": "clip"}"#;
const TIMM_CLIP: &str = r#"{"architecture": "vit_base_patch16_clip_224"}"#;
const TIMM_CONVNEXT: &str = r#"{"architecture": "convnext_base"}"#;
const OPEN_CLIP: &str = r#"{"model_cfg": {"vision_cfg": {}, "text_cfg": {}}}"#;

/// A checkpoint of cn_clip: `published`, or with the optimizer of a `fine-tuned` one, or of another model.
fn checkpoint(kind: &str) -> Vec<u8> {
    let tensors = |prefix: &str, image: &str| {
        let names = [format!("{prefix}bert.embeddings.word_embeddings.weight"), format!("{prefix}{image}")];
        names.map(|name| (&*name.leak(), whole(0, &[1]))).to_vec()
    };
    let optimizer = ("optimizer", Item::Dict(vec![("state", Item::Raw(b"}(K\x00}u"))]));
    let root = match kind {
        "published" => vec![("state_dict", Item::Dict(tensors("module.", "visual.conv1.weight")))],
        "fine-tuned" => vec![("state_dict", Item::Dict(tensors("", "visual.proj"))), optimizer],
        _ => vec![("layer1.0.conv1.weight", whole(0, &[1]))],
    };
    Made { storages: vec![("FloatStorage", bytes(&[1.0]))], root: Item::Dict(root) }.zip()
}

/// Makes files of these names and contents; checkpoints end in `.pt`.
fn write(root: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, if name.ends_with(".pt") { checkpoint(content) } else { content.as_bytes().to_vec() })
            .unwrap();
    }
}

fn names<'a>(files: impl IntoIterator<Item = (&'a str, &'a Path)>) -> String {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files.into_iter().map(|(role, path)| format!("{role}={}", name(path))).collect::<Vec<_>>().join(" ")
}

fn text_names(files: &TextModelFiles) -> String {
    names(files.settings().into_iter().chain(files.weights.iter().map(|path| ("weights", path.as_path()))))
}

/// Names of files with their contents.
type Files<'a> = &'a [(&'a str, &'a str)];

#[test]
fn both_towers_are_found_by_one_path() {
    let clip = [("clip/config.json", CLIP), ("clip/model.safetensors", ""), ("clip/preprocessor_config.json", "{}")];
    let open = [("open/open_clip_config.json", OPEN_CLIP), ("open/open_clip_model.safetensors", "")];
    let own = [("own/clip_cn_vit-b-16.pt", "published"), ("own/vocab.txt", "")];
    let tuned = [("tuned/epoch_latest.pt", "fine-tuned"), ("tuned/vocab.txt", "")];
    let cases: &[(Files<'_>, Files<'_>, &str, &str, &str)] = &[
        (
            &clip,
            &[("clip/vocab.txt", "")],
            "clip",
            "config=config.json vocab=vocab.txt weights=model.safetensors",
            "config=config.json preprocessor=preprocessor_config.json weights=model.safetensors",
        ),
        (
            &clip,
            &[("clip/tokenizer.json", ""), ("clip/vocab.json", ""), ("clip/merges.txt", "")],
            "clip",
            "config=config.json vocab=tokenizer.json weights=model.safetensors",
            "config=config.json preprocessor=preprocessor_config.json weights=model.safetensors",
        ),
        (
            &clip,
            &[("clip/vocab.json", ""), ("clip/merges.txt", "")],
            "clip/model.safetensors",
            "config=config.json vocab=vocab.json merges=merges.txt weights=model.safetensors",
            "config=config.json preprocessor=preprocessor_config.json weights=model.safetensors",
        ),
        (
            &open,
            &[("open/tokenizer.json", ""), ("open/preprocessor_config.json", "{}")],
            "open",
            "open-clip-config=open_clip_config.json vocab=tokenizer.json weights=open_clip_model.safetensors",
            "open-clip-config=open_clip_config.json weights=open_clip_model.safetensors",
        ),
        // A folder of the hub with both forms: transformers' goes first.
        (
            &open,
            &[("open/tokenizer.json", ""), ("open/config.json", CLIP), ("open/pytorch_model.bin", "")],
            "open",
            "config=config.json vocab=tokenizer.json weights=pytorch_model.bin",
            "config=config.json weights=pytorch_model.bin",
        ),
        // And without its weights, or beside timm's form of the image tower alone, OpenCLIP's.
        (
            &open,
            &[("open/tokenizer.json", ""), ("open/config.json", CLIP)],
            "open",
            "open-clip-config=open_clip_config.json vocab=tokenizer.json weights=open_clip_model.safetensors",
            "open-clip-config=open_clip_config.json weights=open_clip_model.safetensors",
        ),
        (
            &open,
            &[("open/tokenizer.json", ""), ("open/config.json", TIMM_CLIP), ("open/model.safetensors", "")],
            "open",
            "open-clip-config=open_clip_config.json vocab=tokenizer.json weights=open_clip_model.safetensors",
            "open-clip-config=open_clip_config.json weights=open_clip_model.safetensors",
        ),
        (
            &open,
            &[("open/tokenizer.json", "")],
            "open/open_clip_model.safetensors",
            "open-clip-config=open_clip_config.json vocab=tokenizer.json weights=open_clip_model.safetensors",
            "open-clip-config=open_clip_config.json weights=open_clip_model.safetensors",
        ),
        // timm's form of an image tower that is no CLIP's stays what it is.
        (
            &open,
            &[("open/tokenizer.json", ""), ("open/config.json", TIMM_CONVNEXT), ("open/model.safetensors", "")],
            "open",
            "open-clip-config=open_clip_config.json vocab=tokenizer.json weights=open_clip_model.safetensors",
            "config=config.json weights=model.safetensors",
        ),
        (&own, &[], "own", "vocab=vocab.txt weights=clip_cn_vit-b-16.pt", "weights=clip_cn_vit-b-16.pt"),
        (
            &own,
            &[("own/notes.pth", "")],
            "own/clip_cn_vit-b-16.pt",
            "vocab=vocab.txt weights=clip_cn_vit-b-16.pt",
            "weights=clip_cn_vit-b-16.pt",
        ),
        (
            &own,
            &[],
            "own/clip_cn_vit-b-16",
            "vocab=vocab.txt weights=clip_cn_vit-b-16.pt",
            "weights=clip_cn_vit-b-16.pt",
        ),
        (&tuned, &[], "tuned", "vocab=vocab.txt weights=epoch_latest.pt", "weights=epoch_latest.pt"),
        // In a folder of the hub the checkpoint is another form of the same model: its own names count.
        (
            &own,
            &[("own/config.json", r#"{"model_type": "chinese_clip"}"#), ("own/preprocessor_config.json", "{}")],
            "own/clip_cn_vit-b-16.pt",
            "vocab=vocab.txt weights=clip_cn_vit-b-16.pt",
            "preprocessor=preprocessor_config.json weights=clip_cn_vit-b-16.pt",
        ),
        (
            &own,
            &[("own/config.json", r#"{"model_type": "chinese_clip"}"#), ("own/pytorch_model.bin", "")],
            "own",
            "config=config.json vocab=vocab.txt weights=pytorch_model.bin",
            "config=config.json weights=pytorch_model.bin",
        ),
    ];
    for (files, more, model, text, image) in cases {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), files);
        write(root.path(), more);
        let path = root.path().join(model);
        let by_path =
            find_text_model(path.to_str().unwrap(), &ModelSearch::default()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(text_names(&by_path), *text, "{model} {more:?}");
        let found = find_image_model(path.to_str().unwrap(), &ModelSearch::default()).unwrap();
        let weights = found.weights.iter().map(|path| ("weights", path.as_path()));
        assert_eq!(names(found.settings().into_iter().chain(weights)), *image, "{model} {more:?}");
        let search = ModelSearch { folders: vec![path.parent().unwrap().to_owned()], unset: Vec::new() };
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(find_text_model(name, &search).unwrap(), by_path, "{name} by name");
    }
}

/// The folders of the tiny models, each saved by its own library.
#[test]
fn every_library_saves_models_that_are_found() {
    for (model, text, image) in [
        ("chinese_clip", true, true),
        ("clip", true, true),
        ("cn_clip_rn50", true, true),
        ("cn_clip_vit", true, true),
        ("open_clip", true, true),
        ("siglip2", true, true),
        ("roberta", true, false),
        ("taiyi", true, false),
        ("xlm_roberta", true, false),
        ("convnext_hf", false, true),
        ("convnext_timm", false, true),
        ("dinov2", false, true),
        ("vit_hf", false, true),
        ("vit_timm", false, true),
    ] {
        let folder = fixtures::path(&format!("ladder/{model}")).canonicalize().unwrap();
        let name = folder.to_str().unwrap();
        let found = find_text_model(name, &ModelSearch::default()).map(|files| check_text(&files.describe().unwrap()));
        assert_eq!(matches!(found, Ok(Ok(()))), text, "the texts of {model}: {found:?}");
        let found =
            find_image_model(name, &ModelSearch::default()).map(|files| check_image(&files.describe().unwrap()));
        assert_eq!(matches!(found, Ok(Ok(()))), image, "the images of {model}: {found:?}");
    }
}

#[test]
fn images_have_shards_too() {
    let root = tempfile::tempdir().unwrap();
    let index = r#"{"weight_map": {"x": "2.bin", "y": "1.bin"}}"#;
    write(root.path(), &[("pytorch_model.bin.index.json", index), ("1.bin", ""), ("2.bin", ""), ("config.json", CLIP)]);
    let find = || find_image_model(root.path().to_str().unwrap(), &ModelSearch::default());
    assert_eq!(find().unwrap().weights, ["1.bin", "2.bin"].map(|name| root.path().join(name)));
    fs::remove_file(root.path().join("2.bin")).unwrap();
    let error = find().unwrap_err().to_string();
    assert!(error.contains("no `2.bin`, which the index of its weights names"), "{error}");
}

#[test]
fn the_owner_of_a_model_may_be_left_out() {
    for (cached, bare) in [
        ("models--OFA-Sys--chinese-clip-vit-base-patch16", "chinese-clip-vit-base-patch16"),
        ("models--TencentARC--QA-CLIP-ViT-B-16", "QA-CLIP-ViT-B-16"),
        ("models--openai--clip-vit-base-patch32", "clip-vit-base-patch32"),
        ("models--google--siglip2-base-patch16-224", "siglip2-base-patch16-224"),
        ("models--IDEA-CCNL--Taiyi-CLIP-Roberta-102M-Chinese", "Taiyi-CLIP-Roberta-102M-Chinese"),
        ("models--BAAI--bge-m3", "bge-m3"),
        ("models--FacebookAI--xlm-roberta-base", "xlm-roberta-base"),
        ("models--facebook--dinov2-base", "dinov2-base"),
        ("models--timm--convnext_tiny.in12k_ft_in1k", "convnext_tiny"),
        ("models--timm--vit_base_patch16_224.augreg2_in21k_ft_in1k", "vit_base_patch16_224"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let snapshot = root.path().join("hub").join(cached).join("snapshots/r");
        write(&snapshot, &[("config.json", "{}"), ("model.safetensors", ""), ("vocab.txt", "")]);
        let search = ModelSearch { folders: vec![root.path().to_owned()], unset: Vec::new() };
        let owned = cached.trim_start_matches("models--").replacen("--", "/", 1);
        for name in [bare, &owned] {
            assert_eq!(
                find_image_model(name, &search).unwrap().weights,
                [snapshot.join("model.safetensors")],
                "{name}"
            );
            let has_tag = owned.contains('.') && !name.contains('.');
            assert!(has_tag || find_text_model(name, &search).unwrap().folder == snapshot, "{name}");
        }
    }
}

#[test]
fn a_folder_that_lacks_something_says_what() {
    for (files, text, image) in [
        (
            &[("m/open_clip_config.json", OPEN_CLIP), ("m/tokenizer.json", "")][..],
            "no `open_clip_model.safetensors` or `open_clip_pytorch_model.bin`",
            "no checkpoint",
        ),
        (
            &[("m/open_clip_config.json", OPEN_CLIP), ("m/open_clip_model.safetensors", "")],
            "no `tokenizer.json`, nor `vocab.json` with `merges.txt`: CLIP's words are not built in",
            "",
        ),
        (
            &[("m/config.json", CLIP), ("m/model.safetensors", ""), ("m/vocab.json", "{}")],
            "no `vocab.txt` or `tokenizer.json`, nor `vocab.json` with `merges.txt`",
            "",
        ),
        (
            &[("m/config.json", CLIP), ("m/model.safetensors", ""), ("m/spiece.model", "")],
            "`[M]` describes a model that is not supported: there is no `tokenizer.json`; \
            AutoTokenizer.from_pretrained(…).save_pretrained(…) writes one",
            "",
        ),
        (
            &[("m/config.json", r#"{"model_type": "t5"}"#), ("m/model.safetensors", ""), ("m/spiece.model", "")],
            "`model_type` is `t5`; text models are of",
            "",
        ),
        (&[("m/clip_cn.pt", "published")], "no `vocab.txt` beside its checkpoint", ""),
        (
            &[("m/a.pt", "published"), ("m/b.pt", "fine-tuned"), ("m/vocab.txt", "")],
            "may be any of 2 checkpoints",
            "may be any of 2 checkpoints",
        ),
        (&[("m/resnet.pt", "plain"), ("m/vocab.txt", "")], "no `config.json`", ""),
        (&[("m/notes.md", "")], "no `config.json`", "no checkpoint"),
    ] {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), files);
        let path = root.path().join("m");
        let path = path.to_str().unwrap();
        let found_text = find_text_model(path, &ModelSearch::default()).map(drop);
        let found_image = find_image_model(path, &ModelSearch::default()).map(drop);
        for (found, expected) in [(found_text, text), (found_image, image)] {
            match found {
                Ok(()) => assert_eq!(expected, "", "{files:?}"),
                Err(error) => {
                    let error = error.to_string().replace(path, "[M]");
                    assert!(!expected.is_empty() && error.contains(expected), "{files:?}: {error}");
                }
            }
        }
    }
}
