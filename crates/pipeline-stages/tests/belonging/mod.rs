//! Features and heads of different encodings are refused, by the spec before anything runs and by artifacts.

use std::path::Path;

use crate::MINI;
use crate::bench::{self, Bench};

const HELD_OUT: &str = "valid_queries: valid-queries, valid_text: valid-text, valid_images: valid-vectors";

/// The small data set with edits of its spec: (old text, new text).
fn mini(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(MINI.to_owned(), |yaml, (from, to)| {
        assert!(yaml.contains(from), "{from}");
        yaml.replace(from, to)
    })
}

/// The edit that gives the stage of one split other params.
fn with_params(slot: &str, params: &str) -> (String, String) {
    let model = if slot.contains("queries") { "bert" } else { "resnet" };
    let written = format!("{{ {slot} }}, params: {{ model: '${{models}}/{model}' }}");
    let wanted = format!("{{ {slot} }}, params: {{ {params} }}");
    (written, wanted)
}

#[test]
fn a_spec_that_encodes_one_side_otherwise_is_an_error_at_its_input() {
    let bert = "model: '${models}/bert'";
    let copy = tempfile::tempdir().unwrap();
    copy_model(&bench::fixtures().join("tiny/bert"), copy.path());
    let another = tempfile::tempdir().unwrap();
    copy_model(&bench::fixtures().join("tiny/bert"), another.path());
    std::fs::write(another.path().join("vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n").unwrap();
    let trained = "`valid-text` does not belong here: `projection` is trained on `train-text`,";
    let cases = [
        (with_params("queries: train-queries", &format!("{bert}, pooling: mean")), format!("{trained} whose `pooling` is `mean` and not `cls`")),
        (
            with_params("queries: valid-queries", &format!("{bert}, lower_case: true")),
            format!("{trained} whose `lower_case` is its model's own and not `true`"),
        ),
        (
            with_params("queries: valid-queries", &format!("model: '{}'", another.path().display())),
            format!(
                "{trained} whose `model` is `{}` and not `{}`",
                bench::fixtures().join("tiny/bert").canonicalize().unwrap().display(),
                another.path().display()
            ),
        ),
        (
            ("valid-images: { kind: decode-images, params: \
            {".to_owned(), "valid-images: { kind: decode-images, params: { size: [64, 64],".to_owned()),
            "`valid-vectors` does not belong here: `projection` is trained on `train-vectors`, whose `size` is \
             `[224, 224]` and not `[64, 64]`"
                .to_owned(),
        ),
        (
            (
                "valid-vectors: { kind: extract-image, inputs: { images: valid-images }, params: { model: \
                '${models}/resnet' } }".to_owned(),
                "valid-vectors: { kind: import-image-features, params: { path: v.jsonl } }".to_owned(),
            ),
            "`valid-vectors` does not belong here: `projection` is trained on `train-vectors`, of kind `extract-image` \
             and not `import-image-features`"
                .to_owned(),
        ),
    ];
    for ((from, to), expect) in cases {
        let yaml = mini(&[(&from, &to)]);
        let spec = pipeline_spec::parse(&yaml, &bench::spec_file()).unwrap();
        let error = pipeline_stages::build(&spec, &pipeline_stages::Settings::default()).err().expect(&expect);
        assert_eq!(error.to_string(), expect);
        let input = error.span.as_ref().unwrap().text();
        assert!(["valid-text", "valid-vectors"].contains(&input), "{input}");

        let allowed = yaml
            .replace("projection: projection }\n", "projection: projection }\n    params: { allow_mismatch: true }\n");
        let spec = pipeline_spec::parse(&allowed, &bench::spec_file()).unwrap();
        assert!(pipeline_stages::build(&spec, &pipeline_stages::Settings::default()).is_ok(), "{allowed}");
    }
    let (from, to) = with_params("queries: valid-queries", &format!("model: '{}'", copy.path().display()));
    Bench::new(&mini(&[(&from, &to)]));
}

#[test]
fn held_out_features_are_encoded_as_those_of_the_training() {
    let (from, to) = with_params("queries: valid-queries", "model: '${models}/bert', pooling: mean");
    let yaml = mini(&[(&from, &to), ("images: train-vectors }", &format!("images: train-vectors, {HELD_OUT} }}"))]);
    let spec = pipeline_spec::parse(&yaml, &bench::spec_file()).unwrap();
    let error = pipeline_stages::build(&spec, &pipeline_stages::Settings::default()).err().unwrap();
    assert_eq!(
        error.to_string(),
        "`valid-text` does not belong here: input `text` is made by `train-text`, whose `pooling` is `cls` and not \
        `mean`"
    );
}

/// Only the artifact records whether an image was resized, so the filter is compared when the stage runs.
#[test]
fn pixels_of_another_resize_are_refused_where_images_were_resized() {
    let bicubic = [(
        "valid-images: { kind: decode-images, params: {",
        "valid-images: { kind: decode-images, params: { resize: bicubic,",
    )];
    let stages = [
        "train-queries",
        "valid-queries",
        "train-images",
        "valid-images",
        "train-text",
        "valid-text",
        "train-vectors",
        "valid-vectors",
        "projection",
    ];
    let ready = |yaml: &str| {
        let mut bench = Bench::new(yaml);
        stages.iter().for_each(|stage| bench.run(stage).unwrap());
        bench
    };
    let error = ready(&mini(&bicubic)).run("evaluate").unwrap_err();
    assert_eq!(
        error.to_string(),
        "input `images` does not belong to the heads of input `projection`: its resize is `bicubic` and not `bilinear`"
    );
    assert!(error.help.unwrap().contains("`allow_mismatch: true`"));

    let allowed = mini(&bicubic)
        .replace("projection: projection }\n", "projection: projection }\n    params: { allow_mismatch: true }\n");
    let mut bench = ready(&allowed);
    bench.run("evaluate").unwrap();
    assert!(bench.warnings.iter().any(|warning| warning.contains("its resize is `bicubic`")), "{:?}", bench.warnings);
}

#[test]
fn weights_to_start_from_remember_their_features() {
    let trained = Bench::new(MINI).run_all();
    let heads = trained.artifact("projection").file("projection.safetensors").unwrap();
    let start = "../../../../tests/fixtures/goldens/mini/init.safetensors";
    let mean = |slot: &str| with_params(slot, "model: '${models}/bert', pooling: mean");
    let (train, valid) = (mean("queries: train-queries"), mean("queries: valid-queries"));
    let yaml = mini(&[(&train.0, &train.1), (&valid.0, &valid.1), (start, heads.to_str().unwrap())]);
    let mut bench = Bench::new(&yaml);
    for stage in ["train-queries", "train-images", "train-text", "train-vectors"] {
        bench.run(stage).unwrap();
    }
    let error = bench.run("projection").unwrap_err();
    let expect = format!(
        "input `text` does not belong to the heads of `{}`: its pooling is `mean` and not `cls`",
        heads.display()
    );
    assert_eq!(error.to_string(), expect);
}

#[test]
fn a_program_in_the_place_of_features_declares_their_files() {
    let stage = "valid-vectors: { kind: extract-image, inputs: { images: valid-images }, params: { model: '${models}/resnet' } }";
    let program = |outputs: &str| {
        format!("valid-vectors: {{ kind: command, params: {{ run: [make-them], outputs: [{outputs}] }} }}")
    };
    for (outputs, expect) in [
        (
            "features.npy",
            Some(
                "input `images` of `evaluate` takes image features, and `valid-vectors` does not declare its \
                `_features.json`",
            ),
        ),
        (
            "_features.json",
            Some(
                "input `images` of `evaluate` takes image features, and `valid-vectors` does not declare its \
                `part-00000.parquet`",
            ),
        ),
        ("_features.json, part-00000.parquet", None),
    ] {
        let spec = pipeline_spec::parse(&mini(&[(stage, &program(outputs))]), &bench::spec_file()).unwrap();
        let error = pipeline_stages::build(&spec, &pipeline_stages::Settings::default()).err();
        assert_eq!(error.map(|error| error.to_string()).as_deref(), expect);
    }
}

fn copy_model(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
