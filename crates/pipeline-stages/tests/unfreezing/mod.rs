//! `layers` of `extract-text` and `train-top`: the last layers of an encoder, trained on cached tokens.

use pipeline_models::checkpoint::Checkpoint;

use crate::bench::{self, Bench};
use crate::training::refused;

/// The small data set, whose texts leave out so many layers, which the training goes on with.
fn unfrozen(layers: &str, params: &str) -> String {
    format!(
        "
vars: {{ data: ../../../../tests/fixtures/data/mini, models: ../../../../tests/fixtures/tiny }}
stages:
  train-queries: {{ kind: load-queries, params: {{ path: '${{data}}/MR_train_queries.jsonl' }} }}
  valid-queries: {{ kind: load-queries, params: {{ path: '${{data}}/MR_valid_queries.jsonl' }} }}
  train-images: {{ kind: decode-images, params: {{ path: '${{data}}/MR_train_imgs.tsv' }} }}
  valid-images: {{ kind: decode-images, params: {{ path: '${{data}}/MR_valid_imgs.tsv' }} }}
  train-text: {{ kind: extract-text, inputs: {{ queries: train-queries }}, params: {{ model: \
        '${{models}}/bert'{layers} }} }}
  valid-text: {{ kind: extract-text, inputs: {{ queries: valid-queries }}, params: {{ model: \
        '${{models}}/bert'{layers} }} }}
  train-vectors: {{ kind: extract-image, inputs: {{ images: train-images }}, params: {{ model: '${{models}}/resnet' }} \
        }}
  valid-vectors: {{ kind: extract-image, inputs: {{ images: valid-images }}, params: {{ model: '${{models}}/resnet' }} \
        }}
  projection:
    kind: train-top
    inputs: {{ queries: train-queries, text: train-text, images: train-vectors }}
    params: {{ text_model: '${{models}}/bert', projection_dim: 64{params} }}
  evaluate:
    kind: evaluate-recall
    inputs: {{ queries: valid-queries, text: valid-text, images: valid-vectors, projection: projection }}
"
    )
}

