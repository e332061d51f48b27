//! Data and models: the content of the files counts, and nothing else.

use super::{Row, check};

/// Changes a byte of a model's weights that is almost the whole of a number.
const OTHER_WEIGHTS: &str = "printf '\\076' | dd conv=notrunc of=models/bert/model.safetensors bs=1 seek=300003";

#[test]
fn rows_of_images() {
    check(&[
        Row::new("a row after the first max_samples", "train-images")
            .shell("head -n 1 data/MR_train_imgs.tsv | sed 's/^[0-9]*/77/' >> data/MR_train_imgs.tsv"),
        Row::new("a row that no query names", "train-images train-features projection")
            .shell("head -n 1 data/MR_valid_imgs.tsv | sed 's/^[0-9]*/77/' > first && sed -i -e '1r first' data/MR_train_imgs.tsv")
            .args(&["spec.yaml", "--set", "train-images.params.max_samples=41"]),
        Row::new("a row is appended", "valid-images valid-features evaluate count")
            .shell("head -n 1 data/MR_train_imgs.tsv >> data/MR_valid_imgs.tsv"),
        Row::new("a row is deleted", "valid-images valid-features evaluate count").shell("sed -i 1d data/MR_valid_imgs.tsv"),
        Row::new("a row has another image", "valid-images valid-features evaluate count").shell(
            "head -n 1 data/MR_train_imgs.tsv | cut -f 2 > image; id=$(head -n 1 data/MR_valid_imgs.tsv | cut -f 1); \
             printf '%s\\t%s\\n' $id $(cat image) > first; sed -i -e 1d data/MR_valid_imgs.tsv; \
             cat first data/MR_valid_imgs.tsv > new; mv new data/MR_valid_imgs.tsv",
        ),
        Row::new("a row has no image any more", "valid-images valid-features evaluate count")
            .shell("sed -i '1s/\\t.*/\\tbm90IGFuIGltYWdl/' data/MR_valid_imgs.tsv"),
        Row::new("two rows change places", "train-images train-features projection")
            .shell("sed -i -e '1{h;d};2{G}' data/MR_train_imgs.tsv"),
    ]);
}

#[test]
fn lines_of_queries() {
    check(&[
        Row::new("a query is appended", "train-queries train-text projection evaluate count")
            .shell("sed -n '4s/4,/900001,/p' data/MR_train_queries.jsonl >> data/MR_train_queries.jsonl"),
        Row::new("a query without images is appended", "train-queries train-text projection")
            .shell("sed -n '1s/1,/900001,/p' data/MR_train_queries.jsonl >> data/MR_train_queries.jsonl"),
        Row::new("a query has other words", "valid-queries valid-text evaluate count")
            .shell("sed -i '1s/\"query_text\": \"/&新 /' data/MR_valid_queries.jsonl"),
        Row::new("a query is deleted", "valid-queries valid-text evaluate count")
            .shell("sed -i 1d data/MR_valid_queries.jsonl"),
        Row::new("a query has other images", "valid-queries valid-text evaluate count")
            .shell("sed -i '1s/\"item_ids\": \\[/&1, /' data/MR_valid_queries.jsonl"),
        Row::new("keys of a line change places", "train-queries")
            .shell("sed -i '1s/{\\(\"query_id\": 1\\), \\(.*\\)}/{\\2, \\1}/' data/MR_train_queries.jsonl"),
        Row::new("blanks within a line", "train-queries").shell("sed -i 's/: /:  /' data/MR_train_queries.jsonl"),
        Row::new("line ends of Windows", "train-queries").shell("sed -i 's/$/\\r/' data/MR_train_queries.jsonl"),
    ]);
}

#[test]
fn files_of_models() {
    check(&[
        Row::new("weights", "train-text valid-text projection evaluate count").shell(OTHER_WEIGHTS),
        Row::new("weights that no vector is made of", "train-text valid-text projection evaluate")
            .shell("printf '\\001' | dd conv=notrunc of=models/bert/model.safetensors bs=1 seek=658000"),
        Row::new("a config's layout", "train-text valid-text projection evaluate")
            .shell("echo >> models/bert/config.json"),
        Row::new("a vocabulary", "train-text valid-text projection evaluate count")
            .shell("sed -i 's/^脸$/腔/' models/bert/vocab.txt"),
        Row::new("the config of a tokenizer is gone", "train-text valid-text projection evaluate count")
            .shell("rm models/bert/tokenizer_config.json"),
        Row::new("weights in the other format", "train-text valid-text projection evaluate")
            .shell("rm models/bert/model.safetensors"),
        Row::new("weights get another name", "")
            .shell("mv models/resnet/model.safetensors models/resnet/tiny.safetensors"),
        Row::new("a file that no stage reads", "").shell("echo hello > models/bert/README.md"),
        Row::new("the models get another folder", "").shell("mv models nets").args(&[
            "spec.yaml",
            "--set",
            "vars.models=nets",
        ]),
        Row::new("a model is a link", "").shell("mv models/bert tiny && ln -s ../tiny models/bert"),
    ]);
}

#[test]
fn files_of_programs() {
    check(&[
        Row::new("a source has other words", "note").shell("echo better > notes/first.txt"),
        Row::new("a source folder has one more file", "note").shell("echo more > notes/second.txt"),
        Row::new("a file of a source folder gets another name", "note").shell("mv notes/first.txt notes/1.txt"),
        Row::new("a source is written with the same words", "").shell("echo fine > notes/first.txt"),
    ]);
}

#[test]
fn times_and_places_of_files() {
    check(&[
        Row::new("touched", "").shell("touch data/* models/*/* notes/*"),
        Row::new("from the past", "").shell("touch -d 1999-12-31 data/* models/*/* notes/*"),
        Row::new("from the future", "").shell("touch -d 2099-12-31 data/* models/*/* notes/*"),
        Row::new("replaced by a copy", "").shell("cp -r data copy && rm -r data && mv copy data"),
        Row::new("the same length and the same time", "note")
            .shell("touch -r notes/first.txt time && echo good > notes/first.txt && touch -r time notes/first.txt"),
        Row::new("read-only", "").shell("chmod -R a-w data models notes"),
        Row::new("the data gets another folder", "").shell("mv data muge").args(&[
            "spec.yaml",
            "--set",
            "vars.data=muge",
        ]),
        Row::new("a file gets another name", "").shell("mv data/MR_train_imgs.tsv data/train.tsv").args(&[
            "spec.yaml",
            "--set",
            "train-images.params.path=data/train.tsv",
        ]),
    ]);
}
