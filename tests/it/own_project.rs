//! Mistakes in a project of one's own: names, places, words of other tools, programs.

use crate::project::Project;

/// Our own project: a spec in `pipelines/`, others in folders below, a script beside them.
fn own_project() -> Project {
    let project = Project::new();
    project.write("pipeline.toml", "");
    project.write("data/q.jsonl", "{\"query_id\": 1, \"query_text\": \"cat\", \"item_ids\": [1]}\n");
    project.write("scripts/count.py", "print(1)\n");
    let spec = "stages:
  queries: { kind: load-queries, params: { path: ../data/q.jsonl } }
  text: { kind: command, params: { run: [touch, out], outputs: [_features.json, part-00000.parquet] } }
  images: { kind: command, params: { run: [touch, out], outputs: [_features.json, part-00000.parquet] } }
  heads: { kind: train-projection, inputs: { queries: queries, text: text, images: images }, params: { lr: 0.1 } }
";
    project.write("pipelines/shop.yaml", spec);
    project.write("pipelines/experiments/grid.yaml", "extends: ../shop.yaml\nsweep: { heads.params.epochs: [1, 2] }\n");
    project
}

#[test]
fn a_spec_in_a_folder_below_pipelines_is_found_by_its_name_alone() {
    let project = own_project();
    for (folder, name) in
        [(".", "grid"), (".", "experiments/grid"), ("data", "grid.yaml"), ("pipelines", "experiments/grid")]
    {
        let reply = project.command(&["validate", name]).current_dir(project.path(folder)).output().unwrap();
        let said = String::from_utf8_lossy(&reply.stderr).into_owned();
        assert!(
            reply.status.success() && said.contains("experiments/grid.yaml: 4 stages, 2 points, no mistakes"),
            "{name}: {said}"
        );
    }
    assert_eq!(
        project.run(&["validate", "pipelines/experiments/grid"]).code,
        Some(0),
        "the ending of a path is optional"
    );
    project.write("pipelines/more/grid.yaml", "extends: ../shop.yaml\n");
    let several = project.run(&["validate", "grid"]);
    assert_eq!(
        several.stderr,
        "error: `grid` may be any of 2 specs: `pipelines/experiments/grid.yaml`, `pipelines/more/grid.yaml`\n\
         help: name one of them: `experiments/grid`, `more/grid`"
    );
    assert_eq!(project.run(&["validate", "more/grid"]).code, Some(0));
    project.write("pipelines/grid.yaml", "extends: shop.yaml\n");
    assert!(project.run(&["validate", "grid"]).stderr.contains("pipelines/grid.yaml"), "the nearest place comes first");
}

