//! `shards/`: the facts in the records of a stage's shards, packed into one file, so that a plan reads no record.
//!
//! `shards/<digest of the lines that their manifests share>` is a heading, the digest of all that follows, and the
//! number of shards. One row of fixed length for each shard follows, sorted by key, and then the texts of their
//! reports. A row counts only while the shard's record is the file that it was: the same inode, length and change
//! time. So a record that was damaged, replaced or removed is looked at as ever, and the file only saves time.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::SystemTime;

use pipeline_core::{Digest, FileEntry, Key, Numerics, ShardReport};

use super::{Machine, Records};
use crate::StoreError;
use crate::durable::{Durability, list_folder, read_if_there, remove_file};

/// The first line of the file, with the version of its format.
const HEADING: &[u8] = b"pipeline shards 2\n";

/// The bytes of a row: key, identity of the record, entry of the file, flags, and the place of the report's text.
const ROW_BYTES: usize = 32 + 3 * 8 + 32 + 8 + 1 + 8 + 4;

/// The flag of a program.
const IS_EXECUTABLE: u8 = 1;

/// The flag of a record whose objects a remote may have.
const HAS_OBJECTS: u8 = 2;

/// The identity of a record's file: whatever is written or moved into its place has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordFile {
    inode: u64,
    bytes: u64,
    pub(super) changed_ns: i64,
}

/// The facts in the record of a shard.
#[derive(Debug, Clone, PartialEq)]
pub struct PackedShard {
    /// The file of the shard.
    pub entry: FileEntry,
    /// The report on it.
    pub report: ShardReport,
    /// The classes of arithmetic that computed it.
    pub numerics: Vec<Numerics>,
    /// The machine that computed it.
    pub machine: Machine,
    /// False if a remote that has the record does not have its objects.
    pub has_objects: bool,
    /// The identity of the record, from before it was read or after it was written.
    pub record: RecordFile,
}

/// The packed records of a stage's shards.
#[derive(Debug, Default)]
pub struct PackedShards {
    content: Vec<u8>,
    n_shards: usize,
}

/// The row of one shard.
#[derive(Debug, Clone, Copy)]
pub struct PackedRow<'a> {
    row: &'a [u8],
    texts: &'a [u8],
}

impl Records {
    /// The identity of the record of a key; `None` if there is none.
    pub fn file_of(&self, key: &Key) -> Option<RecordFile> {
        let metadata = fs::symlink_metadata(self.path(key)).ok().filter(fs::Metadata::is_file)?;
        let changed_ns = metadata.ctime().saturating_mul(1_000_000_000).saturating_add(metadata.ctime_nsec());
        Some(RecordFile { inode: metadata.ino(), bytes: metadata.len(), changed_ns })
    }

    /// The packed records of the shards whose manifests share lines with this digest. Empty if there is no such file,
    /// or it is damaged.
    pub fn packed_shards(&self, shared: &Digest) -> PackedShards {
        let content = read_if_there(&self.packed_path(shared)).ok().flatten();
        content.and_then(PackedShards::of).unwrap_or_default()
    }

    /// The row of a shard, if its record is the file that it was.
    pub fn packed<'a>(&self, shards: &'a PackedShards, key: &Key) -> Option<PackedRow<'a>> {
        let row = shards.row(key)?;
        (self.file_of(key)? == row.record()).then_some(row)
    }

    /// Packs the records of shards, in place of earlier ones of the same shared lines.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_packed(&self, shared: &Digest, shards: Vec<(Key, PackedShard)>) -> Result<(), StoreError> {
        self.workspace.write(&self.packed_path(shared), &to_bytes(shards), Durability::Lazy)
    }

    /// Removes the packed records that were written before `oldest`.
    pub(crate) fn forget_packed(&self, oldest: SystemTime) -> Result<(), StoreError> {
        for entry in list_folder(&self.packed)? {
            let is_old = entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|at| at < oldest);
            if is_old {
                remove_file(&entry.path())?;
            }
        }
        Ok(())
    }

    fn packed_path(&self, shared: &Digest) -> PathBuf {
        self.packed.join(shared.hex())
    }
}

