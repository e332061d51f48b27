//! PyTorch checkpoints are read as PyTorch reads them, or refused by name.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::weights::made::{Item, Made, Packing, archive, bytes, whole};
use crate::weights::{ModelError, PlainTensor, read_tensors};

fn read(file: &[u8]) -> Result<BTreeMap<String, PlainTensor>, ModelError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.pth");
    std::fs::write(&path, file).unwrap();
    read_tensors(&path)
}

fn error(file: &[u8]) -> String {
    read(file).unwrap_err().to_string()
}

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|number| number as f32).collect()
}

/// Two tensors of one storage, one of them transposed, and one of another.
fn made<'a>() -> Made<'a> {
    let turned = Item::Tensor { storage_idx: 0, offset: 2, shape: vec![2, 3], strides: vec![1, 2] };
    let items = vec![("a", whole(0, &[4, 3])), ("b", turned), ("c", whole(1, &[2]))];
    Made {
        storages: vec![("FloatStorage", bytes(&numbers(12))), ("FloatStorage", bytes(&[0.5, -1.0]))],
        root: Item::Dict(items),
    }
}

fn must_be_whole(tensors: &BTreeMap<String, PlainTensor>, what: &str) {
    assert_eq!(tensors.len(), 3, "{what}");
    assert_eq!(tensors["a"], PlainTensor { shape: vec![4, 3], values: numbers(12) }, "{what}");
    assert_eq!(tensors["b"], PlainTensor { shape: vec![2, 3], values: vec![2., 4., 6., 3., 5., 7.] }, "{what}");
    assert_eq!(tensors["c"], PlainTensor { shape: vec![2], values: vec![0.5, -1.0] }, "{what}");
}

#[test]
fn strides_offsets_and_shared_storages_count_in_every_format() {
    let made = made();
    for (what, file) in [
        ("zip", made.zip()),
        ("before PyTorch 1.6", made.legacy()),
        ("deflated", archive(&made.files(), Packing::Deflated)),
        ("without checksums", archive(&made.files(), Packing::WithoutChecksums)),
        ("with bytes behind it", [made.legacy(), b"more".to_vec()].concat()),
    ] {
        must_be_whole(&read(&file).unwrap_or_else(|error| panic!("{what}: {error}")), what);
    }
}

#[test]
fn numbers_may_begin_with_their_most_significant_byte() {
    let mut files = made().files();
    files[1].1 = b"big".to_vec();
    files[2..].iter_mut().for_each(|(_, bytes)| bytes.chunks_exact_mut(4).for_each(<[u8]>::reverse));
    must_be_whole(&read(&archive(&files, Packing::Stored)).unwrap(), "big");
    files[1].1 = b"middle".to_vec();
    assert!(error(&archive(&files, Packing::Stored)).contains("byte order"));
}

#[test]
fn numbers_of_every_floating_point_type_are_read_and_others_passed_over() {
    let double: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let storages = vec![
        ("HalfStorage", vec![0x00, 0x3e, 0x00, 0xc0]),
        ("BFloat16Storage", vec![0xc0, 0x3f, 0x00, 0xc0]),
        ("DoubleStorage", double),
        ("LongStorage", vec![0; 16]),
    ];
    let items = ["half", "brain", "double", "counter"].into_iter().enumerate();
    let root = Item::Dict(items.map(|(idx, name)| (name, whole(idx, &[2]))).collect());
    let made = Made { storages, root };
    for file in [made.zip(), made.legacy()] {
        let tensors = read(&file).unwrap();
        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["brain", "double", "half"]);
        assert!(tensors.values().all(|tensor| tensor.values == [1.5, -2.0]));
    }
}

#[test]
fn a_storage_that_is_cut_off_missing_or_changed_is_an_error_and_never_zeros() {
    let whole = made();
    let changed = |idx: usize, change: &dyn Fn(&mut Vec<u8>)| {
        let mut files = whole.files();
        change(&mut files[idx].1);
        archive(&files, Packing::Stored)
    };
    let mut missing = whole.files();
    missing.pop();
    let mut flipped = whole.zip();
    let at = flipped.windows(8).position(|window| window == bytes(&[3.0, 4.0])).unwrap();
    flipped[at + 3] ^= 1;
    let mut flipped_part = whole.zip();
    let at = flipped_part.windows(8).position(|window| window == bytes(&[10.0, 11.0])).unwrap();
    flipped_part[at + 3] ^= 1;
    let (zip, legacy) = (whole.zip(), whole.legacy());
    for (what, file, expected) in [
        ("missing", archive(&missing, Packing::Stored), "the numbers in `data/1` are missing"),
        ("short", changed(3, &|bytes| bytes.truncate(4)), "`data/1` has 4 bytes for 2 numbers of F32"),
        ("long", changed(2, &|bytes| bytes.extend([0; 4])), "`data/0` has 52 bytes for 12 numbers of F32"),
        ("flipped", flipped, "does not have its checksum (at `a`)"),
        ("flipped where a part does not look", flipped_part, "does not have its checksum"),
        ("zip cut", zip[..zip.len() / 2].to_vec(), "is cut off"),
        ("zip cut in its directory", zip[..zip.len() - 30].to_vec(), "is cut off"),
        ("legacy cut in its last storage", legacy[..legacy.len() - 1].to_vec(), "is cut off"),
        ("legacy cut between storages", legacy[..legacy.len() - 16].to_vec(), "is cut off"),
        ("legacy cut in its pickle", legacy[..200].to_vec(), "is cut off"),
    ] {
        let text = error(&file);
        assert!(text.contains(expected), "{what}: {text}");
    }
    for n_bytes in 0..legacy.len() {
        assert!(read(&legacy[..n_bytes]).is_err(), "the first {n_bytes} bytes of the old format");
    }
    for n_bytes in 0..zip.len() {
        assert!(read(&zip[..n_bytes]).is_err(), "the first {n_bytes} bytes of the archive");
    }
}

