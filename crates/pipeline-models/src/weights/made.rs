//! Checkpoints as PyTorch writes them, built by tests: zip archives, and the format before PyTorch 1.6.

use std::io::Write;

use flate2::write::DeflateEncoder;

/// A value in a pickle.
#[derive(Clone)]
pub(crate) enum Item<'a> {
    Dict(Vec<(&'a str, Item<'a>)>),
    Tensor {
        storage_idx: usize,
        offset: u64,
        shape: Vec<u64>,
        strides: Vec<u64>,
    },
    /// Raw opcodes.
    Raw(&'a [u8]),
}

/// A tensor that is a whole storage.
pub(crate) fn whole<'a>(storage_idx: usize, shape: &[u64]) -> Item<'a> {
    let strides = (1..=shape.len()).map(|axis| shape[axis..].iter().product()).collect();
    Item::Tensor { storage_idx, offset: 0, shape: shape.to_vec(), strides }
}

/// A checkpoint.
pub(crate) struct Made<'a> {
    /// The class of each storage, and its bytes.
    pub(crate) storages: Vec<(&'static str, Vec<u8>)>,
    pub(crate) root: Item<'a>,
}

/// The packing of files in an archive.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Packing {
    Stored,
    Deflated,
    /// PyTorch's format without checksums.
    WithoutChecksums,
}

pub(crate) fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

impl Made<'_> {
    /// The files of the archive.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = vec![("m/data.pkl".to_owned(), self.pickle()), ("m/byteorder".to_owned(), b"little".to_vec())];
        let storages = self.storages.iter().enumerate();
        files.extend(storages.map(|(idx, (_, bytes))| (format!("m/data/{idx}"), bytes.clone())));
        files
    }

    /// The zip archive.
    pub(crate) fn zip(&self) -> Vec<u8> {
        archive(&self.files(), Packing::Stored)
    }

    /// The format before PyTorch 1.6.
    pub(crate) fn legacy(&self) -> Vec<u8> {
        let mut file =
            b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
        file.extend(self.pickle());
        file.extend(b"\x80\x02](");
        (0..self.storages.len()).for_each(|idx| text(&mut file, &idx.to_string()));
        file.extend(b"e.");
        for (class, bytes) in &self.storages {
            file.extend(((bytes.len() / width(class)) as u64).to_le_bytes());
            file.extend(bytes);
        }
        file
    }

    fn pickle(&self) -> Vec<u8> {
        let mut pickle = b"\x80\x02".to_vec();
        self.item(&mut pickle, &self.root);
        pickle.push(b'.');
        pickle
    }

    fn item(&self, pickle: &mut Vec<u8>, item: &Item<'_>) {
        match item {
            Item::Raw(opcodes) => pickle.extend(*opcodes),
            Item::Dict(items) => {
                pickle.extend(b"}(");
                for (key, item) in items {
                    text(pickle, key);
                    self.item(pickle, item);
                }
                pickle.push(b'u');
            }
            Item::Tensor { storage_idx, offset, shape, strides } => {
                let (class, bytes) = &self.storages[*storage_idx];
                pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
                text(pickle, "storage");
                pickle.extend(format!("ctorch\n{class}\n").as_bytes());
                text(pickle, &storage_idx.to_string());
                text(pickle, "cpu");
                integer(pickle, (bytes.len() / width(class)) as u64);
                pickle.extend(b"tQ");
                integer(pickle, *offset);
                for counts in [shape, strides] {
                    pickle.push(b'(');
                    counts.iter().for_each(|count| integer(pickle, *count));
                    pickle.push(b't');
                }
                pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
            }
        }
    }
}

/// The size of one number.
fn width(class: &str) -> usize {
    match class {
        "DoubleStorage" | "LongStorage" => 8,
        "HalfStorage" | "BFloat16Storage" => 2,
        _ => 4,
    }
}

fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.as_bytes());
}

fn integer(pickle: &mut Vec<u8>, integer: u64) {
    pickle.extend(b"\x8a\x09");
    pickle.extend(integer.to_le_bytes());
    pickle.push(0);
}

/// A zip archive of files.
pub(crate) fn archive(files: &[(String, Vec<u8>)], packing: Packing) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let packed = if packing == Packing::Deflated { deflated(bytes) } else { bytes.clone() };
        let method = if packing == Packing::Deflated { 8u16 } else { 0 };
        let crc = if packing == Packing::WithoutChecksums { 0 } else { crc32fast::hash(bytes) };
        let start = archive.len() as u32;
        // Version, flags, method, time and date; then the same fields as in the directory.
        let mut header = [20u16, 0, method, 0, 0].map(u16::to_le_bytes).concat();
        header.extend([crc, packed.len() as u32, bytes.len() as u32].map(u32::to_le_bytes).concat());
        header.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        archive.extend(b"PK\x03\x04");
        archive.extend(&header);
        archive.extend(name.as_bytes());
        archive.extend(packed);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&header);
        directory.extend([0; 10]);
        directory.extend(start.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = archive.len() as u32;
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\x00\x00\x00\x00");
    archive.extend([files.len() as u16; 2].map(u16::to_le_bytes).concat());
    archive.extend([directory.len() as u32, start].map(u32::to_le_bytes).concat());
    archive.extend([0; 2]);
    archive
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
