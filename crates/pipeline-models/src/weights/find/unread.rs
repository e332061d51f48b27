//! The forms of weights in a folder that are not read, for messages about it.

use std::path::Path;

use super::forms::there;
use super::{Fault, ModelError};

/// Endings of weights of other programs, and their makers.
const FORMS: &[(&str, &str)] = &[
    (".onnx", "ONNX"),
    (".gguf", "llama.cpp"),
    ("openvino_model.xml", "OpenVINO"),
    (".h5", "TensorFlow"),
    (".msgpack", "Flax"),
];

/// The folder in which sentence-transformers keeps a CLIP.
const CLIP_OF_SENTENCES: &str = "0_CLIPModel";

/// Why a folder without usable weights may be taken for a model, after the words about what it lacks.
pub(super) fn instead(folder: &Path) -> String {
    if folder.join(CLIP_OF_SENTENCES).is_dir() {
        return format!(
            "; sentence-transformers keeps the model in its folder `{CLIP_OF_SENTENCES}`, which can be named"
        );
    }
    let names =
        [folder.to_owned(), folder.join("onnx")].into_iter().filter_map(|folder| std::fs::read_dir(folder).ok());
    let mut names: Vec<String> =
        names.flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let other = |name: &String| Some((name.clone(), FORMS.iter().find(|(ending, _)| name.ends_with(ending))?.1));
    names.iter().find_map(other).map_or_else(String::new, |(name, maker)| {
        format!("; `{name}` is of {maker}, which is not read: save the model by `save_pretrained` of transformers")
    })
}

/// Refuses an adapter, whose numbers are to be added to those of another model or of the one beside it.
pub(super) fn no_adapter(folder: &Path) -> Result<(), Fault> {
    let Some(path) = there(folder, "adapter_config.json") else { return Ok(()) };
    let what = "it is an adapter, such as a LoRA, and none is applied; `merge_and_unload()` of PEFT makes a model \
                without one, which `save_pretrained(…)` writes"
        .to_owned();
    Err(Fault::Wrong(ModelError::Unsupported { path, what }))
}
