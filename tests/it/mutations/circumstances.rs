//! Environment, machine, arguments and the store: circumstances, of which only declared variables count.

use super::{Row, check};

#[test]
fn variables() {
    check(&[
        Row::new("PATH", "").with(&[("PATH", "/usr/local/bin:/usr/bin:/bin:/nowhere")]),
        Row::new("HOME", "").with(&[("HOME", "/nowhere")]),
        Row::new("the language", "").with(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")]),
        Row::new("the time zone", "").with(&[("TZ", "Asia/Shanghai")]),
        Row::new("the user", "").with(&[("USER", "bob"), ("LOGNAME", "bob")]),
        Row::new("a variable that no stage declares", "").with(&[("UNDECLARED", "1"), ("PYTHONHASHSEED", "7")]),
        Row::new("folders of models that no stage needs", "")
            .with(&[("HF_HOME", "/nowhere"), ("TORCH_HOME", "/nowhere")]),
        Row::new("threads of other libraries", "").with(&[("OMP_NUM_THREADS", "1"), ("RAYON_NUM_THREADS", "1")]),
        Row::new("a declared variable that is inherited", "note").with(&[("REVIEWER", "bob")]),
        Row::new("a declared variable that is not set any more", "note").without(&["REVIEWER"]),
        Row::new("a declared variable whose value is fixed", "").with(&[("MODE", "slow")]),
        Row::new("HOME where it is declared", "note")
            .args(&["spec.yaml", "--set", "note.params.env.HOME=null"])
            .with(&[("HOME", "/nowhere")]),
    ]);
}

#[test]
fn arguments() {
    check(&[
        Row::new("one at once", "").options(&["--jobs", "1"]),
        Row::new("threads", "").options(&["--jobs", "3", "--threads", "3"]),
        Row::new("a device", "").options(&["--device", "cpu"]),
        Row::new("an executor", "").options(&["--executor", "local"]),
        Row::new("to keep going", "").options(&["--keep-going", "--verbose"]),
        Row::new("called elsewhere", "").within("data").args(&["../spec.yaml"]),
        Row::new("a stage is forced and gives the same", "train-queries").options(&["--force", "train-queries"]),
        Row::new("a stage is forced whose input was dropped", "valid-images valid-features")
            .options(&["--force", "valid-features"]),
    ]);
}

#[test]
fn the_store() {
    check(&[
        Row::new("another folder", "").shell("mv artifacts cache").args(&["spec.yaml", "--artifacts", "cache"]),
        Row::new("copied", "").shell("cp -r artifacts copy && rm -rf artifacts && mv copy artifacts"),
        Row::new("the history is gone", "").shell("rm -r artifacts/runs artifacts/last"),
        Row::new("the digests of sources are forgotten", "").shell("rm -r artifacts/store-v1/sources"),
        Row::new("bytes are lost that nobody needs", "").shell("rm -rf artifacts/store-v1/objects artifacts/store-v1/trees"),
        Row::new("bytes are lost that are to be published", "note")
            .shell("rm out/note.txt && cd artifacts/store-v1 && find objects trees -samefile $(grep -lr 'fast ann' objects) -delete"),
        Row::new(
            "bytes are lost that a changed stage needs",
            "train-queries valid-queries train-text valid-text train-images train-features valid-images valid-features \
             projection evaluate count",
        )
        .shell("rm -rf artifacts/store-v1/objects artifacts/store-v1/trees")
        .args(&["spec.yaml", "--set", "projection.params.seed=3"]),
        Row::new("an empty store", ALL).shell("rm -rf artifacts"),
    ]);
}

const ALL: &str = "train-queries valid-queries train-images valid-images train-text valid-text train-features \
                   valid-features projection evaluate count note";
