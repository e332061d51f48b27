//! Published and exported files replace nothing that other programs wrote.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use pipeline_core::Part;
use pipeline_store::{OpenTreeError, StoreError};

use crate::fixture::{Fixture, put};

fn file(fixture: &Fixture, content: &str) -> Part {
    put(&fixture.store, &[("out", content.as_bytes())]).part("out").unwrap()
}

fn publish(fixture: &Fixture, part: &Part, to: &Path, overwrite: bool) -> Result<Vec<PathBuf>, String> {
    fixture.store.outside().publish(part, to, overwrite).map_err(|error| error.to_string())
}

/// The files below a folder with their texts, sorted.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_symlink() {
            texts.push((name, format!("-> {}", fs::read_link(&path).unwrap().display())));
        } else if path.is_dir() {
            texts.extend(texts_below(&path, &name));
        } else {
            texts.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    texts.sort();
    texts
}

fn texts_below(path: &Path, name: &str) -> Vec<(String, String)> {
    let inner = texts(path);
    if inner.is_empty() {
        return vec![(format!("{name}/"), String::new())];
    }
    inner.into_iter().map(|(file, text)| (format!("{name}/{file}"), text)).collect()
}

fn expect(folder: &Path, files: &[(&str, &str)]) {
    let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    assert_eq!(texts(folder), files);
}

#[test]
fn a_file_of_somebody_else_is_left_alone_until_a_person_says_so() {
    let fixture = Fixture::new();
    let target = fixture.folder.path().join("out.txt");
    fs::write(&target, "mine").unwrap();
    let error = publish(&fixture, &file(&fixture, "first"), &target, false).unwrap_err();
    assert_eq!(error, format!("`{}` is not a file that this program has written, and is left alone", target.display()));
    assert_eq!(fs::read_to_string(&target).unwrap(), "mine");

    assert_eq!(publish(&fixture, &file(&fixture, "first"), &target, true), Ok(vec![]));
    assert_eq!(publish(&fixture, &file(&fixture, "second"), &target, false), Ok(vec![]));
    assert_eq!(fs::read_to_string(&target).unwrap(), "second");
    // The store may drop its content: written files stay known.
    for object in ["first", "second"] {
        let Part::File(entry) = file(&fixture, object) else { panic!("it is a file") };
        fs::remove_file(fixture.object(&entry)).unwrap();
    }
    assert_eq!(publish(&fixture, &file(&fixture, "third"), &target, false), Ok(vec![]));
    // Changed since: it is restored, and a copy of the changed file is kept.
    fs::write(&target, "edited by hand").unwrap();
    let kept = publish(&fixture, &file(&fixture, "third"), &target, false).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "third");
    assert_eq!(fs::read_to_string(&kept[0]).unwrap(), "edited by hand");
}

#[test]
fn what_the_store_has_and_an_empty_file_can_be_replaced_by_anybody() {
    let fixture = Fixture::new();
    let target = fixture.folder.path().join("out.txt");
    let _known = file(&fixture, "published before there was a record");
    for content in ["published before there was a record", ""] {
        fs::write(&target, content).unwrap();
        assert_eq!(publish(&fixture, &file(&fixture, content.get(..1).unwrap_or("x")), &target, false), Ok(vec![]));
        fs::remove_dir_all(fixture.in_store("written")).unwrap();
    }
}