#[test]
fn what_is_no_tensor_is_passed_over_wherever_it_stands() {
    let passengers: &[(&str, &[u8])] = &[
        ("epoch", b"K\x0c"),
        ("loss", b"G\x3f\xf0\x00\x00\x00\x00\x00\x00"),
        (
            "scalar",
            b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x02\x00\x00\x00f8\x89\x88\x87R(K\x03\
            tbC\x08abcdefgh\x86R",
        ),
        ("set", b"cbuiltins\nset\n](K\x01K\x02e\x85R"),
        ("set4", b"\x8f(K\x01K\x02\x90"),
        ("device", b"ctorch\ndevice\nX\x03\x00\x00\x00cpu\x85R"),
        ("optimizer", b"}(X\x05\x00\x00\x00state}(K\x00}K\x01}uu"),
        ("tuple keys", b"}(K\x01K\x02\x86K\x03u"),
        ("args", b"cargparse\nNamespace\n)\x81}(X\x02\x00\x00\x00lrK\x01ub"),
        ("when", b"cdatetime\ndatetime\nC\x0aabcdefghij\x85R"),
    ];
    let mut made = made();
    let Item::Dict(items) = &mut made.root else { unreachable!() };
    items.extend(passengers.iter().map(|(name, opcodes)| (*name, Item::Raw(opcodes))));
    must_be_whole(&read(&made.zip()).unwrap(), "zip");
    must_be_whole(&read(&made.legacy()).unwrap(), "legacy");
}

#[test]
fn tensors_that_no_file_can_hold_are_refused_before_memory_is_taken() {
    let of = |shape: Vec<u64>, strides: Vec<u64>| Made {
        storages: vec![("FloatStorage", bytes(&numbers(12)))],
        root: Item::Dict(vec![("a", Item::Tensor { storage_idx: 0, offset: 0, shape, strides })]),
    };
    let expanded = read(&of(vec![1000, 3], vec![0, 1]).zip()).unwrap();
    assert_eq!(expanded["a"].values, [0.0, 1.0, 2.0].repeat(1000));
    let start = Instant::now();
    for (shape, strides, expected) in [
        (vec![1 << 31, 1 << 31], vec![1, 1], "reaches beyond its storage"),
        (vec![1 << 62, 8], vec![1, 1], "is larger than any memory"),
        (vec![5, 3], vec![3, 1], "reaches beyond its storage"),
        (vec![1 << 40], vec![0], "too large for so small a file"),
        (vec![1 << 20, 1 << 20], vec![0, 0], "too large for so small a file"),
        (vec![2], vec![1 << 62], "reaches beyond its storage"),
        (vec![2], vec![u64::MAX], "are no counts"),
        (vec![1; 100], vec![1; 100], "has as many strides as no tensor has"),
        (vec![2, 2], vec![1], "has as many strides as no tensor has"),
    ] {
        for file in [of(shape.clone(), strides.clone()).zip(), of(shape.clone(), strides.clone()).legacy()] {
            let text = error(&file);
            assert!(text.contains(expected), "{shape:?}: {text}");
        }
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn small_files_that_inflate_to_much_are_refused() {
    let zeros = vec![0; 300 << 20];
    let pickle = archive(&[("m/data.pkl".into(), zeros.clone())], Packing::Deflated);
    assert!(error(&pickle).contains("would inflate to 314572800 bytes"), "{}", error(&pickle));
    let made = Made { storages: vec![("FloatStorage", zeros)], root: Item::Dict(vec![("a", whole(0, &[75 << 20]))]) };
    let text = error(&archive(&made.files(), Packing::Deflated));
    assert!(text.contains("too large for so small a file"), "{text}");
}

#[test]
fn dicts_that_hold_each_other_are_walked_once() {
    let mut pickle = b"\x80\x02}q\x00".to_vec();
    for depth in 1..200u8 {
        pickle.extend(
            [b"}(X\x01\x00\x00\x00ah".as_slice(), &[depth - 1], b"X\x01\x00\x00\x00bh", &[depth - 1, b'u']].concat(),
        );
        pickle.extend([b'q', depth]);
    }
    pickle.extend(b"X\x04\x00\x00\x00selfh\xc7s.");
    let file = archive(&[("m/data.pkl".into(), pickle)], Packing::Stored);
    assert_eq!(read(&file).unwrap(), BTreeMap::new());
}

#[test]
fn other_files_are_called_what_they_are() {
    let files = |names: &[&str]| {
        let files: Vec<_> = names.iter().map(|name| ((*name).to_owned(), b"\x80\x02}.".to_vec())).collect();
        archive(&files, Packing::Stored)
    };
    let mut tar = vec![0; 512];
    tar[257..263].copy_from_slice(b"ustar\0");
    tar[..8].copy_from_slice(b"storages");
    for (file, expected) in [
        (files(&["m/data.pkl", "m/constants.pkl"]), "is a TorchScript program"),
        (files(&["a.npy", "b.npy"]), "without the `data.pkl`"),
        (files(&["m/data.pkl", "n/data.pkl"]), "several `data.pkl`"),
        (files(&["m/data.pkl", "m/data.pkl"]), "has a file twice"),
        (tar, "the format of PyTorch before 0.1.10"),
        (b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00}\x8c\x01aK\x01s.".to_vec(), "none that `torch.save` wrote"),
        (b"just some text".to_vec(), "is neither a safetensors file nor a PyTorch checkpoint"),
    ] {
        let text = error(&file);
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
