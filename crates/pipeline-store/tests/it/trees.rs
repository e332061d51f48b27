//! Reading artifacts: verified, kept while read, dropped on demand, published.

use std::fs;
use std::os::unix::fs::MetadataExt;

use pipeline_store::{OpenTreeError, StoreError};

use crate::fixture::{Fixture, flip_bit, nothing_kept, put};

#[test]
fn an_open_tree_holds_exactly_its_files_as_links_to_the_objects() {
    let fixture = Fixture::new();
    let tree = put(&fixture.store, &[("a", b"alpha"), ("inner/b", b"beta")]);
    let open = fixture.store.cas().open(&tree).unwrap();
    assert_eq!(open.tree(), &tree);
    assert_eq!(open.artifact().folder().unwrap(), open.folder());
    assert_eq!(fs::read(open.folder().join("inner/b")).unwrap(), b"beta");
    let linked = fs::metadata(open.folder().join("a")).unwrap();
    assert_eq!(linked.ino(), fs::metadata(fixture.object(&tree.files["a"])).unwrap().ino());

    fs::write(open.folder().join("stranger"), "left by a stage").unwrap();
    fs::create_dir(open.folder().join("inner/stranger")).unwrap();
    std::os::unix::fs::symlink("nowhere", open.folder().join("strange link")).unwrap();
    fs::remove_file(open.folder().join("a")).unwrap();
    let again = fixture.another_handle().cas().open(&tree).unwrap();
    assert_eq!(fs::read_dir(again.folder()).unwrap().count(), 2);
    assert_eq!(fs::read_dir(again.folder().join("inner")).unwrap().count(), 1);
    assert_eq!(fs::read(again.folder().join("a")).unwrap(), b"alpha");
}

#[test]
fn a_flipped_bit_anywhere_in_any_file_is_found_quarantined_and_healed_by_a_commit() {
    let fixture = Fixture::new();
    let large = vec![7; 700_000];
    let files: [(&str, &[u8]); 3] = [("large", &large), ("small", b"0123456789"), ("one", b"x")];
    let tree = put(&fixture.store, &files);
    let mut n_flips = 0;
    for (name, entry) in &tree.files {
        for position in 0..20 {
            drop(fixture.store.cas().open(&tree).unwrap());
            flip_bit(&fixture.object(entry), (entry.bytes * 8 - 1) * position / 19);
            n_flips += 1;
            let error = fixture.store.cas().open(&tree).unwrap_err();
            assert!(
                matches!(&error, OpenTreeError::Corrupt { files } if files == std::slice::from_ref(name)),
                "{error}"
            );
            assert_eq!(fixture.quarantined(), n_flips);
            let error = fixture.store.cas().open(&tree).unwrap_err();
            assert!(
                matches!(&error, OpenTreeError::Missing { files } if files == std::slice::from_ref(name)),
                "{error}"
            );
            put(&fixture.store, &files);
        }
    }
}

#[test]
fn a_tree_opens_again_after_a_damaged_file_was_recomputed_for_another_tree() {
    let fixture = Fixture::new();
    let first = put(&fixture.store, &[("shared", b"shared"), ("a", b"a")]);
    let second = put(&fixture.store, &[("shared", b"shared"), ("b", b"b")]);
    drop((fixture.store.cas().open(&first).unwrap(), fixture.store.cas().open(&second).unwrap()));
    // The folders of both trees lead to the damaged file.
    flip_bit(&fixture.object(&first.files["shared"]), 3);
    assert!(matches!(fixture.store.cas().open(&first), Err(OpenTreeError::Corrupt { .. })));
    put(&fixture.store, &[("shared", b"shared")]);

    let open = fixture.store.cas().open(&second).unwrap();
    assert_eq!(fs::read(open.folder().join("shared")).unwrap(), b"shared");
}

#[test]
fn something_put_in_the_place_of_a_link_is_replaced() {
    let fixture = Fixture::new();
    let tree = put(&fixture.store, &[("a", b"alpha")]);
    let link = fixture.store.cas().open(&tree).unwrap().folder().join("a");
    let elsewhere = fixture.folder.path().join("elsewhere");
    fs::write(&elsewhere, "alpha").unwrap();
    let replacements: [&dyn Fn(); 3] =
        [&|| fs::write(&link, "other").unwrap(), &|| fs::create_dir(&link).unwrap(), &|| {
            std::os::unix::fs::symlink(&elsewhere, &link).unwrap()
        }];
    for replace in replacements {
        fs::remove_file(&link).unwrap();
        replace();
        fixture.store.cas().open(&tree).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
        assert_eq!(fs::read(&link).unwrap(), b"alpha");
    }
    assert_eq!(fixture.quarantined(), 0);
}

#[test]
fn missing_objects_are_named() {
    let fixture = Fixture::new();
    let tree = put(&fixture.store, &[("a", b"1"), ("b", b"2"), ("c", b"3")]);
    for name in ["a", "c"] {
        fs::remove_file(fixture.object(&tree.files[name])).unwrap();
    }
    let error = fixture.store.cas().open(&tree).unwrap_err();
    assert_eq!(error.to_string(), "2 of the artifact's files are not in the store: `a`, `c`");
}

