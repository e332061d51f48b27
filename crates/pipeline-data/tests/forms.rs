//! One data set in every form: as Python's libraries write it, damaged, and hostile.
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use pipeline_data::{
    DECODER_BYTES, DataError, FileIndex, FolderFile, ImageColumns, ImageIdPart, Images, ImagesFile, Memory,
    QueryColumns, QueryTable, RowFilter, Selection, TableForm, TableQueries, decode,
};

const ALL: Selection<'static> = Selection::first(None);

fn forms(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/data/forms").join(name)
}

fn named(names: &[&str]) -> Vec<ImagesFile> {
    names.iter().map(|name| ImagesFile { path: forms(name), name: Some((*name).to_owned()) }).collect()
}

fn alone(path: PathBuf) -> Vec<ImagesFile> {
    vec![ImagesFile { path, name: None }]
}

/// The files below a folder, without rules for what to ignore.
fn files(folder: &Path, prefix: &str) -> Vec<FolderFile> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        match path.is_dir() {
            true => files.extend(self::files(&path, &format!("{name}/"))),
            false => {
                let content = Ok(*blake3::hash(&fs::read(&path).unwrap()).as_bytes());
                files.push(FolderFile { name: name.into_bytes(), path, content });
            }
        }
    }
    files
}

/// The digests of the image files by id.
fn content(images: &Images) -> BTreeMap<String, [u8; 32]> {
    let each = images.each(images.rows(), &Memory::new(DECODER_BYTES), &|| false, |row, file, _| {
        assert_eq!(*blake3::hash(&file).as_bytes(), row.digest);
        decode(&file)?;
        Ok(row.digest)
    });
    let ids = images.rows().iter().map(|row| row.id.clone());
    ids.zip(each.unwrap().into_iter().map(Result::unwrap)).collect()
}

#[test]
fn images_are_the_same_in_every_form() {
    let photos = Images::of_folder(files(&forms("photos"), ""), ImageIdPart::Path, &ALL).unwrap();
    let ids: Vec<&str> = photos.rows().iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["cats/3.png", "dogs/1.jpg", "dogs/2.small.png", "红/4.webp"]);
    let expect = content(&photos);

    let tars = named(&["samples-0.tar", "samples-1.tar"]);
    let in_tars = Images::of_tars(tars.clone(), None, ImageIdPart::Key, &ALL).unwrap();
    let long = "long".repeat(30);
    let ids: Vec<&str> = in_tars.rows().iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["cats/3", &format!("{long}/dogs/1"), &format!("{long}/dogs/2"), "红/4"]);
    assert_eq!(content(&in_tars).into_values().collect::<Vec<_>>().len(), 4);
    let digests = |images: &Images| images.rows().iter().map(|row| row.digest).collect::<Vec<_>>();
    assert_eq!(digests(&in_tars), digests(&photos));
    let some = Images::of_tars(tars, Some("webp"), ImageIdPart::Stem, &ALL).unwrap();
    assert_eq!(some.rows().iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["4"]);

    let hub =
        Images::of_tables(named(&["hub-0.parquet", "hub-1.parquet"]), &ImageColumns::default(), None, &ALL).unwrap();
    assert_eq!(content(&hub), expect);
    // An image and its id are one row, wherever they lie.
    let row_digests = |images: &Images| images.rows().iter().map(|row| row.row_digest()).collect::<Vec<_>>();
    assert_eq!(row_digests(&hub), row_digests(&photos));
    let pandas = Images::of_tables(alone(forms("pandas.parquet")), &ImageColumns::default(), None, &ALL).unwrap();
    assert_eq!(pandas.rows().iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    assert_eq!((digests(&pandas), pandas.skipped().len()), (digests(&photos), 0), "a repeated image is one");
}