#[test]
fn a_folder_is_published_as_a_whole_and_what_lies_there_of_others_stays() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path().join("public");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("README"), "mine").unwrap();
    let site = |files: &[(&str, &[u8])], folders: &[&str], links: &[(&str, &str)]| {
        let mut tree = put(&fixture.store, files);
        tree.folders = folders.iter().map(|name| (*name).to_owned()).collect();
        tree.links = links.iter().map(|(name, target)| ((*name).to_owned(), (*target).to_owned())).collect();
        Part::Folder(tree)
    };
    let first = site(&[("index", b"1"), ("old/a", b"a"), ("old/b", b"b")], &["empty"], &[("latest", "old")]);
    assert!(!fixture.store.outside().matches_part(&first, &folder));
    assert_eq!(publish(&fixture, &first, &folder, false), Ok(vec![]));
    assert!(fixture.store.outside().matches_part(&first, &folder));
    let of_first =
        [("README", "mine"), ("empty/", ""), ("index", "1"), ("latest", "-> old"), ("old/a", "a"), ("old/b", "b")];
    expect(&folder, &of_first);

    // Files that the artifact no longer has are removed, unless they were changed.
    fs::write(folder.join("old/b"), "edited by hand").unwrap();
    let second = site(&[("index", b"2"), ("new", b"n")], &[], &[("latest", "new")]);
    assert_eq!(publish(&fixture, &second, &folder, false), Ok(vec![]));
    let of_second = [
        ("README", "mine"),
        ("empty/", ""),
        ("index", "2"),
        ("latest", "-> new"),
        ("new", "n"),
        ("old/b", "edited by hand"),
    ];
    expect(&folder, &of_second);

    let third = site(&[("README", b"theirs"), ("index", b"3")], &[], &[]);
    let error = publish(&fixture, &third, &folder, false).unwrap_err();
    assert!(error.contains("/public/README` is not a file that this program has written"), "{error}");
    expect(&folder, &of_second);

    let outside = site(&[("a", b"a")], &[], &[("out", "../elsewhere")]);
    let error = fixture.store.outside().publish(&outside, &folder, false).unwrap_err();
    assert!(matches!(error, OpenTreeError::Store(StoreError::Link { .. })), "{error}");
}

#[test]
fn a_folder_takes_the_place_of_a_file_that_was_published_there_and_back() {
    let fixture = Fixture::new();
    let target = fixture.folder.path().join("out");
    publish(&fixture, &file(&fixture, "file"), &target, false).unwrap();
    let folder = Part::Folder(put(&fixture.store, &[("inner/a", b"a")]));
    publish(&fixture, &folder, &target, false).unwrap();
    expect(&target, &[("inner/a", "a")]);
    publish(&fixture, &file(&fixture, "file"), &target, false).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "file");
}

#[test]
fn links_are_followed_and_pipes_and_devices_written_into() {
    let fixture = Fixture::new();
    let path = |name: &str| fixture.folder.path().join(name);
    fs::create_dir(path("real")).unwrap();
    symlink("real/target", path("link")).unwrap();
    publish(&fixture, &file(&fixture, "1"), &path("link"), false).unwrap();
    fixture.store.outside().write(&path("link"), b"2", false).unwrap();
    assert!(path("link").is_symlink());
    assert_eq!(fs::read_to_string(path("real/target")).unwrap(), "2");

    assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    for write in 0..2 {
        let reader = std::thread::spawn({
            let pipe = path("pipe");
            move || fs::read_to_string(pipe).unwrap()
        });
        match write {
            0 => drop(publish(&fixture, &file(&fixture, "through"), &path("pipe"), false).unwrap()),
            _ => drop(fixture.store.outside().write(&path("pipe"), b"through", false).unwrap()),
        }
        assert_eq!(reader.join().unwrap(), "through");
        assert!(fs::symlink_metadata(path("pipe")).unwrap().file_type().is_fifo());
    }
}

#[test]
fn what_is_written_for_people_replaces_only_what_was_written_for_them() {
    let fixture = Fixture::new();
    let report = fixture.folder.path().join("out/report.html");
    for text in ["first", "second"] {
        assert_eq!(fixture.store.outside().write(&report, text.as_bytes(), false).unwrap(), None);
        assert_eq!(fs::read_to_string(&report).unwrap(), text);
    }
    fs::write(&report, "with a note of mine").unwrap();
    let kept = fixture.store.outside().write(&report, b"third", false).unwrap().unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), "with a note of mine");

    let notes = fixture.folder.path().join("notes.md");
    fs::write(&notes, "mine").unwrap();
    let error = fixture.another_handle().outside().write(&notes, b"report", false).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert_eq!(fs::read_to_string(&notes).unwrap(), "mine");
    fixture.store.outside().write(&notes, b"report", true).unwrap();
    assert_eq!(fs::read_to_string(&notes).unwrap(), "report");
    let folder = fixture.folder.path();
    assert!(fs::read_dir(folder).unwrap().all(|entry| !entry.unwrap().file_name().to_string_lossy().starts_with('.')));
}

