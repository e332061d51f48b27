//! Verifying every byte, and the statistics.

use pipeline_core::StageId;

use crate::fixture::{Fixture, flip_bit, last_of, nothing_kept, put, record};

#[test]
fn damage_is_reported_with_its_stage_and_repaired_on_demand() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let tree = put(store, &[("a", b"alpha"), ("b", b"beta")]);
    let (intact, damaged) = (record("train", 0, &tree), record("train", 1, &tree));
    store.records().put(&intact).unwrap();
    store.records().put(&damaged).unwrap();
    assert!(store.verify().unwrap().is_clean());

    flip_bit(&fixture.object(&tree.files["a"]), 2);
    let hex = damaged.key.0.hex();
    flip_bit(&fixture.in_store(&format!("actions/{}/{}.json", &hex[..2], &hex[2..])), 700);
    for repair in [false, true] {
        let report = if repair { store.repair().unwrap() } else { store.verify().unwrap() };
        assert_eq!((report.n_objects, report.bytes, report.n_records), (2, 9, 2));
        assert_eq!((report.damaged_objects.len(), report.damaged_records.len()), (1, 1));
        assert_eq!(report.damaged_objects[0].stage.as_ref().map(StageId::as_str), Some("train"));
        assert_eq!(report.damaged_objects[0].path, fixture.object(&tree.files["a"]));
    }
    let report = store.verify().unwrap();
    assert!(report.is_clean());
    assert_eq!((report.n_objects, report.n_without_bytes), (1, 1));
    assert_eq!(fixture.quarantined(), 2);
}

#[test]
fn the_figures_add_up() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let kept = record("train", 0, &put(store, &[("a", b"12345")]));
    let old = record("train", 1, &put(store, &[("a", b"123")]));
    let dropped = record("decode", 0, &put(store, &[("pixels", b"1234567890")]));
    for record in [&kept, &old, &dropped] {
        store.records().put(record).unwrap();
    }
    put(store, &[("orphan", b"x")]);
    let spec = fixture.folder.path().join("a.yaml");
    store.specs().put_last(&spec, &last_of(&spec, &[&kept, &dropped])).unwrap();
    store.cas().drop_tree(&dropped.tree, &nothing_kept).unwrap();

    let stats = store.stats().unwrap();
    assert_eq!((stats.n_objects, stats.bytes, stats.rooted_bytes, stats.n_records), (3, 9, 5, 3));
    assert_eq!(stats.bytes_by_stage.iter().map(|(s, b)| (s.as_str(), *b)).collect::<Vec<_>>(), [("", 1), ("train", 8)]);
}