#[test]
fn the_first_rows_and_those_of_a_split_are_taken() {
    let hub = named(&["hub-0.parquet", "hub-1.parquet"]);
    let filter = RowFilter { column: "split".into(), values: vec!["valid".into()] };
    let valid = Images::of_tables(hub.clone(), &ImageColumns::default(), Some(&filter), &ALL).unwrap();
    assert_eq!(valid.rows().iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["dogs/2.small.png", "红/4.webp"]);
    let one =
        Selection { max_samples: Some(1), keep: &|id| id.starts_with("dogs"), is_cancelled: &|| false, index: None };
    let first = Images::of_tables(hub, &ImageColumns::default(), None, &one).unwrap();
    assert_eq!(first.rows().iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["dogs/1.jpg"]);
    let stopped = Selection { is_cancelled: &|| true, ..ALL };
    let stopped = Images::of_tars(named(&["samples-0.tar"]), None, ImageIdPart::Key, &stopped);
    assert!(matches!(stopped, Err(DataError::Stopped { .. })));
}

#[test]
fn what_is_no_image_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    fs::write(&path, "x").unwrap();
    let file = |name: &[u8], content: Result<[u8; 32], String>| FolderFile {
        name: name.to_vec(),
        path: path.clone(),
        content,
    };
    let digest = |byte: u8| Ok([byte; 32]);
    let images = Images::of_folder(
        vec![
            file(b"b/1.jpg", digest(1)),
            file(b"a/1.jpg", digest(2)),
            file(b"c/1.png", digest(2)),
            file(b"\xff.jpg", digest(3)),
            file(b"line\nbreak.jpg", digest(4)),
            file(b"pipe.jpg", Err("it is a FIFO and not a regular file".into())),
            file(b".thumbs/1.jpg", digest(5)),
            file(b"clip.mp4", digest(6)),
            file(b"metadata.csv", digest(7)),
        ],
        ImageIdPart::Stem,
        &ALL,
    );
    let images = images.unwrap();
    assert_eq!(images.rows().iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["1"]);
    let skipped: Vec<String> = images.skipped().iter().map(|skip| format!("{}: {}", skip.place, skip.reason)).collect();
    assert_eq!(
        skipped,
        [
            "`b/1.jpg`: `a/1.jpg` has another image with the id `1`",
            "`line\nbreak.jpg`: its id \"line\\nbreak.jpg\" has a line break or another control character",
            "`pipe.jpg`: it is a FIFO and not a regular file",
            "`\u{fffd}.jpg`: its name is not UTF-8, and ids are text",
        ]
    );
    assert_eq!(images.remarks(), ["1 file is no image by name and passed over, such as `clip.mp4`"]);
}

#[test]
fn a_file_that_changes_after_it_was_indexed_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    for (name, other) in [("samples-0.tar", "samples-1.tar"), ("hub-0.parquet", "hub-1.parquet")] {
        let path = folder.path().join(name);
        fs::copy(forms(name), &path).unwrap();
        let images = match name.ends_with("tar") {
            true => Images::of_tars(alone(path.clone()), None, ImageIdPart::Key, &ALL).unwrap(),
            false => Images::of_tables(alone(path.clone()), &ImageColumns::default(), None, &ALL).unwrap(),
        };
        fs::copy(forms(other), &path).unwrap();
        let each = images.each(images.rows(), &Memory::new(DECODER_BYTES), &|| false, |_, file, _| decode(&file));
        assert!(each.is_err(), "{name}");
    }
}

