//! Imported features: the files that are read, the match of rows and queries, and refusals.

use std::path::Path;

use pipeline_kernels::Matrix;

use crate::bench::Bench;

fn ids<const N: usize>(ids: [&str; N]) -> Vec<Option<String>> {
    ids.map(|id| Some(id.to_owned())).to_vec()
}

/// A bench with the stages `queries`, with these ids, and `import` with these params.
fn importing(folder: &Path, kind: &str, queries: &[&str], params: &str) -> Bench {
    Bench::new(&spec(folder, kind, queries, params))
}

fn spec(folder: &Path, kind: &str, queries: &[&str], params: &str) -> String {
    // An import of images reads no queries, but the spec still has a stage of them.
    let queries = if queries.is_empty() { &["1"] } else { queries };
    let lines: String = queries.iter().map(|id| format!("{{\"query_id\": {id}, \"query_text\": \"a\"}}\n")).collect();
    std::fs::write(folder.join("queries.jsonl"), lines).unwrap();
    let inputs = if kind == "import-text-features" { "inputs: { queries: queries }, " } else { "" };
    format!(
        "
vars: {{ data: {} }}
stages:
  queries: {{ kind: load-queries, params: {{ path: '${{data}}/queries.jsonl' }} }}
  import: {{ kind: {kind}, {inputs}params: {params} }}
",
        folder.display()
    )
}

/// The result of the import: ids and vectors of its one shard, or the errors in one line, without the folder.
fn imported(folder: &Path, kind: &str, queries: &[&str], params: &str) -> Result<(Vec<String>, Vec<f32>), String> {
    let mut bench = importing(folder, kind, queries, params);
    bench.run("queries").unwrap();
    if let Err(error) = bench.run("import") {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        return Err(text.replace(&format!("{}/", folder.display()), ""));
    }
    let shard = pipeline_data::read_vectors(&bench.artifact("import").file("part-00000.parquet").unwrap()).unwrap();
    Ok((shard.ids.into_iter().map(Option::unwrap).collect(), shard.values))
}

const IMAGE: &str = "import-image-features";
const TEXT: &str = "import-text-features";

/// Like the snapshots of the other kinds: a change here makes every cached import stale.
#[test]
fn the_manifest_of_an_import_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let data = |name: &str| folder.path().join(name);
    pipeline_data::write_npy(&data("x.npy"), &Matrix::new(1, 2, vec![1.0, 2.0])).unwrap();
    std::fs::write(data("x.jsonl"), "").unwrap();
    std::fs::write(data("ids.txt"), "7\n").unwrap();
    let manifest = |kind: &str, params: &str| {
        let bench = importing(folder.path(), kind, &[], params);
        let stage = bench.stage("import");
        let lines = stage.params().into_iter().map(|(name, json)| format!("{name}={json}"));
        let sources = stage.sources().unwrap().into_iter().map(|source| format!("source {}", source.name));
        let head = format!("{} {}", stage.kind(), stage.version());
        std::iter::once(head).chain(lines).chain(sources).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(
        manifest(IMAGE, "{ path: '${data}/x.npy', ids: '${data}/ids.txt' }"),
        "import-image-features 2; format=\"npy\"; id_column=\"id\"; id_part=\"whole\"; vector_column=\"vector\"; \
         source vectors/00000; source ids/00000"
    );
    assert_eq!(
        manifest(TEXT, "{ path: '${data}/x.jsonl', id_part: file-stem }"),
        "import-text-features 2; format=\"jsonl\"; id_column=\"text_id\"; id_part=\"file-stem\"; \
         vector_column=\"feature\"; source vectors/00000"
    );
}

#[test]
fn the_lines_of_chinese_clip_come_in_the_order_of_the_queries() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "{\"text_id\": 3, \"feature\": [3, 0.5]}\n{\"text_id\": 1, \"feature\": [1, 0.5]}\n{\"text_id\": 2, \"feature\": [2, 0.5]}\n";
    std::fs::write(folder.path().join("x.jsonl"), lines).unwrap();
    let (found, values) = imported(folder.path(), TEXT, &["1", "3", "1"], "{ path: '${data}/x.jsonl' }").unwrap();
    assert_eq!(found, ["1", "3", "1"]);
    assert_eq!(values, [1.0, 0.5, 3.0, 0.5, 1.0, 0.5]);
    let mut bench = importing(folder.path(), TEXT, &["1", "3"], "{ path: '${data}/x.jsonl' }");
    ["queries", "import"].iter().for_each(|stage| bench.run(stage).unwrap());
    assert_eq!(bench.warnings, ["1 vector belongs to no query and is left out"]);
    let error = imported(folder.path(), TEXT, &["1", "4", "5"], "{ path: '${data}/x.jsonl' }").unwrap_err();
    assert_eq!(error, "2 of 3 queries have no vector in `x.jsonl`: the first is `4`");
    let error = imported(folder.path(), TEXT, &["1", "null"], "{ path: '${data}/x.jsonl' }").unwrap_err();
    assert!(error.ends_with("the first, row 2, has no id"), "{error}");
}

