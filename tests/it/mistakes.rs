//! The messages for a user's mistakes: place, excerpt, nearest name, exit code 2.

use crate::project::{Project, Reply, copy};

/// Runs `args` on a spec and compares stderr; nothing may be computed.
fn check(spec: &str, args: &[&str], expect: &str) {
    let project = Project::with_spec(spec);
    let reply = project.run(args);
    let expect = expect.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let expect = expect.collect::<Vec<_>>().join("\n");
    assert_eq!(reply, Reply { code: Some(2), stdout: String::new(), stderr: expect });
    assert!(!project.path("artifacts").exists());
}

#[test]
fn a_typo_in_a_key() {
    check(
        "stages:\n  queries:\n    knd: load-queries\n",
        &["run", "spec.yaml"],
        "error: unknown key `knd`
 --> spec.yaml:3:5
  |
3 |     knd: load-queries
  |     ^^^
  |
help: did you mean `kind`?",
    );
}

#[test]
fn an_unknown_stage() {
    check(
        "stages:\n  queries: { kind: load-queries, params: { path: q.jsonl } }\n  text:\n    kind: extract-text\n    \
        inputs: { queries: qeries }\n    params: { model: bert }\n",
        &["status", "spec.yaml"],
        "error: unknown stage `qeries`
 --> spec.yaml:5:24
  |
5 |     inputs: { queries: qeries }
  |                        ^^^^^^
  |
help: did you mean `queries`?",
    );
}

#[test]
fn an_unknown_kind() {
    check(
        "stages:\n  queries: { kind: load-querys, params: { path: q.jsonl } }\n",
        &["validate", "spec.yaml"],
        "error: unknown kind `load-querys`
 --> spec.yaml:2:20
  |
2 |   queries: { kind: load-querys, params: { path: q.jsonl } }
  |                    ^^^^^^^^^^^
  |
help: did you mean `load-queries`? `pipeline stages` lists all kinds",
    );
}

#[test]
fn a_param_of_the_wrong_type() {
    let project = Project::with_spec(
        "stages:\n  images:\n    kind: decode-images\n    params: { path: a.tsv, max_samples: many }\n",
    );
    let reply = project.run(&["run", "spec.yaml"]);
    assert_eq!(reply.code, Some(2));
    assert!(reply.stderr.contains("--> spec.yaml:4:41"), "{}", reply.stderr);
}

#[test]
fn a_wrong_path() {
    let project = Project::with_spec("stages:\n  queries: { kind: load-queries, params: { path: data/q.jsonl } }\n");
    for args in [["run", "spec.yaml"], ["status", "spec.yaml"]] {
        let reply = project.run(&args);
        assert_eq!((reply.code, reply.stdout.as_str()), (Some(2), ""), "{reply:?}");
        assert!(reply.stderr.contains("`queries`"), "{}", reply.stderr);
        let expect = "error: the sources of stage `queries` cannot be used
--> spec.yaml:2:50
|
2 | queries: { kind: load-queries, params: { path: data/q.jsonl } }
| ^^^^^^^^^^^^
|
caused by: the query file `[FOLDER]/data/q.jsonl` cannot be read";
        assert!(reply.stderr.starts_with(expect), "{}", reply.stderr);
    }
}

#[test]
fn a_missing_model() {
    let spec = "vars: { models: models }
stages:
  queries: { kind: load-queries, params: { path: q.jsonl } }
  text: { kind: extract-text, inputs: { queries: queries }, params: { model: bert-base-chinese } }
";
    let project = Project::with_spec(spec);
    project.write("q.jsonl", "");
    let reply = project.run(&["run", "spec.yaml"]);
    assert_eq!((reply.code, reply.stdout.as_str()), (Some(2), ""), "{reply:?}");
    for part in [
        "--> spec.yaml:4:78",
        "`text`",
        "bert-base-chinese",
        "\n- `[FOLDER]/models`: no such folder\n- `[FOLDER]/.cache/huggingface/hub`: no such folder\n",
        "not set: `HF_HUB_CACHE`, `HF_HOME`, `TORCH_HOME`, which name more places",
        "help: put it there, or name its folder; a text model is\n- a folder of Hugging Face with config.json",
    ] {
        assert!(reply.stderr.contains(part), "{part} in {}", reply.stderr);
    }
    assert_eq!(project.run(&["validate", "spec.yaml"]).code, Some(0), "a machine without models checks specs, too");
    project.write("models/bert-base-chinse/config.json", "{}");
    let reply = project.run(&["run", "spec.yaml"]);
    assert!(reply.stderr.ends_with("help: did you mean `bert-base-chinse`?"), "{}", reply.stderr);
}