#[test]
fn words_in_another_place_or_of_other_tools_are_answered_with_the_line_that_works() {
    let project = own_project();
    for (line, error, help) in [
        (
            "status heads shop",
            "`heads` is a stage, and `pipeline status` has no place for one",
            "`pipeline status shop`",
        ),
        (
            "graph shop heads",
            "`heads` is a stage, and `pipeline graph` has no place for one",
            "`pipeline why shop heads`",
        ),
        ("validate heads pipelines/shop.yaml", "`heads` is a stage", "`pipeline validate pipelines/shop.yaml`"),
        ("check shop grid", "`grid` is a second spec", "one spec is taken at a time: `pipeline check shop`"),
        ("why heads shop", "there is no spec `heads`", "the spec comes first: `pipeline why shop heads`"),
        ("status shop --set heads.params.lr 0.2", "`0.2` stands alone", "did you mean `--set heads.params.lr=0.2`?"),
        ("status shop --set heads.params.lr = 0.2", "`=` stands alone", "did you mean `--set heads.params.lr=0.2`?"),
        ("status shop --set heads.params.lr= 0.2", "`0.2` stands alone", "did you mean `--set heads.params.lr=0.2`?"),
        ("run shop --set heads.params.lr:0.2", "has no `=`", "did you mean `--set heads.params.lr=0.2`?"),
        ("run shop --set heads/params/lr=0.2", "names neither", "did you mean `--set heads.params.lr=0.2`?"),
        ("run shop --set heads.retain=true", "names neither", "`--set` changes params and vars alone; `retain`"),
        ("run shop --learning-rate 0.2", "has no option", "did you mean `--set heads.params.lr=0.2`?"),
        ("run shop lr=0.2", "no stage `lr=0.2`", "did you mean `--set heads.params.lr=0.2`?"),
        ("sweep shop --lr 0.1,0.2", "has no option `--lr`", "did you mean `--axis 'heads.params.lr=[0.1, 0.2]'`?"),
        ("sweep shop --axis lr=[0.1,0.2]", "unknown key `lr`", "did you mean `--axis 'heads.params.lr=[0.1,0.2]'`?"),
        (
            "sweep shop --axis heads.params.lr=0.1,0.2",
            "must be a list",
            "did you mean `--axis 'heads.params.lr=[0.1, 0.2]'`?",
        ),
        ("run shop -n", "`pipeline run` has no option `-n`", "did you mean `--dry-run`?"),
        ("run shop --parallel 4", "has no option `--parallel`", "did you mean `--jobs`?"),
        ("run --config shop", "has no option `--config`", "the spec has no option before it: `pipeline run shop`"),
        (
            "why shop --stage heads",
            "has no option `--stage`",
            "a stage stands behind the spec: `pipeline why shop heads`",
        ),
        (
            "report shop --set heads.params.lr=1",
            "has no option `--set`",
            "`pipeline run shop --set heads.params.lr=1`, then",
        ),
        ("push", "there is no command `push`", "`pipeline cache push` uploads"),
        ("config", "there is no command `config`", "there is no configuration"),
        ("stages extract", "there is no kind `extract`", "did you mean `extract-text` or `extract-image`?"),
    ] {
        let reply = project.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((reply.code, reply.stdout.as_str()), (Some(2), ""), "{line}: {reply:?}");
        assert!(reply.stderr.contains(error) && reply.stderr.contains(help), "{line}: {}", reply.stderr);
        assert!(!reply.stderr.contains("-- -"), "{line}: {}", reply.stderr);
    }
    assert!(!project.path("artifacts").exists());
}

#[test]
fn places_in_messages_are_short_where_the_project_is_near() {
    let project = own_project();
    project.write("pipelines/shop.yaml", &project.read("pipelines/shop.yaml").replace("lr: 0.1", "tau: 0.1"));
    let reply = project.run(&["validate", "shop"]);
    assert!(reply.stderr.contains("--> pipelines/shop.yaml:5:104"), "{reply:?}");
    assert!(reply.stderr.contains("help: did you mean `temperature`?"), "{reply:?}");
    let reply = project.command(&["validate", "shop"]).current_dir(project.path("data")).output().unwrap();
    assert!(String::from_utf8_lossy(&reply.stderr).contains("--> ../pipelines/shop.yaml:5:104"), "{reply:?}");
}

#[test]
fn a_program_that_cannot_run_has_the_way_to_run_it() {
    let project = own_project();
    let write = |run: &str| {
        project.write(
            "pipelines/one.yaml",
            &format!("stages:\n  a: {{ kind: command, params: {{ run: {run}, outputs: [o] }} }}\n"),
        );
    };
    for (run, code, help) in [
        ("[../scripts/count.py]", 2, "or name its interpreter: `run: [python3, ../scripts/count.py]`"),
        ("[python3, scripts/count.py]", 2, "did you mean `../scripts/count.py`?"),
        ("[count.py]", 3, "a path has a `/`: write `../scripts/count.py`, from the folder of the spec"),
        ("[toch, o]", 3, "no program has this name; did you mean `touch`?"),
        ("[sh, -c, 'toch o']", 3, "no program is called `toch`; did you mean `touch`?"),
        ("[touch, out]", 3, "it left `out` in the folder where it runs"),
        ("['true']", 3, "it left nothing in the folder where it runs"),
    ] {
        write(run);
        let reply = project.run(&["run", "one"]);
        assert!(reply.code == Some(code) && reply.stderr.contains(help), "{run}: {reply:?}");
    }
    // A finding before the run has its place.
    write("[../scripts/count.py]");
    let reply = project.run(&["validate", "one"]);
    assert!(reply.code == Some(2) && reply.stderr.contains("--> pipelines/one.yaml:2:38"), "{reply:?}");
}

