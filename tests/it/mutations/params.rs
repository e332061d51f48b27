//! Every param of every kind.

use super::{Row, check};

/// A row that sets one value on the command line.
macro_rules! set {
    ($($change:literal => $expect:literal,)*) => {
        &[$(Row::new($change, $expect).args(&["spec.yaml", "--set", $change])),*]
    };
}

#[test]
fn params_of_the_readers_of_data() {
    check(set! {
        "train-queries.params.path=data/MR_train_queries.jsonl" => "",
        "train-images.params.path=./data/../data/MR_train_imgs.tsv" => "",
        "train-images.params.max_samples=40" => "",
        "train-images.params.max_samples=50" => "train-images train-features projection evaluate count",
        "valid-images.params.max_samples=50" => "valid-images valid-features evaluate count",
        // As many as there are, and more: other manifests, the same rows.
        "valid-images.params.max_samples=60" => "valid-images",
        "valid-images.params.max_samples=100000" => "valid-images",
        "train-images.params.size=[224, 224]" => "",
        "train-images.params.size=[192, 192]" => "train-images train-features projection evaluate count",
        "valid-images.params.resize=bilinear" => "",
        "valid-images.params.resize=bicubic" => "valid-images valid-features evaluate count",
        "valid-images.params.fit=squash" => "",
        "valid-images.params.alpha=drop" => "",
        "valid-images.params.alpha=white" => "valid-images valid-features evaluate count",
    });
    check(&[
        Row::new("a model says what is done anyway", "")
            .shell(
                "cp -r models/resnet models/vit && \
                 echo '{\"image_processor_type\": \"ViTImageProcessor\"}' > models/vit/preprocessor_config.json",
            )
            .args(&["spec.yaml", "--set", "valid-images.params.like=models/vit"]),
        Row::new("a model crops its images", "valid-images valid-features evaluate count")
            .shell(
                "cp -r models/resnet models/clip && \
                 echo '{\"image_processor_type\": \"CLIPImageProcessor\"}' > models/clip/preprocessor_config.json",
            )
            .args(&["spec.yaml", "--set", "valid-images.params.like=models/clip"]),
    ]);
    check(&[Row::new("the validation data of a stage is the training data, which is cached", "evaluate count").args(
        &[
            "spec.yaml",
            "--set",
            "valid-queries.params.path=data/MR_train_queries.jsonl",
            "--set",
            "valid-images.params.path=data/MR_train_imgs.tsv",
            "--set",
            "valid-images.params.max_samples=40",
        ],
    )]);
}

#[test]
fn params_of_the_encoders() {
    check(set! {
        "train-text.params.max_length=128" => "",
        // No text is that long: the vectors are the same, and the wave ends.
        "train-text.params.max_length=100" => "train-text",
        "train-text.params.max_length=4" => "train-text projection evaluate count",
        "valid-text.params.pooling=cls" => "",
        "valid-text.params.pooling=mean" => "valid-text evaluate count",
        "valid-text.params.lower_case=true" => "valid-text evaluate count",
        "train-text.params.batch_rows=3" => "",
        "train-features.params.batch_rows=3" => "",
        "valid-features.params.model=models/resnet/model.safetensors" => "",
    });
    check(&[
        Row::new("an equal copy of a model under another name", "")
            .shell("cp -r models/bert models/roberta")
            .args(&["spec.yaml", "--set", "train-text.params.model=models/roberta"]),
        Row::new("another model, for which dropped pixels are decoded again", "valid-images valid-features evaluate count")
            .shell("cp -r models/resnet models/other && printf '\\001' | dd conv=notrunc of=models/other/model.safetensors bs=1 seek=353000")
            .args(&["spec.yaml", "--set", "valid-features.params.model=models/other"]),
    ]);
}

#[test]
fn params_of_training() {
    check(set! {
        "projection.params.fusion=projection" => "",
        "projection.params.projection_dim=32" => "projection evaluate count",
        "projection.params.normalize=true" => "",
        "projection.params.normalize=false" => "projection evaluate count",
        "projection.params.temperature=0.070" => "",
        "projection.params.temperature=7e-2" => "",
        "projection.params.temperature=0.05" => "projection evaluate count",
        "projection.params.learn_temperature=false" => "",
        "projection.params.learn_temperature=true" => "projection evaluate count",
        "projection.params.positives=own" => "",
        // A query has one image here and an image one query: the heads are the same, and the wave ends.
        "projection.params.positives=mask" => "projection",
        "projection.params.positives=all" => "projection",
        "projection.params.lr=0.01" => "projection evaluate count",
        "projection.params.lr_schedule=constant" => "",
        "projection.params.lr_schedule=cosine" => "projection evaluate count",
        "projection.params.warmup_steps=0" => "",
        "projection.params.warmup_steps=3" => "projection evaluate count",
        "projection.params.weight_decay=0.01" => "projection evaluate count",
        "projection.params.epochs=3" => "projection evaluate count",
        "projection.params.batch_size=8" => "projection evaluate count",
        "projection.params.shuffle=true" => "projection evaluate count",
        "projection.params.seed=0" => "",
        "projection.params.seed=1" => "projection evaluate count",
        "projection.params.init_from=start.safetensors" => "projection",
    });
}

#[test]
fn params_of_the_evaluation_and_of_programs() {
    check(set! {
        "evaluate.params.similarity=cosine" => "",
        "evaluate.params.similarity=dot" => "evaluate count",
        "evaluate.params.k=[1, 5, 10]" => "",
        "evaluate.params.k=[1, 5]" => "evaluate count note",
        "count.params.run=[sh, -c, 'grep -c recall < \"$INPUT_EVALUATION/metrics.json\" > count.txt']" => "count",
        "count.params.run=[sh, -c, 'echo none > count.txt']" => "count note",
        "note.params.outputs=[note.txt]" => "",
        "count.params.outputs=[count.txt, count.txt]" => "count",
        "note.params.sources=[notes, spec.yaml]" => "note",
        "note.params.sources=[notes/first.txt]" => "note",
        "note.params.env.MODE=fast" => "",
        "note.params.env.MODE=slow" => "note",
        "note.params.env.EXTRA=one" => "note",
        "note.params.env.EXTRA=null" => "",
        // The caller's value, but written in the spec: of the caller's value only a digest is kept.
        "note.params.env.REVIEWER=ann" => "note",
        "note.params.env.REVIEWER=bob" => "note",
    });
}