/// A tiny model of the repository.
fn model(name: &str) -> std::path::PathBuf {
    let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/ladder");
    models.join(name).canonicalize().unwrap()
}

#[test]
fn a_choice_that_a_model_does_not_have() {
    let image = "images: { kind: decode-images, params: { path: i.tsv } }\n  \
                 vectors: { kind: extract-image, inputs: { images: images }";
    let text = "queries: { kind: load-queries, params: { path: q.jsonl } }\n  \
                vectors: { kind: extract-text, inputs: { queries: queries }";
    for (side, name, params, at, expect) in [
        (image, "vit_hf", "pooling: projected", "projected", "this model has no projection"),
        (image, "convnext_hf", "positions: interpolate", "interpolate", "no positions of patches"),
        (text, "xlm_roberta", "pooling: projected", "projected", "this model has no projection"),
        (text, "clip", "max_length: 78", "78", "from 2 to 77 tokens"),
        (text, "siglip2", "max_length: 32", "32", "always reads 64 tokens"),
    ] {
        let line = format!("    params: {{ model: {}, {params} }}", model(name).display());
        let project = Project::with_spec(&format!("stages:\n  {side},\n{line} }}\n"));
        project.write("q.jsonl", "");
        project.write("i.tsv", "");
        for command in ["validate", "run"] {
            let reply = project.run(&[command, "spec.yaml"]);
            assert_eq!(reply.code, Some(2), "{name}: {}", reply.stderr);
            let place = format!("--> spec.yaml:4:{}", line.find(at).unwrap() + 1);
            assert!(reply.stderr.contains(&place) && reply.stderr.contains(expect), "{place} in {}", reply.stderr);
        }
    }
}

#[test]
fn a_model_whose_files_do_not_fit_each_other() {
    let project = Project::with_spec(
        "stages:
  queries: { kind: load-queries, params: { path: q.jsonl } }
  vectors: { kind: extract-text, inputs: { queries: queries }, params: { model: ./clip } }
",
    );
    project.write("q.jsonl", "{\"query_id\": 1, \"query_text\": \"cat\", \"item_ids\": []}\n");
    copy(&model("clip"), &project.path("clip"));
    let config = project.read("clip/config.json");
    project.write("clip/config.json", &config.replace("\"projection_dim\": ", "\"projection_dim\": 1"));
    for command in ["validate", "run"] {
        let reply = project.run(&[command, "spec.yaml"]);
        assert_eq!(reply.code, Some(2), "{}", reply.stderr);
        for part in ["error: stage `vectors` cannot run", "--> spec.yaml:3:81", "`text_projection.weight` has shape"] {
            assert!(reply.stderr.contains(part), "{part} in {}", reply.stderr);
        }
    }
    project.write("clip/config.json", &config);
    assert_eq!(project.run(&["validate", "spec.yaml"]).code, Some(0));
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
}

#[test]
fn a_path_that_only_a_shell_would_expand() {
    for path in ["~/models/bert", "$HOME/models/bert"] {
        let project = Project::with_spec(&format!(
            "stages:
  queries: {{ kind: load-queries, params: {{ path: q.jsonl }} }}
  text: {{ kind: extract-text, inputs: {{ queries: queries }}, params: {{ model: {path} }} }}
"
        ));
        project.write("q.jsonl", "");
        let reply = project.run(&["run", "spec.yaml"]);
        assert_eq!(reply.code, Some(2), "{reply:?}");
        assert!(reply.stderr.contains("help: no shell reads a spec: `~` and `$HOME` stay"), "{}", reply.stderr);
    }
}