#[test]
fn a_folder_of_clip_retrieval_is_read_partition_by_partition() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["img_emb", "metadata"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    for (partition, names) in [(0, ["a/7.jpg", "a/8.jpg"]), (10, ["b/11.jpg", "b/12.jpg"]), (9, ["b/9.png", "10.jpg"])]
    {
        let vectors = folder.path().join(format!("img_emb/img_emb_{partition}.npy"));
        pipeline_data::write_npy(&vectors, &Matrix::new(2, 1, vec![partition as f32, 0.5])).unwrap();
        let metadata = folder.path().join(format!("metadata/metadata_{partition}.parquet"));
        pipeline_data::write_list_vectors(&metadata, &ids(names), &Matrix::zeros(2, 1)).unwrap();
    }
    let params = "{ path: '${data}', id_column: id, id_part: file-stem }";
    let (found, values) = imported(folder.path(), IMAGE, &[], params).unwrap();
    assert_eq!(found, ["7", "8", "9", "10", "11", "12"]);
    assert_eq!(values, [0.0, 0.5, 9.0, 0.5, 10.0, 0.5]);
    let error = imported(folder.path(), IMAGE, &[], "{ path: '${data}' }").unwrap_err();
    assert!(error.ends_with("has no column `image_path`, but `id`, `vector`"), "{error}");
    std::fs::remove_file(folder.path().join("img_emb/img_emb_9.npy")).unwrap();
    let error = importing(folder.path(), IMAGE, &[], params).stage("import").sources().unwrap_err();
    assert!(error.to_string().ends_with("has 2 files of vectors and 3 of metadata, whose numbers differ"), "{error}");
}

#[test]
fn a_row_that_cannot_be_used_is_named_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |names: Vec<Option<String>>, values: &[f32]| {
        let vectors = Matrix::new(names.len(), 2, values.to_vec());
        pipeline_data::write_list_vectors(&folder.path().join("x.parquet"), &names, &vectors).unwrap();
        let error = imported(folder.path(), IMAGE, &[], "{ path: '${data}/x.parquet' }").unwrap_err();
        error.strip_prefix("the vectors cannot be imported: ").unwrap().to_owned()
    };
    assert_eq!(
        refused(ids(["1", "2"]), &[0.0, 1.0, 2.0, f32::NAN]),
        "row 2 of `x.parquet` has a number that is no finite `f32`: NaN"
    );
    assert_eq!(refused(ids(["1", "1"]), &[0.0; 4]), "row 2 of `x.parquet` has the id `1` of row 1 of `x.parquet`");
    assert_eq!(refused(vec![Some("1".into()), None], &[0.0; 4]), "row 2 of `x.parquet` has no id");
    std::fs::write(folder.path().join("x.parquet"), "no table").unwrap();
    let error = imported(folder.path(), IMAGE, &[], "{ path: '${data}/x.parquet' }").unwrap_err();
    assert!(error.contains("`x.parquet` is not readable Parquet"), "{error}");
}

#[test]
fn npy_files_share_one_list_of_ids() {
    let folder = tempfile::tempdir().unwrap();
    let params = "{ path: '${data}/vectors', ids: '${data}/ids.txt' }";
    std::fs::create_dir(folder.path().join("vectors")).unwrap();
    for (name, value) in [("part-2", 2.0), ("part-10", 10.0)] {
        pipeline_data::write_npy(
            &folder.path().join(format!("vectors/{name}.npy")),
            &Matrix::new(2, 1, vec![value, 0.5]),
        )
        .unwrap();
    }
    std::fs::write(folder.path().join("ids.txt"), "a\nb\nc\nd\n").unwrap();
    let (found, values) = imported(folder.path(), IMAGE, &[], params).unwrap();
    assert_eq!((found.join(""), values), ("abcd".to_owned(), vec![2.0, 0.5, 10.0, 0.5]));
    for text in ["a\nb\nc\n", "a\nb\nc\nd\ne\n"] {
        std::fs::write(folder.path().join("ids.txt"), text).unwrap();
        let error = imported(folder.path(), IMAGE, &[], params).unwrap_err();
        assert_eq!(error, format!("`ids.txt` has {} ids, and there are 4 vectors", text.lines().count()));
    }
}

/// Shards are shared by their rows: an import of the same vectors from another format computes none.
#[test]
fn rows_and_not_files_make_the_shards() {
    let folder = tempfile::tempdir().unwrap();
    let vectors = Matrix::new(2, 2, vec![1.0, 0.1, 2.0, 0.2]);
    pipeline_data::write_npy(&folder.path().join("x.npy"), &vectors).unwrap();
    std::fs::write(folder.path().join("ids.txt"), "1\n2\n").unwrap();
    pipeline_data::write_list_vectors(&folder.path().join("x.parquet"), &ids(["1", "2"]), &vectors).unwrap();
    let run = |params: &str| importing(folder.path(), IMAGE, &[], params).run_all();
    let (npy, table) = (run("{ path: '${data}/x.npy', ids: '${data}/ids.txt' }"), run("{ path: '${data}/x.parquet' }"));
    assert_eq!(npy.shards.last().unwrap().key, table.shards.last().unwrap().key);
    assert_eq!(npy.artifact("import").tree, table.artifact("import").tree);
}

