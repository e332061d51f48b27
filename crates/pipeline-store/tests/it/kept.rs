//! Artifacts come back as they were made: programs, empty folders, links, and read-only files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use pipeline_core::Part;
use pipeline_store::{CollectOptions, OpenTreeError, Store, StoreError};

use crate::fixture::{Fixture, flip_bit, put};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The tree of the files that `make` leaves, or the error.
fn keep(store: &Store, make: &dyn Fn(&Path)) -> Result<pipeline_core::Tree, StoreError> {
    let scratch = store.workspace().scratch().unwrap();
    make(scratch.folder());
    store.cas().put_folder(scratch.folder())
}

#[test]
fn a_program_is_a_program_wherever_it_is_laid_out_and_shares_its_bytes_with_what_is_none() {
    let fixture = Fixture::new();
    let plain = put(&fixture.store, &[("tool", b"#!/bin/sh\n")]);
    let tree = keep(&fixture.store, &|folder| {
        fs::write(folder.join("tool"), "#!/bin/sh\n").unwrap();
        set_mode(&folder.join("tool"), 0o755);
    })
    .unwrap();
    assert_eq!(fixture.store.stats().unwrap().n_objects, 1);
    assert_ne!(tree.digest(), plain.digest());
    assert_eq!(mode(&fixture.object(&tree.files["tool"])), 0o444);

    let tool = fixture.store.cas().open(&tree).unwrap().folder().join("tool");
    assert_eq!(mode(&tool), 0o555);
    assert_eq!(mode(&fixture.store.cas().open(&plain).unwrap().folder().join("tool")), 0o444);
    // The permission is taken away: it is a copy, which is laid out again.
    set_mode(&tool, 0o444);
    drop(fixture.another_handle().cas().open(&tree).unwrap());
    assert_eq!(mode(&tool), 0o555);
    set_mode(&tool, 0o755);
    fs::write(&tool, "something else").unwrap();
    drop(fixture.another_handle().cas().open(&tree).unwrap());
    assert_eq!((fs::read_to_string(&tool).unwrap().as_str(), fixture.quarantined()), ("#!/bin/sh\n", 0));

    let target = fixture.folder.path().join("bin/tool");
    fixture.store.outside().copy_out(&tree.files["tool"], &target).unwrap();
    assert_ne!(mode(&target) & 0o100, 0);
    assert!(fixture.store.outside().matches(&tree.files["tool"], &target));
    set_mode(&target, 0o644);
    assert!(!fixture.store.outside().matches(&tree.files["tool"], &target));

    flip_bit(&fixture.object(&tree.files["tool"]), 3);
    fs::remove_file(&tool).unwrap();
    assert!(matches!(fixture.store.cas().open(&tree), Err(OpenTreeError::Corrupt { .. })));
}

#[test]
fn empty_folders_and_links_inside_come_back() {
    let fixture = Fixture::new();
    let tree = keep(&fixture.store, &|folder| {
        fs::create_dir_all(folder.join("d/empty/inner")).unwrap();
        fs::write(folder.join("d/f.1"), "x").unwrap();
        symlink("f.1", folder.join("d/f")).unwrap();
        symlink("d/empty", folder.join("latest")).unwrap();
        // An absolute link into the folder of a program means the file beside it.
        symlink(folder.join("d/f.1"), folder.join("d/empty/inner/absolute")).unwrap();
        fs::create_dir(folder.join("nothing")).unwrap();
    })
    .unwrap();
    assert_eq!(tree.links["d/empty/inner/absolute"], "../../../d/f.1");
    assert_eq!(tree.folders.iter().collect::<Vec<_>>(), ["nothing"]);
    let open = fixture.store.cas().open(&tree).unwrap();
    for name in ["d/f", "latest/inner/absolute"] {
        assert_eq!(fs::read_to_string(open.folder().join(name)).unwrap(), "x", "{name}");
    }
    assert_eq!(fs::read_link(open.folder().join("d/f")).unwrap(), Path::new("f.1"));
    assert_eq!(fs::read_dir(open.folder().join("nothing")).unwrap().count(), 0);
    assert!(matches!(tree.part("d/f"), Some(Part::File(_))));

    // A link is redirected, another replaces a folder, and the empty folder gets a file.
    let (outside, inside) = (fixture.folder.path().join("outside"), open.folder().to_owned());
    fs::create_dir(&outside).unwrap();
    fs::remove_file(inside.join("d/f")).unwrap();
    symlink("/etc/hostname", inside.join("d/f")).unwrap();
    fs::write(inside.join("nothing/left"), "").unwrap();
    fs::remove_dir_all(inside.join("d/empty")).unwrap();
    symlink(&outside, inside.join("d/empty")).unwrap();
    let again = fixture.another_handle().cas().open(&tree).unwrap();
    assert_eq!(fs::read_to_string(again.folder().join("d/f")).unwrap(), "x");
    assert_eq!(fs::read_dir(again.folder().join("nothing")).unwrap().count(), 0);
    assert!(fs::symlink_metadata(again.folder().join("d/empty")).unwrap().is_dir());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    // A collection handles links.
    fixture.store.collect(&CollectOptions::default()).unwrap();
}