impl PackedShards {
    /// Reads the file; `None` when it is damaged or of another format.
    fn of(content: Vec<u8>) -> Option<Self> {
        let (seal, sealed) = content.strip_prefix(HEADING)?.split_at_checked(32)?;
        if blake3::Hasher::new().update_rayon(sealed).finalize().as_bytes() != seal {
            return None;
        }
        let (n_shards, rows) = sealed.split_first_chunk()?;
        let n_shards = usize::try_from(u64::from_le_bytes(*n_shards)).ok()?;
        (rows.len() >= n_shards.checked_mul(ROW_BYTES)?).then_some(Self { content, n_shards })
    }

    /// The number of shards in it.
    pub fn n_shards(&self) -> usize {
        self.n_shards
    }

    fn row(&self, key: &Key) -> Option<PackedRow<'_>> {
        if self.n_shards == 0 {
            return None;
        }
        let (rows, texts) = self.content[HEADING.len() + 32 + 8..].split_at(self.n_shards * ROW_BYTES);
        let (rows, _) = rows.as_chunks::<ROW_BYTES>();
        let row_idx = rows.binary_search_by(|row| row[..32].cmp(key.0.as_bytes())).ok()?;
        Some(PackedRow { row: &rows[row_idx], texts })
    }
}

impl PackedRow<'_> {
    /// The file of the shard.
    pub fn entry(&self) -> FileEntry {
        let digest = self.row[56..88].try_into().expect("a row has its length");
        let executable = self.row[96] & IS_EXECUTABLE != 0;
        FileEntry { digest: Digest::from_bytes(digest), bytes: self.number(88), executable }
    }

    /// False if a remote that has the record does not have its objects.
    pub fn has_objects(&self) -> bool {
        self.row[96] & HAS_OBJECTS != 0
    }

    /// The classes of arithmetic that computed it, the machine that did, and the report on it.
    pub fn report(&self) -> Option<(Vec<Numerics>, Machine, ShardReport)> {
        let start = usize::try_from(self.number(97)).ok()?;
        let bytes = u32::from_le_bytes(self.row[105..109].try_into().expect("a row has its length"));
        serde_json::from_slice(self.texts.get(start..start.checked_add(bytes as usize)?)?).ok()
    }

    /// The identity of the record.
    pub fn record(&self) -> RecordFile {
        let changed_ns = i64::from_le_bytes(self.row[48..56].try_into().expect("a row has its length"));
        RecordFile { inode: self.number(32), bytes: self.number(40), changed_ns }
    }

    fn number(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.row[at..at + 8].try_into().expect("a row has its length"))
    }
}

