//! An open checkpoint: the list of its tensors, and their numbers on request.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::choose::unwrapped;
use super::contents::{Contents, Entry, Storage};
use super::element::read_numbers;
use super::pytorch::zip::Record;
use super::shown::shown;
use super::trouble::Trouble;
use super::view::View;
use super::{ModelError, pytorch, safetensors};

/// The memory that tensors may take in any case, whatever the size of their file.
const MIN_BUDGET_BYTES: u64 = 256 << 20;

/// The largest ratio of a checkpoint's tensors to its file size: half precision, shared and deflated at once.
const BUDGET_PER_BYTE: u64 = 8;

/// An open checkpoint.
pub(crate) struct CheckpointFile {
    path: PathBuf,
    file: File,
    n_bytes: u64,
    pub(super) contents: Contents,
    /// The remaining memory for tensors.
    budget: Cell<u64>,
    /// Storages whose checksums were verified.
    is_checked: RefCell<Vec<bool>>,
    /// Deflated storages that several tensors share.
    inflated: RefCell<HashMap<usize, Vec<f32>>>,
}

impl CheckpointFile {
    /// Opens a checkpoint and reads its contents, but no numbers.
    ///
    /// # Errors
    /// When the file cannot be read or is not a checkpoint.
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        Self::try_open(path).map_err(|trouble| trouble.at(path))
    }

    fn try_open(path: &Path) -> Result<Self, Trouble> {
        let file = pipeline_files::open(path).map_err(Trouble::Read)?;
        let n_bytes = file.metadata().map_err(Trouble::Read)?.len();
        let mut start = Vec::new();
        (&file).take(512).read_to_end(&mut start).map_err(Trouble::Read)?;
        let contents = match format(&start)? {
            Format::Safetensors => safetensors::contents(&file, n_bytes)?,
            Format::Pytorch => pytorch::contents(&file, n_bytes, &start)?,
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            n_bytes,
            is_checked: RefCell::new(vec![false; contents.storages.len()]),
            contents,
            budget: Cell::new(MIN_BUDGET_BYTES.max(n_bytes.saturating_mul(BUDGET_PER_BYTE))),
            inflated: RefCell::default(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// True if it has no tensors.
    pub(crate) fn is_empty(&self) -> bool {
        self.contents.entries.is_empty()
    }

    /// The names of all tensors, those of their dicts included, without the parts that wrappers add.
    pub(super) fn names(&self) -> Vec<String> {
        self.contents.entries.iter().map(|entry| unwrapped(&entry.full_name())).collect()
    }

    /// The metadata of a safetensors file under `name`.
    pub(crate) fn metadata(&self, name: &str) -> Option<&str> {
        self.contents.metadata.as_ref()?.get(name).map(String::as_str)
    }

    /// The numbers of a tensor, the last axis contiguous; half and double precision become `f32`.
    ///
    /// # Errors
    /// When the numbers are missing or damaged, are not floating-point, or would take more memory than the tensors of
    /// such a file can need.
    pub(super) fn read(&self, entry: &Entry) -> Result<Vec<f32>, ModelError> {
        let view = self.readable(entry)?;
        self.numbers(view).map_err(|trouble| at_tensor(entry, trouble).at(&self.path))
    }

    /// The place of a tensor, as far as the contents show that it can be read.
    ///
    /// # Errors
    /// Those of [`CheckpointFile::read`] that do not lie in the numbers.
    pub(super) fn readable<'a>(&self, entry: &'a Entry) -> Result<&'a View, ModelError> {
        let name = || shown(&entry.full_name());
        let wrong = |problem: String| Trouble::new(problem).at(&self.path);
        let view = entry.place.as_ref().map_err(|problem| wrong(format!("holds {}, which {problem}", name())))?;
        if !view.element.is_float() {
            let element = view.element.name();
            return Err(wrong(format!("holds {} as {element} instead of floating-point numbers", name())));
        }
        self.spend(view.n_numbers()).map_err(|trouble| at_tensor(entry, trouble).at(&self.path))?;
        Ok(view)
    }

    /// Takes the memory of `n_numbers` out of the budget.
    fn spend(&self, n_numbers: usize) -> Result<(), Trouble> {
        let left = self.budget.get().checked_sub((n_numbers as u64).saturating_mul(4));
        let too_large = || Trouble::new("has tensors that are too large for so small a file");
        self.budget.set(left.ok_or_else(too_large)?);
        Ok(())
    }

    fn numbers(&self, view: &View) -> Result<Vec<f32>, Trouble> {
        let covered = view.covered();
        let covered = match &self.contents.storages[view.storage_idx] {
            _ if covered.is_empty() => Vec::new(),
            Storage::Span { start } => self.read_at(*start, view)?,
            Storage::Record(record) => {
                let n_stored = (record.n_bytes / view.element.bytes() as u64) as usize;
                if covered.start == 0 && covered.end == n_stored {
                    if !record.is_stored() && view.n_numbers() < n_stored {
                        self.spend(n_stored)?;
                    }
                    self.read_whole(record, view, n_stored)?
                } else if record.is_stored() {
                    self.check(record, view.storage_idx)?;
                    self.read_at(record.start(&self.file, self.n_bytes)?, view)?
                } else {
                    self.read_inflated(record, view, n_stored)?
                }
            }
        };
        Ok(view.gather(covered))
    }

    /// The part of a storage beginning at `start` that a view covers.
    fn read_at(&self, start: u64, view: &View) -> Result<Vec<f32>, Trouble> {
        let (covered, width) = (view.covered(), view.element.bytes() as u64);
        let range = start + covered.start as u64 * width..start + covered.end as u64 * width;
        if range.end > self.n_bytes {
            return Err(Trouble::new("is cut off"));
        }
        let mut file = &self.file;
        file.seek(SeekFrom::Start(range.start))?;
        Ok(read_numbers(&mut file, view.element, covered.len(), self.contents.is_swapped)?)
    }

    /// A whole storage; verifies its checksum on the way.
    fn read_whole(&self, record: &Record, view: &View, n_stored: usize) -> Result<Vec<f32>, Trouble> {
        let mut bytes = record.open(&self.file, self.n_bytes)?;
        let values = read_numbers(&mut bytes, view.element, n_stored, self.contents.is_swapped)?;
        bytes.finish()?;
        self.is_checked.borrow_mut()[view.storage_idx] = true;
        Ok(values)
    }

    /// Verifies a storage of which only a part is read, once.
    fn check(&self, record: &Record, storage_idx: usize) -> Result<(), Trouble> {
        if !self.is_checked.borrow()[storage_idx] {
            record.open(&self.file, self.n_bytes)?.finish()?;
            self.is_checked.borrow_mut()[storage_idx] = true;
        }
        Ok(())
    }

    /// A part of a deflated storage, which is inflated once and kept for the other parts.
    fn read_inflated(&self, record: &Record, view: &View, n_stored: usize) -> Result<Vec<f32>, Trouble> {
        if !self.inflated.borrow().contains_key(&view.storage_idx) {
            self.spend(n_stored)?;
            let values = self.read_whole(record, view, n_stored)?;
            self.inflated.borrow_mut().insert(view.storage_idx, values);
        }
        let inflated = self.inflated.borrow();
        Ok(inflated[&view.storage_idx][view.covered()].to_vec())
    }
}

/// A fault in the numbers of a tensor, with its name.
fn at_tensor(entry: &Entry, trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Malformed(problem) => Trouble::Malformed(format!("{problem} (at {})", shown(&entry.full_name()))),
        other => other,
    }
}

enum Format {
    Safetensors,
    Pytorch,
}

/// Distinguishes the two formats by the first bytes of a file, and refuses all others.
fn format(start: &[u8]) -> Result<Format, Trouble> {
    let text = String::from_utf8_lossy(start).trim_start().to_ascii_lowercase();
    if start.is_empty() {
        return Err(Trouble::new("is empty"));
    }
    if text.starts_with("version https://git-lfs") {
        return Err(Trouble::new("is a Git LFS pointer and not the weights: fetch them with `git lfs pull`"));
    }
    if text.starts_with("<!doctype") || text.starts_with("<html") || text.starts_with("<?xml") {
        return Err(Trouble::new("is a web page and not the weights: the download went wrong"));
    }
    // A header's length in eight bytes, then JSON. Its first byte may be that of a pickle, its ninth never is.
    Ok(if start.get(8) == Some(&b'{') { Format::Safetensors } else { Format::Pytorch })
}