#[test]
fn links_that_lead_back_and_folders_that_move_keep_what_was_written() {
    let fixture = Fixture::new();
    let path = |name: &str| fixture.folder.path().join(name);
    for name in ["e1", "e2", "disk/project"] {
        fs::create_dir_all(path(name)).unwrap();
    }
    for (target, text) in [("e1", "1"), ("e2", "2"), ("e1", "3")] {
        let _ = fs::remove_file(path("out"));
        symlink(target, path("out")).unwrap();
        assert_eq!(fixture.store.outside().write(&path("out/report"), text.as_bytes(), false).unwrap(), None);
        assert_eq!(fs::read_to_string(path(target).join("report")).unwrap(), text);
    }
    symlink("disk", path("mount")).unwrap();
    let published = path("mount/project/out.txt");
    publish(&fixture, &file(&fixture, "1"), &published, false).unwrap();
    fs::rename(path("disk"), path("other")).unwrap();
    fs::remove_file(path("mount")).unwrap();
    symlink("other", path("mount")).unwrap();
    assert_eq!(publish(&fixture, &file(&fixture, "2"), &published, false), Ok(vec![]));
    assert_eq!(fs::read_to_string(path("other/project/out.txt")).unwrap(), "2");

    // The result of a stage that has yet to run may turn out to be what is there.
    fs::rename(&published, path("kept.txt")).unwrap();
    symlink("../../kept.txt", &published).unwrap();
    assert!(fixture.store.outside().check_publishable(None, &published).unwrap().is_some());
    fs::write(path("kept.txt"), "other").unwrap();
    assert!(fixture.store.outside().check_publishable(None, &published).is_err());
}

#[test]
fn a_file_to_which_a_new_link_leads_is_not_taken_for_the_one_that_was_written() {
    let fixture = Fixture::new();
    let path = |name: &str| fixture.folder.path().join(name);
    let folder = |text: &str| Part::Folder(put(&fixture.store, &[("b", text.as_bytes())]));
    publish(&fixture, &file(&fixture, "1"), &path("current"), false).unwrap();
    publish(&fixture, &folder("1"), &path("dir"), false).unwrap();
    fixture.store.outside().write(&path("report"), b"1", false).unwrap();
    fs::create_dir(path("mine")).unwrap();
    // Also a copy of what was published: the user keeps it.
    for text in ["months of training", "1"] {
        for name in ["mine/a", "mine/b", "mine/report"] {
            fs::write(path(name), text).unwrap();
        }
        for (link, target) in [("current", "mine/a"), ("report", "mine/report")] {
            fs::remove_file(path(link)).unwrap();
            symlink(target, path(link)).unwrap();
        }
        if !path("dir").is_symlink() {
            fs::remove_dir_all(path("dir")).unwrap();
            symlink("mine", path("dir")).unwrap();
        }
        let error = publish(&fixture, &file(&fixture, "2"), &path("current"), false).unwrap_err();
        let real = |name: &str| path(name).canonicalize().unwrap().display().to_string();
        let refusal = "is not a file that this program has written, and is left alone";
        assert_eq!(error, format!("`{}`, to which `{}` leads, {refusal}", real("mine/a"), path("current").display()));
        let error = publish(&fixture, &folder("2"), &path("dir"), false).unwrap_err();
        assert_eq!(error, format!("`{}`, to which `{}` leads, {refusal}", real("mine/b"), path("dir").display()));
        let error = fixture.store.outside().write(&path("report"), b"2", false).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { link: Some(_), .. }), "{error}");
        for name in ["mine/a", "mine/b", "mine/report"] {
            assert_eq!(fs::read_to_string(path(name)).unwrap(), text, "{name}");
        }
        assert!(!fixture.in_store("quarantine").exists());
    }
    // A published folder that no longer has the file does not remove one of the same content elsewhere.
    publish(&fixture, &Part::Folder(put(&fixture.store, &[("other", b"o")])), &path("dir"), false).unwrap();
    assert!(path("mine/b").exists());
    // What was written through the link may be written again, also when it was changed since.
    assert_eq!(publish(&fixture, &file(&fixture, "2"), &path("current"), true), Ok(vec![]));
    assert_eq!(publish(&fixture, &file(&fixture, "3"), &path("current"), false), Ok(vec![]));
    fs::write(path("mine/a"), "edited").unwrap();
    assert_eq!(publish(&fixture, &file(&fixture, "3"), &path("current"), false).unwrap().len(), 1);
    assert_eq!(fs::read_to_string(path("mine/a")).unwrap(), "3");
    assert!(path("current").is_symlink());
}