#[test]
fn damaged_and_hostile_archives_are_errors_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar");
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let images = Images::of_tars(alone(path.clone()), None, ImageIdPart::Key, &ALL);
        images
            .map(|images| images.rows().len())
            .map_err(|error| error.to_string().replace(path.to_str().unwrap(), "x.tar"))
    };
    let intact = fs::read(forms("samples-0.tar")).unwrap();
    assert_eq!(read(&intact), Ok(2));
    assert_eq!(read(b""), Ok(0));
    assert!(read(&intact[..intact.len() / 3 / 512 * 512 + 600]).unwrap_err().contains("is cut short"));
    assert!(read(b"\x1f\x8b\x08\0").unwrap_err().contains("is compressed by gzip"));
    assert!(read(&[b"no tar at all ".repeat(100), vec![0; 2000]].concat()).unwrap_err().contains("no header of a tar"));

    // A header that says that its name has a terabyte, and one whose content would have 8 EiB.
    let header = |kind: u8, size: &[u8; 12]| {
        let mut header = vec![0_u8; 512];
        header[..7].copy_from_slice(b"a/1.jpg");
        header[124..136].copy_from_slice(size);
        header[148..156].fill(b' ');
        header[156] = kind;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header
    };
    let long =
        [header(b'L', b"00010000000\0"), vec![b'x'; 1 << 21], header(b'0', b"00000000000\0"), vec![0; 1024]].concat();
    assert!(read(&long).unwrap_err().contains("more than 1 MiB"), "{:?}", read(&long));
    for size in [
        b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"77777777777\0",
    ] {
        assert!(read(&header(b'0', size)).is_err());
    }
    let links = [header(b'1', b"00000000000\0"), header(b'2', b"00000000000\0"), vec![0; 1024]].concat();
    fs::write(&path, &links).unwrap();
    let images = Images::of_tars(alone(path.clone()), None, ImageIdPart::Key, &ALL).unwrap();
    assert_eq!(images.skipped().len(), 2, "links have no content of their own");

    for at in (0..intact.len()).step_by(37) {
        let mut damaged = intact.clone();
        damaged[at] ^= 1 << (at % 8);
        let _ = read(&damaged);
    }
    let intact = fs::read(forms("hub-0.parquet")).unwrap();
    for at in (0..intact.len()).step_by(41) {
        let mut damaged = intact.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, &damaged).unwrap();
        if let Ok(images) = Images::of_tables(alone(path.clone()), &ImageColumns::default(), None, &ALL) {
            let _ = images.each(images.rows(), &Memory::new(DECODER_BYTES), &|| false, |_, file, _| decode(&file));
        }
        let _ = queries(TableForm::Parquet, &alone(path.clone()), &QueryColumns::default(), None);
    }
}

fn queries(
    form: TableForm,
    files: &[ImagesFile],
    columns: &QueryColumns,
    filter: Option<&RowFilter>,
) -> Result<TableQueries, DataError> {
    QueryTable { form, files, columns, filter, image_id: None, is_cancelled: &|| false }.read()
}

/// The queries as `id: text -> images`.
fn lines(read: &TableQueries) -> Vec<String> {
    let line = |row: &pipeline_data::QueryRow| {
        format!(
            "{}: {} -> {}",
            row.id.as_deref().unwrap_or("-"),
            row.text,
            row.image_ids.as_deref().unwrap_or_default().join(" ")
        )
    };
    read.rows.iter().map(line).collect()
}

const CAPTIONS: [&str; 5] = [
    "cats/3.png#0: a cat -> cats/3.png",
    "dogs/1.jpg#0: a dog, grey -> dogs/1.jpg",
    "dogs/1.jpg#1: it says \"woof\"\nand no more -> dogs/1.jpg",
    "dogs/2.small.png#0: a dog -> dogs/2.small.png",
    "红/4.webp#0: 红 裙 -> 红/4.webp",
];