/// The content of the file. Equal texts are written once: most shards of a stage have equal reports.
fn to_bytes(mut shards: Vec<(Key, PackedShard)>) -> Vec<u8> {
    shards.sort_unstable_by_key(|(key, _)| *key);
    shards.dedup_by_key(|(key, _)| *key);
    let mut content = Vec::with_capacity(HEADING.len() + 40 + shards.len() * (ROW_BYTES + 8));
    content.extend_from_slice(HEADING);
    content.extend_from_slice(&[0; 32]);
    content.extend_from_slice(&(shards.len() as u64).to_le_bytes());
    let (mut texts, mut places) = (Vec::new(), HashMap::new());
    for (key, PackedShard { entry, report, numerics, machine, has_objects, record }) in shards {
        let text = serde_json::to_vec(&(numerics, machine, report)).expect("plain data becomes JSON");
        let n_bytes = u32::try_from(text.len()).expect("the report on a shard has less than 4 GiB");
        let place: u64 = *places.entry(text).or_insert_with_key(|text| {
            let place = texts.len() as u64;
            texts.extend_from_slice(text);
            place
        });
        content.extend_from_slice(key.0.as_bytes());
        for number in [record.inode, record.bytes, record.changed_ns as u64] {
            content.extend_from_slice(&number.to_le_bytes());
        }
        content.extend_from_slice(entry.digest.as_bytes());
        content.extend_from_slice(&entry.bytes.to_le_bytes());
        let flags = [(entry.executable, IS_EXECUTABLE), (has_objects, HAS_OBJECTS)];
        content.push(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum());
        content.extend_from_slice(&place.to_le_bytes());
        content.extend_from_slice(&n_bytes.to_le_bytes());
    }
    content.extend_from_slice(&texts);
    let start = HEADING.len();
    let seal = *blake3::Hasher::new().update_rayon(&content[start + 32..]).finalize().as_bytes();
    content[start..start + 32].copy_from_slice(&seal);
    content
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Store;

    fn key(idx: u64) -> Key {
        Key(Digest::of(&idx.to_le_bytes()))
    }

    fn shard(idx: u64, record: RecordFile) -> PackedShard {
        let facts = [("resize".to_owned(), (idx % 2).to_string())].into();
        PackedShard {
            entry: FileEntry { executable: idx == 1, ..FileEntry::new(Digest::of(b"rows"), idx) },
            report: ShardReport { n_rows: 7, dim: Some(3), facts, ..ShardReport::default() },
            numerics: vec![Numerics::Fma],
            machine: Machine { host: format!("node{}", idx % 2), cards: vec![3] },
            has_objects: idx != 2,
            record,
        }
    }

    const RECORD: RecordFile = RecordFile { inode: 5, bytes: 6, changed_ns: -7 };

    #[test]
    fn each_shard_comes_back_and_no_flipped_bit_is_believed() {
        let mut content = to_bytes((0..9).map(|idx| (key(idx), shard(idx, RECORD))).collect());
        let index = PackedShards::of(content.clone()).unwrap();
        for idx in 0..9 {
            let (row, expect) = (index.row(&key(idx)).unwrap(), shard(idx, RECORD));
            assert_eq!((row.entry(), row.has_objects(), row.record()), (expect.entry, expect.has_objects, RECORD));
            assert_eq!(row.report(), Some((expect.numerics, expect.machine, expect.report)));
        }
        assert!(index.row(&key(9)).is_none());
        for byte_idx in 0..content.len() {
            content[byte_idx] ^= 1;
            assert!(PackedShards::of(content.clone()).is_none(), "byte {byte_idx}");
            content[byte_idx] ^= 1;
        }
        for n_bytes in 0..content.len() {
            assert!(PackedShards::of(content[..n_bytes].to_vec()).is_none(), "{n_bytes} bytes");
        }
    }

    #[test]
    fn a_row_counts_only_while_its_record_is_the_file_that_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("artifacts")).unwrap();
        let (records, shared) = (store.records(), Digest::of(b"shared"));
        for idx in 0..3 {
            records.workspace.write(&records.path(&key(idx)), b"record", Durability::Lazy).unwrap();
        }
        let shards = (0..3).map(|idx| (key(idx), shard(idx, records.file_of(&key(idx)).unwrap())));
        records.put_packed(&shared, shards.collect()).unwrap();
        let index = records.packed_shards(&shared);
        let counts = || [0, 1, 2].map(|idx| records.packed(&index, &key(idx)).is_some());
        assert_eq!((index.n_shards(), counts()), (3, [true, true, true]));
        // Replaced by equal bytes, which is a new file, and removed.
        records.workspace.write(&records.path(&key(0)), b"record", Durability::Lazy).unwrap();
        fs::remove_file(records.path(&key(1))).unwrap();
        assert_eq!(counts(), [false, false, true]);
        fs::write(records.packed_path(&shared), b"damaged").unwrap();
        assert_eq!(records.packed_shards(&shared).n_shards(), 0);
    }
}
