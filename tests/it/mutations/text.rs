//! The text of the spec: its meaning counts, not its form.

use super::{Row, check};

#[test]
fn how_a_spec_is_written() {
    check(&[
        Row::new("comments and empty lines", "").shell("sed -i -e 's/$/  # why/' -e 's/$/\\n/' spec.yaml"),
        Row::new("line ends of Windows", "").shell("sed -i 's/$/\\r/' spec.yaml"),
        Row::new("stages in another order", "")
            .shell("sed -n '1,3p' spec.yaml > new; sed -n '12,$p' spec.yaml >> new; sed -n '4,11p' spec.yaml >> new; mv new spec.yaml"),
        Row::new("params in another order", "").shell(
            "sed -i 's/path: \\(.*tsv\"\\), max_samples: 40/max_samples: 40, path: \\1/' spec.yaml; \
             grep -q 'max_samples: 40, path' spec.yaml",
        ),
        Row::new("quotes", "").shell("sed -i -e 's/kind: \\([a-z-]*\\)/\"kind\": \"\\1\"/' -e \"s/max_samples/'max_samples'/\" spec.yaml"),
        Row::new("block style", "").shell("sed -i 's/params: { projection_dim: 64 }/params:\\n      projection_dim: 64/' spec.yaml"),
        Row::new("an anchor", "").shell("sed -i -e 's/projection_dim: 64/projection_dim: \\&width 64/' spec.yaml"),
        Row::new("vars are spelled out", "").shell("sed -i -e 's/${data}/data/' -e 's/${models}/models/' -e 2d spec.yaml"),
        Row::new("vars have other names", "").shell("sed -i -e 's/data: data/rows: data/' -e 's/${data}/${rows}/' spec.yaml"),
        Row::new("paths are absolute", "").shell("sed -i \"s|data: data|data: $PWD/data|\" spec.yaml"),
        Row::new("defaults are written out", "").shell(
            "sed -i 's/projection_dim: 64/projection_dim: 64, fusion: projection, normalize: true, temperature: 0.07, \
             lr: 0.001, weight_decay: 0.0001, epochs: 2, batch_size: 16, shuffle: false, seed: 0/' spec.yaml",
        ),
        Row::new("a param changes in the file", "projection evaluate count")
            .shell("sed -i 's/projection_dim: 64/projection_dim: 64, lr: 0.01/' spec.yaml"),
        Row::new("what a check allows", "").shell("echo 'check: { mean_recall: { max_drop: 0.1 } }' >> spec.yaml"),
    ]);
}

#[test]
fn names_and_places_of_a_spec() {
    check(&[
        Row::new("the name of the pipeline", "").shell("sed -i 's/name: notebook/name: idea/' spec.yaml"),
        Row::new("the name of a stage", "").shell("sed -i 's/train-text/train-words/' spec.yaml"),
        Row::new("the names of all stages", "").shell(
            "sed -i -E 's/\\b(train|valid)-(queries|images|text|features)\\b/\\1_\\2/g' spec.yaml; grep -q \
            'train_queries:' spec.yaml",
        ),
        Row::new("the name of a slot, which a program sees", "count")
            .shell("sed -i -e 's/inputs: { evaluation: /inputs: { scores: /' -e 's/INPUT_EVALUATION/INPUT_SCORES/' spec.yaml"),
        Row::new("the spec gets another name", "").shell("mv spec.yaml idea.yaml").args(&["idea.yaml"]),
        Row::new("the spec gets another folder", "")
            .shell("mkdir specs && sed -e 's|data: data|data: ../data|' -e 's|models: models|models: ../models|' -e 's|sources: \\[|&../|' \
                    -e 's|: weights/|: ../weights/|' -e 's|: out/|: ../out/|' -e \
            's|\"$SPEC_DIR\"/notes|\"$SPEC_DIR\"/../notes|' spec.yaml > specs/spec.yaml")
            .args(&["specs/spec.yaml", "--set", "note.params.run=[sh, -c, 'cat \"$INPUT_COUNT/count.txt\" \"$SPEC_DIR\"/notes/* > note.txt; echo \"$MODE $REVIEWER\" >> note.txt']"]),
        Row::new("a spec that extends this one and changes nothing", "").shell("echo 'extends: spec.yaml' > idea.yaml").args(&["idea.yaml"]),
        Row::new("a spec that extends this one and says the same", "")
            .shell("printf 'extends: spec.yaml\\nstages: { projection: { params: { projection_dim: 64 } } }\\n' > idea.yaml")
            .args(&["idea.yaml"]),
        Row::new("a spec that extends this one and changes a param", "projection evaluate count")
            .shell("printf 'extends: spec.yaml\\nstages: { projection: { params: { seed: 5 } } }\\n' > idea.yaml")
            .args(&["idea.yaml"]),
        Row::new("a var is set to what it was", "").args(&["spec.yaml", "--set", "vars.data=data"]),
    ]);
}

#[test]
fn stages_and_their_connections() {
    check(&[
        Row::new("a stage more", "hello")
            .shell("printf '  hello: { kind: command, params: { run: [touch, out], outputs: [out] } }\\n' >> spec.yaml"),
        Row::new("the same stage twice", "").shell(
            "printf '  again: { kind: extract-text, inputs: { queries: valid-queries }, params: { model: \
            \"${models}/bert\" } }\\n' >> spec.yaml",
        ),
        Row::new("a stage less", "").shell("sed -i '/^  note:/,$d' spec.yaml"),
        Row::new("a stage reads another", "evaluate count").shell(
            "sed -i 's/queries: valid-queries, text: valid-text, images: valid-features/queries: train-queries, text: \
            train-text, images: train-features/' spec.yaml",
        ),
        Row::new("an equal stage in between", "")
            .shell("printf '  again: { kind: load-queries, params: { path: \"${data}/MR_train_queries.jsonl\" } }\\n' >> spec.yaml; \
                    sed -i 's/inputs: { queries: train-queries }/inputs: { queries: again }/' spec.yaml"),
    ]);
}

#[test]
fn what_becomes_of_artifacts() {
    check(&[
        Row::new("a published file is gone", "").shell("rm weights/projection.pth"),
        // The program wrote it in another folder, and does not know this copy.
        Row::new("a published file is altered", "").shell("echo mine > out/note.txt").options(&["--overwrite"]),
        Row::new("a file is published elsewhere", "").shell("sed -i 's|out/note.txt|results/note.txt|' spec.yaml"),
        Row::new("one more file is published", "")
            .shell("sed -i 's|projection.pth: |history.csv: history.csv, &|' spec.yaml"),
        Row::new("a file is published no more", "").shell("sed -i '/publish: { note.txt/d' spec.yaml"),
        Row::new("bytes are to be retained", "").shell("sed -i 's/, retain: false//' spec.yaml"),
        Row::new("bytes are to be dropped", "").shell("sed -i 's/^  projection:/&\\n    retain: false/' spec.yaml"),
    ]);
}