#[test]
fn what_cannot_be_kept_is_refused_by_name_and_target() {
    let fixture = Fixture::new();
    let outside = fixture.folder.path().join("outside");
    fs::write(&outside, "x").unwrap();
    let absolute = outside.display().to_string();
    for (target, name) in
        [(absolute.as_str(), "d/f"), ("../../../outside", "d/f"), ("../gone", "d/f"), ("f", "d/f"), ("/", "root")]
    {
        let error = keep(&fixture.store, &|folder| {
            fs::create_dir(folder.join("d")).unwrap();
            symlink(target, folder.join(name)).unwrap();
        });
        let expect = format!("the link `{name}` leads to `{target}`, which is no part of the artifact");
        assert_eq!(error.unwrap_err().to_string(), expect);
    }
    let error = keep(&fixture.store, &|folder| {
        drop(UnixListener::bind(folder.join("socket")).unwrap());
    });
    let expect = "`socket` is a socket, and an artifact holds files, folders and links";
    assert_eq!(error.unwrap_err().to_string(), expect);
    let scratch = fixture.store.workspace().scratch().unwrap();
    fs::create_dir(scratch.folder().join("folder")).unwrap();
    let error = fixture.store.cas().put_file(&scratch.folder().join("folder")).unwrap_err();
    assert!(error.to_string().ends_with("/folder` is neither a file nor a folder"), "{error}");
}

#[test]
fn folders_that_nobody_may_write_to_are_kept_and_go_away() {
    let fixture = Fixture::new();
    let scratch = fixture.store.workspace().scratch().unwrap();
    let folder = scratch.folder().to_owned();
    for name in ["cache/mod", "left/mod"] {
        fs::create_dir_all(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("f"), "x").unwrap();
    }
    for name in ["cache/mod", "cache", "left/mod", "left", ""] {
        set_mode(&folder.join(name), 0o555);
    }
    let tree = fixture.store.cas().put_folder(&folder).unwrap();
    assert_eq!(tree.files.keys().collect::<Vec<_>>(), ["cache/mod/f", "left/mod/f"]);
    set_mode(&folder.join("left"), 0o555);
    drop(scratch);
    assert!(!folder.exists());
}

#[test]
fn names_of_any_characters_are_kept_apart() {
    let fixture = Fixture::new();
    let names = ["a", "a\n", "a b", "a\"", "\u{1b}[31m", "é", "e\u{301}", "a\\n"];
    let trees = names.map(|name| put(&fixture.store, &[(name, b"x")]));
    let digests: std::collections::BTreeSet<_> = trees.iter().map(pipeline_core::Tree::digest).collect();
    assert_eq!(digests.len(), names.len());
    for (tree, name) in trees.iter().zip(names) {
        assert_eq!(fs::read(fixture.store.cas().open(tree).unwrap().folder().join(name)).unwrap(), b"x");
    }
    let error = keep(&fixture.store, &|folder| {
        let name = <OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"d/\xff");
        fs::create_dir(folder.join("d")).unwrap();
        fs::write(folder.join(name), "x").unwrap();
    });
    assert!(error.unwrap_err().to_string().starts_with("`d/\u{fffd}` cannot name a file of an artifact"));
}