#[test]
fn params_that_do_not_go_together_are_errors_of_the_spec() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |params: &str| {
        let yaml = spec(folder.path(), IMAGE, &[], params);
        let spec = pipeline_spec::parse(&yaml, &crate::bench::spec_file()).unwrap();
        pipeline_stages::build(&spec, &pipeline_stages::Settings::default()).err().unwrap().to_string()
    };
    assert_eq!(refused("{ path: x.npy }"), "a `.npy` file has no ids of its own");
    assert_eq!(refused("{ path: x.jsonl, ids: ids.txt }"), "`ids` is for `.npy` files; these have ids of their own");
    assert_eq!(refused("{ path: x.bin }"), "the name of `x.bin` does not show its format");
}

/// The refusal of an import from the stage `own`, which declares these outputs, with its advice.
fn refused_from(outputs: &str, params: &str) -> (String, String) {
    let yaml = format!(
        "
stages:
  own: {{ kind: command, params: {{ run: [x], outputs: {outputs} }} }}
  import: {{ kind: {IMAGE}, inputs: {{ from: own }}, params: {params} }}
"
    );
    let spec = pipeline_spec::parse(&yaml, &crate::bench::spec_file()).unwrap();
    let error = pipeline_stages::build(&spec, &pipeline_stages::Settings::default()).err().unwrap();
    (error.to_string(), error.help.unwrap_or_default())
}

#[test]
fn an_import_from_a_program_names_its_outputs() {
    for (outputs, params, message, help) in [
        (
            "[a.npy, b.txt]",
            "{}",
            "stage `import` does not name the output of `own` with the vectors",
            "name it as `path`, or declare one of `vectors.npy`, `vectors.jsonl`, `vectors.parquet`; `own` declares \
             `a.npy`, `b.txt`",
        ),
        (
            "[vectors.npy, vectors.jsonl]",
            "{}",
            "stage `import` does not name the output of `own` with the vectors",
            "`own` declares `vectors.npy`, `vectors.jsonl`",
        ),
        (
            "[image.jsonl]",
            "{ path: images.jsonl }",
            "stage `own` does not declare the output `images.jsonl`",
            "did you mean `image.jsonl`? `own` declares `image.jsonl`",
        ),
        (
            "[vectors.jsonl]",
            "{ path: /data/vectors.jsonl }",
            "with the input `from`, `path` names an output of `own`, and not `/data/vectors.jsonl`",
            "without `from`, `path` is a path relative to the spec file",
        ),
        (
            "[vectors.npy]",
            "{ ids: ../ids.txt }",
            "with the input `from`, `ids` names an output of `own`, and not `../ids.txt`",
            "without `from`, `ids` is a path relative to the spec file",
        ),
        ("[vectors.npy]", "{}", "a `.npy` file has no ids of its own", "as `ids`"),
        ("[out]", "{ path: out }", "the name of `out` does not show its format", "say it with `format: npy`"),
    ] {
        let (found, advice) = refused_from(outputs, params);
        assert_eq!(found, message, "{outputs} {params}");
        assert!(advice.contains(help), "{outputs} {params}: {advice}");
    }
}

#[test]
fn an_import_has_a_path_or_an_input() {
    let yaml = format!("stages: {{ import: {{ kind: {IMAGE} }} }}");
    let spec = pipeline_spec::parse(&yaml, &crate::bench::spec_file()).unwrap();
    let error = pipeline_stages::build(&spec, &pipeline_stages::Settings::default()).err().unwrap();
    assert_eq!(error.to_string(), "stage `import` has neither the param `path` nor the input `from`");
    assert!(error.help.unwrap().contains("`inputs: { from: STAGE }`"));
}

#[test]
fn the_names_in_the_input_are_part_of_the_manifest() {
    let lines = |outputs: &str, params: &str| {
        let bench = Bench::new(&format!(
            "
stages:
  own: {{ kind: command, params: {{ run: [x], outputs: {outputs} }} }}
  import: {{ kind: {IMAGE}, inputs: {{ from: own }}, params: {params} }}
"
        ));
        let stage = bench.stage("import");
        assert!(stage.sources().unwrap().is_empty() && stage.reads().is_empty());
        let lines = stage.params().into_iter().map(|(name, json)| format!("{name}={json}"));
        lines.collect::<Vec<_>>().join("; ")
    };
    let columns = "id_column=\"id\"; id_part=\"whole\"";
    assert_eq!(
        lines("[vectors.npy, ids.txt]", "{}"),
        format!("format=\"npy\"; {columns}; ids=\"ids.txt\"; path=\"vectors.npy\"; vector_column=\"vector\"")
    );
    assert_eq!(
        lines("[out]", "{ path: out/x.parquet }"),
        format!("format=\"parquet\"; {columns}; path=\"out/x.parquet\"; vector_column=\"vector\"")
    );
}