#[test]
fn captions_are_the_same_in_every_form_and_name_the_images_of_that_form() {
    let usual = QueryColumns::default();
    let column = |text: &str| QueryColumns { text: Some(text.into()), ..QueryColumns::default() };
    let hub = named(&["hub-0.parquet", "hub-1.parquet"]);
    for (form, files, columns) in [
        (TableForm::Csv, alone(forms("photos/metadata.csv")), &usual),
        (TableForm::JsonLines, alone(forms("photos/metadata.jsonl")), &usual),
        // A column of texts names images, whatever its name: none lie beside these captions.
        (TableForm::Parquet, alone(forms("names.parquet")), &usual),
        (TableForm::Parquet, hub.clone(), &column("caption")),
        (TableForm::Parquet, hub.clone(), &column("sentences.raw")),
    ] {
        let read = queries(form, &files, columns, None).unwrap();
        assert_eq!(lines(&read), CAPTIONS, "{form:?} {columns:?}");
        assert!(read.skipped.is_empty() && read.remarks.is_empty(), "{read:?}");
    }
    let flickr = queries(TableForm::Csv, &alone(forms("flickr.csv")), &usual, None).unwrap();
    let without_ids =
        |lines: &[String]| lines.iter().map(|line| line.split_once(": ").unwrap().1.to_owned()).collect::<Vec<_>>();
    assert_eq!(without_ids(&lines(&flickr)), without_ids(&CAPTIONS.map(str::to_owned)));
    assert_eq!(flickr.rows[2].id.as_deref(), Some("2"), "an id for each caption");

    let refused = queries(TableForm::Parquet, &hub, &column("captions"), None).unwrap_err().to_string();
    assert!(refused.contains("no column `captions`") && refused.contains("did you mean `caption`?"), "{refused}");

    let pandas = queries(TableForm::Parquet, &alone(forms("pandas.parquet")), &usual, None).unwrap();
    assert_eq!(lines(&pandas)[2], "1#1: it says \"woof\"\nand no more -> 1");

    let tars = named(&["samples-0.tar", "samples-1.tar"]);
    let long = "long".repeat(30);
    let read = queries(TableForm::Tar, &tars, &usual, None).unwrap();
    assert_eq!(lines(&read)[1], format!("{long}/dogs/1#0: a dog, grey -> {long}/dogs/1"));
    assert_eq!(read.rows.len(), 4);
    let read = queries(TableForm::Tar, &tars, &column("json.caption"), None).unwrap();
    assert_eq!(read.rows.len(), 5, "one query for each caption of a list");
}

#[test]
fn rows_of_a_split_are_taken_and_equal_texts_are_grouped() {
    let filter = RowFilter { column: "split".into(), values: vec!["valid".into(), "test".into()] };
    let flickr = alone(forms("flickr.csv"));
    let valid = queries(TableForm::Csv, &flickr, &QueryColumns::default(), Some(&filter)).unwrap();
    assert_eq!(lines(&valid), ["3: a dog -> dogs/2.small.png", "4: 红 裙 -> 红/4.webp"]);
    let filter = RowFilter { column: "splt".into(), ..filter };
    let refused = queries(TableForm::Csv, &flickr, &QueryColumns::default(), Some(&filter)).unwrap_err().to_string();
    assert!(refused.contains("did you mean `split`?"), "{refused}");

    let file = tempfile::NamedTempFile::new().unwrap();
    let rows = "caption,image\na,1\nb,2\na,3\na,1\n,4\n\"['x', 'y']\",5\nc,6,7\nd,\"1,2\"\n";
    fs::write(file.path(), rows).unwrap();
    let read = queries(TableForm::Csv, &alone(file.path().to_owned()), &QueryColumns::default(), None).unwrap();
    let skipped: Vec<_> = read.skipped.iter().map(|skip| (skip.place.number.unwrap(), skip.reason.as_str())).collect();
    assert_eq!(
        skipped,
        [
            (6, "no text: `caption` is empty"),
            (7, "`caption` is the text `['x', 'y']`, not a list: write it as JSON"),
            (8, "3 fields, and the header has 2"),
            (9, "`image` is the text `1,2`, not a list of ids"),
        ]
    );
    assert_eq!(lines(&read), ["1#0: a -> 1", "2#0: b -> 2", "3#0: a -> 3", "1#1: a -> 1"]);
    let mut grouped = TableQueries::default();
    grouped.rows = TableQueries::grouped(read.rows);
    assert_eq!(lines(&grouped), ["1#0: a -> 1 3", "2#0: b -> 2"]);
}