#[test]
fn text_features_of_other_queries_are_refused_before_anything_runs() {
    let project = own_project();
    project.write("data/v.jsonl", "");
    let stage = |name: &str, rest: &str| format!("  {name}: {{ kind: {rest} }}\n");
    let load = |name: &str, file: &str| stage(name, &format!("load-queries, params: {{ path: ../data/{file} }}"));
    let import = |name: &str, queries: &str| {
        stage(
            name,
            &format!("import-text-features, inputs: {{ queries: {queries} }}, params: {{ path: ../data/v.jsonl }}"),
        )
    };
    let heads = |text: &str, params: &str| {
        stage(
            "heads",
            &format!(
                "train-projection, inputs: {{ queries: train, text: {text}, images: images }}, params: {{ {params} }}"
            ),
        )
    };
    let images = stage("images", "command, params: { run: [touch, o], outputs: [_features.json, part-00000.parquet] }");
    let spec = |text: &str, params: &str, other: &str| {
        let all = [
            load("train", "q.jsonl"),
            load("valid", other),
            import("a", "train"),
            import("b", "valid"),
            images.clone(),
        ];
        format!("stages:\n{}{}", all.concat(), heads(text, params))
    };
    for (text, params, other, is_refused) in [
        ("a", "", "other.jsonl", false),
        ("b", "", "other.jsonl", true),
        ("b", "allow_mismatch: true", "other.jsonl", false),
        ("b", "", "q.jsonl", false),
    ] {
        project.write("pipelines/two.yaml", &spec(text, params, other));
        let reply = project.run(&["validate", "two"]);
        let said = "error: `b` has a row for each query of `valid`, and `queries` are those of `train`";
        assert_eq!(
            (reply.code, reply.stderr.contains(said)),
            (Some(if is_refused { 2 } else { 0 }), is_refused),
            "{reply:?}"
        );
        assert_eq!(reply.stderr.contains("help: write `text: a`, or `queries: valid`"), is_refused, "{reply:?}");
    }
}

#[test]
fn specs_of_one_name_are_told_apart_in_tables_and_their_runs_by_their_files() {
    let project = own_project();
    let spec = |word: &str| {
        format!(
            "name: shop\nstages:\n  a: {{ kind: command, params: {{ run: [sh, -c, 'echo {word} > o'], outputs: [o] }} \
            }}\n"
        )
    };
    project.write("pipelines/shop.yaml", &spec("one"));
    project.write("pipelines/more/shop.yaml", &spec("two"));
    assert_eq!(project.run(&["run", "shop"]).code, Some(0));
    let alone = project.run(&["runs"]).stdout;
    assert!(alone.contains(" shop ok"), "{alone}");
    assert_eq!(project.run(&["run", "more/shop"]).code, Some(0));
    let both = project.run(&["runs"]).stdout;
    assert!(both.contains(" pipelines/shop.yaml ok") && both.contains(" more/shop.yaml ok"), "{both}");
    let one = project.run(&["runs", "--filter", "spec=more/shop.yaml"]).stdout;
    assert!(one.contains("2 ") && !one.contains("\n1 "), "{one}");
    let runs: serde_json::Value = serde_json::from_str(&project.run(&["runs", "--json"]).stdout).unwrap();
    assert_eq!((&runs[1]["spec"], &runs[1]["file"]), (&"shop".into(), &"[FOLDER]/pipelines/more/shop.yaml".into()));
    let diff = project.run(&["diff", "1", "2"]).stdout;
    assert!(diff.contains("pipelines/shop.yaml") && diff.contains("more/shop.yaml"), "{diff}");
    let asked = project.run(&["diff", "more/shop", "shop"]);
    assert!(asked.stderr.contains("`more/shop` is a spec, and its last run is `2`"), "{asked:?}");
}
