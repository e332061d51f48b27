//! The demo inside the program: specs, data and encoders, byte for byte those of `pipelines/` in the repository.

/// A file of the demo.
#[derive(Debug, Clone, Copy)]
pub struct DemoFile {
    /// The path below the folder of the demo, with `/` between its parts.
    pub path: &'static str,
    /// All its bytes.
    pub content: &'static [u8],
}

/// Marks the root of the demo, also inside another project.
const PROJECT: &str = "# The root of this project: specs are in pipelines/, results in artifacts/.\n";

/// The folders that runs fill.
const IGNORED: &str = "/artifacts/\n/weights/\n";

/// Files of `pipelines/`, taken in as they are: most of the bytes are weights and pictures, which do not shrink.
macro_rules! pipelines {
    ($($path:literal),* $(,)?) => {
        [$(DemoFile {
            path: concat!("pipelines/", $path),
            content: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../pipelines/", $path)),
        }),*]
    };
}

/// The files that make a folder a project of its own.
pub static PROJECT_FILES: [DemoFile; 2] = [
    DemoFile { path: "pipeline.toml", content: PROJECT.as_bytes() },
    DemoFile { path: ".gitignore", content: IGNORED.as_bytes() },
];

/// The specs of the demo and everything that they read.
pub static PIPELINE_FILES: [DemoFile; 39] = pipelines![
    "attentive-demo.yaml",
    "baselines/demo.json",
    "demo.yaml",
    "demo/LICENSE-emojibase",
    "demo/README.md",
    "demo/data/MR_train_imgs.tsv",
    "demo/data/MR_train_queries.jsonl",
    "demo/data/MR_valid_imgs.tsv",
    "demo/data/MR_valid_queries.jsonl",
    "demo/encoders/bert/config.json",
    "demo/encoders/bert/model.safetensors",
    "demo/encoders/bert/tokenizer_config.json",
    "demo/encoders/bert/vocab.txt",
    "demo/encoders/chinese-clip/config.json",
    "demo/encoders/chinese-clip/model.safetensors",
    "demo/encoders/chinese-clip/preprocessor_config.json",
    "demo/encoders/chinese-clip/vocab.txt",
    "demo/encoders/resnet/config.json",
    "demo/encoders/resnet/model.safetensors",
    "experiments/all-pairs.yaml",
    "experiments/base.yaml",
    "experiments/batch-size.yaml",
    "experiments/closed-form.yaml",
    "experiments/cosine.yaml",
    "experiments/early-stopping.yaml",
    "experiments/grid.yaml",
    "experiments/halving.yaml",
    "experiments/held-out/held-out.jsonl",
    "experiments/held-out/train.jsonl",
    "experiments/image-to-text.yaml",
    "experiments/learned-temperature.yaml",
    "experiments/mean-pooling.yaml",
    "experiments/mlp.yaml",
    "experiments/positives.yaml",
    "experiments/projection-dim.yaml",
    "experiments/shuffle.yaml",
    "experiments/temperature.yaml",
    "zero-shot-demo.yaml",
    "zero-shot.yaml",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// The folders of `pipelines/` that the demo has whole.
    const FOLDERS: [&str; 3] = ["pipelines/baselines", "pipelines/demo", "pipelines/experiments"];

    fn collect(root: &Path, folder: &str, paths: &mut BTreeSet<String>) {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                collect(root, &path, paths);
            } else {
                paths.insert(path);
            }
        }
    }

    #[test]
    fn no_file_of_the_demo_is_forgotten() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut there = BTreeSet::new();
        FOLDERS.iter().for_each(|folder| collect(&root, folder, &mut there));
        let known: BTreeSet<_> = PIPELINE_FILES.iter().map(|file| file.path.to_owned()).collect();
        let missing: Vec<_> = there.difference(&known).collect();
        assert!(there.len() > 20 && missing.is_empty(), "`pipeline demo` does not write {missing:?}");
    }
}