/// The error of the training, or of another stage.
fn failed(yaml: &str, stage: &str) -> String {
    let mut bench = Bench::new(yaml);
    for before in bench.stages().iter().take_while(|before| before.as_str() != stage) {
        bench.run(before).unwrap();
    }
    let error = bench.run(stage).unwrap_err();
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

#[test]
fn layers_that_do_not_move_give_the_notebooks_numbers() {
    let bench = Bench::new(&unfrozen(", layers: -1", ", lr_top: 0")).run_all();
    let golden = bench::read_json("goldens/mini/result.json");
    let golden = &golden["runs"]["2 epochs"];
    let difference = bench.largest_loss_difference("projection", &golden["step_losses"]);
    assert!(difference < 2e-5, "{difference}");
    let found = bench.report("evaluate").metrics["mean_recall"];
    assert!((found - golden["metrics"]["mean_recall"].as_f64().unwrap()).abs() < 1e-12, "{found}");
}

#[test]
fn layers_learn_and_the_kept_ones_are_what_an_evaluation_of_the_same_data_finds() {
    let held_out = "images: train-vectors, valid_queries: valid-queries, valid_text: valid-text, \
                    valid_images: valid-vectors }";
    let yaml = unfrozen(", layers: -2, precision: f16", ", lr_top: 1e-3, epochs: 4, patience: 3");
    let yaml = yaml.replace("images: train-vectors }", held_out);
    let bench = Bench::new(&yaml).run_all();
    let again =
        |yaml: &str, n_threads| Bench::new(yaml).with_remembered(&bench.shards).with_threads(n_threads).run_all();
    let (report, found) = (bench.report("projection"), &bench.report("evaluate").metrics);
    assert_eq!(report.metrics["valid_mean_recall"], found["mean_recall"]);
    let frozen = again(&yaml.replace("lr_top: 1e-3", "lr_top: 0"), 2);
    assert!(report.metrics["loss"] < frozen.report("projection").metrics["loss"], "layers that learn fit better");
    let file =
        |bench: &Bench| std::fs::read(bench.artifact("projection").file("projection.safetensors").unwrap()).unwrap();
    assert!(file(&bench) == file(&again(&yaml, 3)), "threads change no byte");
    let names: Vec<&String> = bench.artifact("projection").tree.files.keys().collect();
    assert_eq!(names, ["history.csv", "projection.safetensors"]);

    let heads = |bench: &Bench| {
        let path = bench.artifact("projection").file("projection.safetensors").unwrap();
        Checkpoint::read(&path).unwrap().heads.unwrap()
    };
    let (trained, frozen) = (heads(&bench).text.top.unwrap(), heads(&frozen).text.top.unwrap());
    assert_eq!((trained.n_layers(), trained.width(), trained.dim()), (2, 64, 64));
    assert!(trained != frozen && heads(&bench).image.top.is_none());
}

#[test]
fn a_training_has_the_pooling_of_the_model_in_its_manifest_and_its_files_as_sources() {
    let bench = Bench::new(&unfrozen(", layers: -2", ""));
    let stage = bench.stage("projection");
    let lines: Vec<_> = stage.params().into_iter().map(|(name, json)| format!("{name}={json}")).collect();
    assert_eq!(
        lines.join("; "),
        "batch_size=16; epochs=2; learn_temperature=false; lr=0.001; lr_decay=0.9; lr_schedule=\"constant\"; \
         lr_top=0.00005; normalize=true; pairs=\"first\"; patience=0; positives=\"own\"; projection_dim=64; seed=0; \
         shuffle=false; start=\"random\"; temperature=0.07; text_pooling=\"cls\"; warmup_steps=0; weight_decay=0.0001"
    );
    let names: Vec<_> = stage.sources().unwrap().into_iter().map(|source| source.name).collect();
    assert_eq!(names, ["model/config", "model/vocab", "model/tokenizer-config", "model/weights"]);
    let text = bench.stage("train-text").params();
    assert_eq!((text["layers"].as_str(), text["pooling"].as_str()), ("-2", "\"tokens\""));
}

#[test]
fn what_leaves_nothing_to_train_is_refused_at_its_place() {
    for (layers, params, message, place) in [
        (", pooling: tokens", "", "`train-text` computes all layers, so that none is left to train", "train-text"),
        (", layers: 0", "", "`layers` must be from -1000 to -1: so many of the last layers are left out", "0"),
        (
            ", layers: -1, pooling: mean",
            "",
            "`layers` gives the vectors of tokens, and `pooling` makes them one; `train-top` has `text_pooling`",
            "-1",
        ),
        (", layers: -1", ", text_pooling: tokens", "`text_pooling` must make one vector of a text", "tokens"),
        (", layers: -1", ", lr_top: -1", "`lr_top` must be a number of at least 0", "-1"),
        (", layers: -1", ", temperature: 0", "`temperature` must be a number above 0", "0"),
        (
            "",
            "",
            "input `text` of `projection` takes tokens of texts, but `train-text` makes text features",
            "train-text",
        ),
    ] {
        assert_eq!(refused(&unfrozen(layers, params)), (message.to_owned(), place.to_owned()), "{layers}{params}");
    }
}

#[test]
fn images_are_not_unfrozen_and_the_message_says_what_to_do() {
    let yaml = unfrozen(", layers: -1", "")
        .replace("model: '${models}/resnet' }", "model: '${models}/resnet', pooling: tokens }");
    let spec = pipeline_spec::parse(&yaml, &bench::spec_file()).unwrap();
    let error = pipeline_stages::build(&spec, &pipeline_stages::Settings::default()).err().unwrap();
    assert_eq!(
        (error.to_string(), error.help.as_deref()),
        (
            "input `images` of `projection` takes image features, but `train-vectors` makes tokens of images"
                .to_owned(),
            Some("another `pooling` of `train-vectors` gives one vector for each row")
        )
    );
}

#[test]
fn tokens_of_other_layers_or_models_are_refused_when_they_meet() {
    let bench = Bench::new(&unfrozen(", layers: -3", ""));
    for stage in ["train-text", "projection"] {
        let error = bench.stage(stage).check().unwrap_err();
        assert_eq!(
            error.source.unwrap().to_string(),
            "the model has 2 layers, and not the 3 that are asked for",
            "{stage}: before anything has run"
        );
    }
    let other = unfrozen(", layers: -1", "")
        .replace("{ text_model: '${models}/bert'", "{ text_model: ../../../../tests/fixtures/ladder/taiyi");
    let error = failed(&other, "projection");
    assert!(error.starts_with("the tokens of input `text` are of the model "), "{error}");
    let yaml = unfrozen(", layers: -1", "");
    let (before, after) = yaml.split_once("  valid-text:").unwrap();
    let (message, _) = refused(&format!("{before}  valid-text:{}", after.replacen("layers: -1", "layers: -2", 1)));
    assert_eq!(
        message,
        "`valid-text` does not belong here: `projection` is trained on `train-text`, whose `layers` is `-1` and not \
        `-2`"
    );
}