#[test]
fn a_model_of_another_family() {
    let project = Project::with_spec(
        "stages:
  queries: { kind: load-queries, params: { path: q.jsonl } }
  text: { kind: extract-text, inputs: { queries: queries }, params: { model: models/clip } }
",
    );
    project.write("q.jsonl", "");
    for (config, said) in [
        (r#"{"model_type": "ernie"}"#, "`model_type` is `ernie`; text models are of `bert`"),
        (r#"{"model_type": "qwen3_vl"}"#, "`model_type` is `qwen3_vl`, and an embedder made of a language model"),
        (
            r#"{"model_type": "jina_clip", "auto_map": {"AutoModel": "own.Model"}}"#,
            r#"`model_type` is `jina_clip`, and `auto_map` names code of its own, "own.Model""#,
        ),
        (r#"{"model_type": "siglip2"}"#, "`model_type` is `siglip2`: it takes images of any size (NaFlex)"),
    ] {
        project.write("models/clip/config.json", config);
        for args in [&["validate", "spec.yaml"][..], &["run", "spec.yaml", "--dry-run"], &["run", "spec.yaml"]] {
            let reply = project.run(args);
            assert_eq!((reply.code, reply.stdout.as_str()), (Some(2), ""), "{reply:?}");
            for part in [
                "--> spec.yaml:3:78",
                "caused by: the text model `models/clip` cannot be used",
                &format!("`[FOLDER]/models/clip/config.json` describes a model that is not supported: {said}"),
                "vectors of any other tool can be brought in by `import-text-features`",
            ] {
                assert!(reply.stderr.contains(part), "{part} in {}", reply.stderr);
            }
        }
    }
}

#[test]
fn a_spec_that_is_not_there() {
    let project = Project::with_spec("stages: {}\n");
    let reply = project.run(&["run", "sepc.yaml"]);
    assert_eq!(reply.code, Some(2));
    let expect = "error: there is no spec `sepc.yaml`; looked in `.`\nhelp: did you mean `spec.yaml`?";
    assert_eq!(reply.stderr, expect);
}

#[test]
fn names_on_the_command_line() {
    let spec = "stages:\n  first: { kind: command, params: { run: [touch, out], outputs: [out] } }\n";
    let cases = [
        (
            &["run", "spec.yaml", "--force", "frist"][..],
            "error: the spec has no stage `frist`\nhelp: did you mean `first`?",
        ),
        (&["why", "spec.yaml", "frist"], "error: the spec has no stage `frist`\nhelp: did you mean `first`?"),
        (&["stages", "comand"], "error: there is no kind `comand`\nhelp: did you mean `command`?"),
    ];
    for (args, expect) in cases {
        check(spec, args, expect);
    }
    check(
        spec,
        &["run", "spec.yaml", "--set", "first.params.rnu=[true]"],
        "error: unknown param `rnu`
 --> --set:1:1
  |
1 | first.params.rnu=[true]
  | ^^^^^^^^^^^^^^^^
  |
help: did you mean `run`?",
    );
}

#[test]
fn a_folder_whose_name_is_no_text_is_as_good_as_any() {
    use std::os::unix::ffi::OsStrExt as _;
    let project = Project::new();
    let folder = project.path("").join(std::ffi::OsStr::from_bytes(b"no\xfftext"));
    std::fs::create_dir(&folder).unwrap();
    let spec =
        "stages:\n  a: { kind: command, params: { run: [touch, out], outputs: [out] }, publish: { out: copy } }\n";
    std::fs::write(folder.join("spec.yaml"), spec).unwrap();
    let run = |args: &[&str]| project.command(args).current_dir(&folder).output().unwrap();
    assert_eq!(run(&["run", "spec.yaml"]).status.code(), Some(0));
    assert!(folder.join("copy").exists());
    let again = run(&["run", "spec.yaml"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("nothing ran"), "{again:?}");
    for args in [&["status", "spec.yaml"][..], &["validate", "spec.yaml"], &["cache", "stats"], &["cache", "verify"]] {
        let output = run(&[args, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        assert!(serde_json::from_slice::<serde_json::Value>(&output.stdout).is_ok(), "{args:?}");
    }
}

/// A shop with specs outside of `pipelines/`, whose stage has params with names that people know.
fn shop() -> Project {
    let project = Project::new();
    project.write("pipeline.toml", "");
    project.write("other/notes.txt", "");
    project.write("q.jsonl", "{\"query_id\": 1, \"query_text\": \"cat\", \"item_ids\": [1]}\n");
    let spec = "vars: { seed: '1' }
stages:
  queries: { kind: load-queries, params: { path: ../q.jsonl } }
  text: { kind: command, params: { run: [touch, out], outputs: [_features.json, part-00000.parquet] } }
  images: { kind: command, params: { run: [touch, out], outputs: [_features.json, part-00000.parquet] } }
  heads: { kind: train-projection, inputs: { queries: queries, text: text, images: images } }
";
    project.write("specs/shop.yaml", spec);
    project.write("specs/grid.yaml", "extends: shop.yaml\nsweep: { heads.params.epochs: [1, 2] }\n");
    project
}

#[test]
fn a_line_that_other_tools_would_take_is_answered_with_one_that_works() {
    let project = shop();
    for (line, help) in [
        ("why heads specs/shop.yaml", "the spec comes first: `pipeline why specs/shop.yaml heads`"),
        ("run heads specs/shop.yaml", "the spec comes first: `pipeline run specs/shop.yaml heads`"),
        ("run specs/shop.yaml --set epochs=3", "did you mean `--set heads.params.epochs=3`?"),
        ("run specs/shop.yaml --set heads.epochs=3", "did you mean `--set heads.params.epochs=3`?"),
        ("run specs/shop.yaml --set heads.epcohs=3", "did you mean `--set heads.params.epochs=3`?"),
        ("run specs/shop.yaml --set heads.params.epochs 3", "did you mean `--set heads.params.epochs=3`?"),
        ("run specs/shop.yaml --set seed=3", "did you mean `--set vars.seed=3` or `--set heads.params.seed=3`?"),
        ("run specs/shop.yaml --epochs 3", "did you mean `--set heads.params.epochs=3`?\n`pipeline run --help` lists"),
        ("run specs/shop.yaml --batch-size=3", "did you mean `--set heads.params.batch_size=3`?\n"),
        ("status specs/shop.yaml --heads.params.lr 0.1", "did you mean `--set heads.params.lr=0.1`?\n"),
        ("run specs/shop.yaml --zzz", "write a change as `--set STAGE.params.NAME=VALUE`"),
        ("run specs/shop.yaml heads.params.lr=0.1", "a change of the spec is written `--set heads.params.lr=0.1`"),
        (
            "run specs/shop.yaml specs/grid.yaml",
            "`specs/grid.yaml` is a spec, and one is taken at a time: `pipeline run",
        ),
        ("export specs/shop.yaml nothing -o x", "its stages are `queries`, `text`, `images`, `heads`"),
        ("run shop", "did you mean `specs/shop.yaml`?"),
        (
            "run specs",
            "SPEC is the path of a YAML file, or the name of one in `pipelines/`: `specs/grid.yaml`, `specs/shop",
        ),
        ("specs/shop.yaml", "`pipeline run specs/shop.yaml` runs the spec `specs/shop.yaml`"),
        ("dag", "`pipeline graph SPEC` draws the stages of a spec"),
        ("gc", "`pipeline cache gc` deletes results that are not in use"),
        ("cache clean", "`pipeline cache gc` deletes results that are not in use"),
        ("repro", "`pipeline run SPEC` brings every stage of a spec up to date"),
        ("metrics", "`pipeline runs` lists the runs with their params and metrics"),
        ("stauts", "did you mean `pipeline status`?"),
        ("xyzzy", "`pipeline --help` lists the commands"),
        ("diff last", "for example: `pipeline diff last~1 last`"),
        ("sweep specs/shop.yaml", "say what to try: `--axis 'projection.params.temperature=[0.03, 0.07]'`"),
    ] {
        let reply = project.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((reply.code, reply.stdout.as_str()), (Some(2), ""), "{line}: {reply:?}");
        assert!(reply.stderr.contains(&format!("help: {help}")), "{line}: {}", reply.stderr);
        assert!(!reply.stderr.contains("use '-- -"), "{line}: {}", reply.stderr);
    }
    let below = project.command(&["run", "shop"]).current_dir(project.path("other")).output().unwrap();
    assert!(String::from_utf8_lossy(&below.stderr).contains("did you mean `../specs/shop.yaml`?"), "{below:?}");
    assert!(!project.path("artifacts").exists());
}

#[test]
fn force_before_the_spec_forces_all_its_stages() {
    let project = Project::with_spec(
        "stages:\n  first: { kind: command, params: { run: [touch, out], outputs: [out] } }\n  \
         second: { kind: command, inputs: { a: first }, params: { run: [touch, out], outputs: [out] } }\n",
    );
    project.run(&["run", "spec.yaml"]);
    for (args, ran) in [
        (&["run", "--force", "spec.yaml"][..], "2 stages: 2 ran"),
        (&["run", "--force", "spec"], "2 stages: 2 ran"),
        (&["run", "--force", "spec.yaml", "first"], "1 stage: 1 ran"),
        (&["run", "spec.yaml", "--force", "first"], "2 stages: 1 ran, 1 reused"),
        (&["run", "--force=second", "spec.yaml"], "2 stages: 1 ran, 1 reused"),
    ] {
        let reply = project.run(args);
        assert!(reply.code == Some(0) && reply.stderr.contains(ran), "{args:?}: {}", reply.stderr);
    }
}

#[test]
fn files_that_are_no_specs_are_named_and_missing_ones_have_neighbours() {
    let project = shop();
    project.write("train.py", "import torch\nfor x in range(3):\n    print(x)\n");
    project.write("book.ipynb", "{\"cells\": [], \"nbformat\": 4}");
    project.write("dvc.yaml", "stages:\n  a:\n    cmd: python a.py\n    deps: [a.py]\n");
    for (name, what) in
        [("train.py", "a Python script"), ("book.ipynb", "a Jupyter notebook"), ("dvc.yaml", "a pipeline of DVC")]
    {
        let reply = project.run(&["run", name]);
        assert_eq!(reply.code, Some(2));
        assert!(reply.stderr.starts_with(&format!("error: `{name}` is {what}, not a spec\nhelp: ")), "{reply:?}");
    }
    for (path, help) in [
        ("q.josnl", "did you mean `q.jsonl`? it is in that folder"),
        ("~/q.jsonl", "no shell reads a spec: `~` and `$HOME` stay as they are"),
        ("$HOME/q.jsonl", "no shell reads a spec: `~` and `$HOME` stay as they are"),
    ] {
        project.write("one.yaml", &format!("stages:\n  q: {{ kind: load-queries, params: {{ path: {path} }} }}\n"));
        let reply = project.run(&["run", "one.yaml"]);
        assert!(reply.code == Some(2) && reply.stderr.contains(&format!("help: {help}")), "{path}: {reply:?}");
    }
    let script = "stages:\n  a: { kind: command, params: { run: [cat, data/x.txt], outputs: [out] } }\n";
    project.write("one.yaml", script);
    let reply = project.run(&["run", "one.yaml"]);
    assert!(reply.code == Some(3) && reply.stderr.contains("the folder of the spec is `$SPEC_DIR`"), "{reply:?}");
}

#[test]
fn a_run_of_a_spec_with_a_sweep_says_that_it_runs_no_points() {
    let project = Project::with_spec(
        "vars: { n: '1' }\nstages:\n  a: { kind: command, params: { run: [sh, -c, 'echo ${n} > out'], outputs: [out] } \
        }\n\
         sweep: { vars.n: ['1', '2'] }\n",
    );
    let reply = project.run(&["run", "spec.yaml"]);
    let note = "note: the spec has a `sweep`, whose points `pipeline sweep spec` runs";
    assert!(reply.code == Some(0) && reply.stderr.contains(note), "{reply:?}");
    assert!(!project.run(&["run", "spec.yaml", "--quiet", "--force"]).stderr.contains("note"), "a quiet run is quiet");
    let diff = project.run(&["diff", "spec.yaml", "last"]);
    assert!(
        diff.stderr
            .contains("`spec.yaml` is a spec, and its last run is `2`; `pipeline runs --filter spec=spec` lists"),
        "{diff:?}"
    );
}