#[test]
fn a_file_whose_index_is_kept_is_scanned_once_whatever_is_taken_of_it() {
    let kept: Mutex<BTreeMap<PathBuf, Vec<u8>>> = Mutex::default();
    let n_scans = AtomicUsize::new(0);
    let keep = |file: &ImagesFile, _: bool, index: &FileIndex<'_>| {
        if let Some(bytes) = kept.lock().unwrap().get(&file.path).filter(|bytes| (index.fits)(bytes)) {
            return Ok(Some(bytes.clone()));
        }
        n_scans.fetch_add(1, Ordering::Relaxed);
        let bytes = (index.make)()?;
        kept.lock().unwrap().insert(file.path.clone(), bytes.clone());
        Ok(Some(bytes))
    };
    let damages: [fn(&mut Vec<u8>); 3] = [|_| (), |index| index.truncate(index.len() - 1), |index| index[0] = 77];
    let all = Selection { index: Some(&keep), ..ALL };
    let dogs = Selection { keep: &|id| id.contains("dogs"), ..all };
    type Read = dyn Fn(&[&str], &Selection<'_>) -> Images;
    let of_tars: &Read = &|names, selection| Images::of_tars(named(names), None, ImageIdPart::Key, selection).unwrap();
    let of_tables: &Read =
        &|names, selection| Images::of_tables(named(names), &ImageColumns::default(), None, selection).unwrap();
    for (read, [first, second]) in
        [(of_tars, ["samples-0.tar", "samples-1.tar"]), (of_tables, ["hub-0.parquet", "hub-1.parquet"])]
    {
        let facts = |images: &Images| (images.rows().to_vec(), images.skipped().to_vec(), content(images));
        let n_before = n_scans.load(Ordering::Relaxed);
        let some = Selection { keep: dogs.keep, ..ALL };
        for (names, selection, plain, n_new) in [
            (vec![first], &dogs, &some, 1),
            (vec![first], &all, &ALL, 1),
            (vec![first, second], &all, &ALL, 2),
            (vec![second, first], &dogs, &some, 2),
        ] {
            assert_eq!(facts(&read(&names, selection)), facts(&read(&names, plain)), "{names:?}");
            assert_eq!(n_scans.load(Ordering::Relaxed) - n_before, n_new, "{names:?}");
        }
        // A file of which only the begin is wanted is not scanned to its end.
        let one = Selection { max_samples: Some(1), ..all };
        assert_eq!(read(&[first, second], &one).rows().len(), 1);
        assert_eq!(n_scans.load(Ordering::Relaxed) - n_before, 2);
        // An index that cannot be that of the file is made anew, once.
        for (n_repaired, damage) in damages.iter().enumerate() {
            kept.lock().unwrap().values_mut().take(1).for_each(damage);
            for _ in 0..2 {
                assert_eq!(facts(&read(&[first, second], &all)), facts(&read(&[first, second], &ALL)));
            }
            assert_eq!(n_scans.load(Ordering::Relaxed) - n_before, 2 + n_repaired);
        }
        kept.lock().unwrap().clear();
    }
}

#[test]
fn a_file_that_another_process_indexes_is_waited_for_after_all_others() {
    let asked = Mutex::new(Vec::new());
    let keep = |file: &ImagesFile, waits: bool, index: &FileIndex<'_>| {
        let name = file.name.clone().unwrap();
        asked.lock().unwrap().push((name.clone(), waits));
        if name == "samples-0.tar" && !waits { Ok(None) } else { (index.make)().map(Some) }
    };
    let names = named(&["samples-0.tar", "samples-1.tar"]);
    let all = Selection { index: Some(&keep), ..ALL };
    let images = Images::of_tars(names.clone(), None, ImageIdPart::Key, &all).unwrap();
    assert_eq!(images.rows(), Images::of_tars(names, None, ImageIdPart::Key, &ALL).unwrap().rows());
    let asked = asked.into_inner().unwrap();
    assert_eq!((asked.len(), asked.last()), (3, Some(&("samples-0.tar".to_owned(), true))));
}