#[test]
fn a_name_that_leads_out_of_the_folder_is_refused() {
    let fixture = Fixture::new();
    for name in ["../out", "/etc/out", "a/../../out", ""] {
        let mut tree = put(&fixture.store, &[("a", b"1")]);
        let entry = tree.files["a"];
        tree.files.insert(name.into(), entry);
        let error = fixture.store.cas().open(&tree).unwrap_err();
        assert!(matches!(error, OpenTreeError::Store(StoreError::Name { .. })), "{name}: {error}");
    }
}

#[test]
fn a_dropped_tree_frees_its_bytes_but_not_those_that_are_kept_or_in_another_tree() {
    let fixture = Fixture::new();
    let tree = put(&fixture.store, &[("a", b"1"), ("kept", b"22"), ("shared", b"333"), ("twice", b"1")]);
    let other = put(&fixture.store, &[("shared", b"333")]);
    let open_other = fixture.store.cas().open(&other).unwrap();
    let kept = tree.files["kept"].digest;

    assert_eq!(fixture.store.cas().drop_tree(&tree, &|digest| *digest == kept).unwrap(), 1);
    assert!(!fixture.object(&tree.files["a"]).exists());
    assert!(fixture.object(&tree.files["kept"]).exists());
    assert_eq!(fs::read(open_other.folder().join("shared")).unwrap(), b"333");
    assert!(fixture.store.cas().has_bytes(&other));
    assert_eq!(fixture.store.cas().drop_tree(&tree, &nothing_kept).unwrap(), 2);
}

#[test]
fn a_tree_that_somebody_reads_is_not_dropped() {
    let fixture = Fixture::new();
    let tree = put(&fixture.store, &[("a", b"1")]);
    let first = fixture.store.cas().open(&tree).unwrap();
    let second = fixture.another_handle().cas().open(&tree).unwrap();
    assert_eq!(fixture.store.cas().drop_tree(&tree, &nothing_kept).unwrap(), 0);
    drop(first);
    assert_eq!(fixture.store.cas().drop_tree(&tree, &nothing_kept).unwrap(), 0);
    assert_eq!(fs::read(second.folder().join("a")).unwrap(), b"1");
    let folder = second.folder().to_owned();
    drop(second);
    assert!(folder.exists(), "the folder stays for people until it is dropped");
    assert_eq!(fixture.store.cas().drop_tree(&tree, &nothing_kept).unwrap(), 1);
    assert!(!folder.exists());
}

#[test]
fn a_published_file_is_whole_restored_and_recognised() {
    let fixture = Fixture::new();
    let entry = put(&fixture.store, &[("weights", b"weights")]).files["weights"];
    let target = fixture.folder.path().join("out/deep/weights.pth");
    assert!(!fixture.store.outside().matches(&entry, &target));
    fixture.store.outside().copy_out(&entry, &target).unwrap();
    assert!(fixture.store.outside().matches(&entry, &target));

    fs::write(&target, "WEIGHTS").unwrap();
    assert!(!fixture.store.outside().matches(&entry, &target));
    fixture.store.outside().copy_out(&entry, &target).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"weights");
    assert!(!fs::metadata(&target).unwrap().permissions().readonly());
    assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1);
    assert!(!fixture.store.outside().matches(&entry, target.parent().unwrap()));
}

#[test]
fn a_damaged_object_is_never_published() {
    let fixture = Fixture::new();
    let entry = put(&fixture.store, &[("weights", b"weights")]).files["weights"];
    let target = fixture.folder.path().join("weights.pth");
    fs::write(&target, "old").unwrap();
    flip_bit(&fixture.object(&entry), 9);
    assert!(matches!(fixture.store.outside().copy_out(&entry, &target), Err(OpenTreeError::Corrupt { .. })));
    assert!(matches!(fixture.store.outside().copy_out(&entry, &target), Err(OpenTreeError::Missing { .. })));
    assert_eq!(fs::read(&target).unwrap(), b"old");
    assert_eq!(fixture.quarantined(), 1);
}

#[test]
fn a_file_is_published_to_another_file_system() {
    let fixture = Fixture::new();
    let entry = put(&fixture.store, &[("weights", b"weights")]).files["weights"];
    // On Linux a memory file system; where it is not a separate one, the path is an ordinary one.
    let elsewhere = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    fixture.store.outside().copy_out(&entry, &elsewhere.path().join("weights.pth")).unwrap();
    assert_eq!(fs::read(elsewhere.path().join("weights.pth")).unwrap(), b"weights");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_of_links_says_that_it_goes_with_its_value() {
    let fixture = Fixture::new();
    let tree = put(&fixture.store, &[("a", b"1")]);
    let outside = fixture.store.cas().open_outside(&tree).unwrap();
    outside.verify_all().unwrap();
    assert!(outside.is_outside() && !fixture.store.cas().open(&tree).unwrap().is_outside());
    let folder = outside.folder().to_owned();
    std::mem::forget(outside);
    assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "1", "`path` leaves it to the user");
    fs::remove_dir_all(folder).unwrap();
}
