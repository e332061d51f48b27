//! Objects and records come out as they went in.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use pipeline_core::{Digest, Key};
use pipeline_store::{Last, Store};

use crate::fixture::{Fixture, flip_bit, last_of, put, record};

#[test]
fn opening_a_store_writes_nothing() {
    let fixture = Fixture::new();
    assert_eq!(fixture.store.records().get(&Key(Digest::of(b""))).unwrap(), None);
    assert_eq!(fixture.store.runs().list().unwrap(), []);
    assert!(!fixture.store.artifacts().exists());
}

#[test]
fn what_was_committed_is_found_by_another_process() {
    let fixture = Fixture::new();
    let tree = put(&fixture.store, &[("a.txt", b"alpha"), ("inner/b.txt", b"beta"), ("empty", b"")]);
    assert_eq!(tree.files["inner/b.txt"].digest, Digest::of(b"beta"));
    assert_eq!(tree.files["a.txt"].bytes, 5);
    let record = record("train", 0, &tree);
    fixture.store.records().put(&record).unwrap();

    let other = fixture.another_handle();
    assert_eq!(other.records().get(&record.key).unwrap(), Some(record));
    assert!(other.cas().has_bytes(&tree));
    let mode = fs::metadata(fixture.object(&tree.files["a.txt"])).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o444);
}

#[test]
fn identical_content_is_stored_once() {
    let fixture = Fixture::new();
    put(&fixture.store, &[("a", b"same"), ("b", b"same")]);
    let tree = put(&fixture.another_handle(), &[("c", b"same")]);
    assert_eq!(fixture.store.stats().unwrap().n_objects, 1);
    assert!(fixture.store.cas().has_bytes(&tree));
}

#[test]
fn a_later_record_of_a_key_replaces_the_earlier() {
    let fixture = Fixture::new();
    let first = record("train", 0, &put(&fixture.store, &[("a", b"1")]));
    let second = record("train", 0, &put(&fixture.store, &[("a", b"2")]));
    fixture.store.records().put(&first).unwrap();
    fixture.store.records().put(&second).unwrap();
    assert_eq!(fixture.store.records().get(&first.key).unwrap(), Some(second));
}

#[test]
fn a_file_with_a_second_name_is_copied_and_the_other_name_left_alone() {
    let fixture = Fixture::new();
    let outside = fixture.folder.path().join("mine");
    fs::write(&outside, "mine").unwrap();
    let scratch = fixture.store.workspace().scratch().unwrap();
    fs::hard_link(&outside, scratch.folder().join("linked")).unwrap();
    let tree = fixture.store.cas().put_folder(scratch.folder()).unwrap();

    fs::write(&outside, "edited in place").unwrap();
    let open = fixture.store.cas().open(&tree).unwrap();
    assert_eq!(fs::read_to_string(open.folder().join("linked")).unwrap(), "mine");
}

#[test]
fn an_object_cut_short_is_replaced_by_the_next_commit() {
    let fixture = Fixture::new();
    let tree = put(&fixture.store, &[("a", b"whole")]);
    let object = fixture.object(&tree.files["a"]);
    fs::remove_file(&object).unwrap();
    fs::write(&object, "who").unwrap();
    assert!(!fixture.store.cas().has_bytes(&tree));

    put(&fixture.store, &[("a", b"whole")]);
    assert!(fixture.store.cas().has_bytes(&tree));
    assert_eq!(fixture.quarantined(), 1);
}

#[test]
fn a_damaged_record_counts_as_none_and_is_quarantined() {
    let fixture = Fixture::new();
    let record = record("train", 0, &put(&fixture.store, &[("a", b"1")]));
    let hex = record.key.0.hex();
    let path = fixture.in_store(&format!("actions/{}/{}.json", &hex[..2], &hex[2..]));
    for bit_idx in (0..8 * 400).step_by(101) {
        fixture.store.records().put(&record).unwrap();
        flip_bit(&path, bit_idx);
        assert_eq!(fixture.store.records().get(&record.key).unwrap(), None, "bit {bit_idx}");
        assert!(!path.exists());
    }
    // A whole record under the key of another is no better.
    fixture.store.records().put(&record).unwrap();
    let other = Key(Digest::of(b"other"));
    let hex = other.0.hex();
    let other_path = fixture.in_store(&format!("actions/{}/{}.json", &hex[..2], &hex[2..]));
    fs::create_dir_all(other_path.parent().unwrap()).unwrap();
    fs::copy(&path, other_path).unwrap();
    assert_eq!(fixture.store.records().get(&other).unwrap(), None);
}

#[test]
fn a_metric_that_is_not_a_number_is_refused() {
    let fixture = Fixture::new();
    let mut record = record("train", 0, &put(&fixture.store, &[("a", b"1")]));
    record.report.metrics.insert("loss".into(), f64::NAN);
    let error = fixture.store.records().put(&record).unwrap_err();
    assert_eq!(error.to_string(), "the metric `loss` of `train` is not a finite number");
}

#[test]
fn what_a_spec_had_last_is_remembered_by_its_path() {
    let fixture = Fixture::new();
    let spec = fixture.folder.path().join("a.yaml");
    assert_eq!(fixture.store.specs().last(&spec), None);
    let record = record("train", 0, &put(&fixture.store, &[("a", b"1")]));
    let last = last_of(&spec, &[&record]);
    fixture.store.specs().put_last(&spec, &last).unwrap();
    // It also says where the spec lies beside the store.
    let last = Last { beside: Some("a.yaml".into()), ..last };
    assert_eq!(fixture.another_handle().specs().last(&spec), Some(last));
    assert_eq!(fixture.store.specs().last(&fixture.folder.path().join("b.yaml")), None);

    let file = fs::read_dir(fixture.store.artifacts().join("last")).unwrap().next().unwrap().unwrap().path();
    flip_bit(&file, 1000);
    assert_eq!(fixture.store.specs().last(&spec), None);
}

#[test]
fn scratch_is_empty_and_goes_away() {
    let fixture = Fixture::new();
    let scratch = fixture.store.workspace().scratch().unwrap();
    let folder = scratch.folder().to_owned();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    fs::write(folder.join("half"), "x").unwrap();
    drop(scratch);
    assert!(!folder.exists());
}

#[test]
fn a_file_in_the_place_of_the_store_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = folder.path().join("artifacts");
    fs::write(&artifacts, "").unwrap();
    let error = Store::open(&artifacts).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot open `{}`", artifacts.display()));
    assert!(error.help().unwrap().contains("is a file: move it away"), "{:?}", error.help());
}
