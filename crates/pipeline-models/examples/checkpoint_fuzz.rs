//! Reads damaged checkpoints in an endless loop, to find inputs that make the reader crash, hang or take too much
//! memory.
//!
//! `checkpoint_fuzz SECONDS SEED FOLDER` changes the files of FOLDER at random: their bytes and, in zip archives, the
//! files within, with correct checksums. It prints counts and fails at the first input that takes more than five
//! seconds or raises the peak above a gibibyte. The last input stays at the printed path.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pipeline_models::checkpoint::{Checkpoint, read_tensors};
use pipeline_models::image::{ImageModelFiles, image_dim};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

const MAX_SEED_BYTES: u64 = 512 << 10;
const MAX_TIME: Duration = Duration::from_secs(5);
const MAX_MEMORY_KIB: u64 = 1 << 20;

/// Values at the edges of the checks.
const EDGES: [u64; 10] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, i64::MAX as u64, u64::MAX];

/// Opcodes of pickles, which find more faults than random bytes do.
const OPCODES: &[u8] = b"().012FIJKLMNPQRSTUVXabcdeghijlopqrstu}]GBC\
    \x80\x81\x82\x85\x86\x87\x88\x8a\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [seconds, seed, folder] = args.as_slice() else { return Err("checkpoint_fuzz SECONDS SEED FOLDER".into()) };
    let (time, mut random) = (Duration::from_secs(seconds.parse()?), Random(seed.parse::<u64>()? | 1));
    let seeds = seeds(Path::new(folder))?;
    let scratch = tempfile_path(*args[1].as_bytes().first().unwrap_or(&b'0'));
    let weights = vec![scratch.clone()];
    let files = ImageModelFiles { model: String::new(), config: None, open_clip: None, preprocessor: None, weights };
    println!("{} seeds; the last input is {}", seeds.len(), scratch.display());
    let (start, mut n_inputs, mut n_read, mut slowest) = (Instant::now(), 0u64, 0u64, Duration::ZERO);
    while start.elapsed() < time {
        let input = mutated(&seeds, &mut random);
        std::fs::write(&scratch, &input)?;
        let before = Instant::now();
        n_read += u64::from(read_tensors(&scratch).is_ok());
        // Reading one model from it takes other code paths.
        let _ = Checkpoint::read(&scratch);
        let _ = image_dim(&files);
        let took = before.elapsed();
        n_inputs += 1;
        slowest = slowest.max(took);
        if took > MAX_TIME {
            return Err(format!("{} took {took:?}", scratch.display()).into());
        }
        if n_inputs.is_multiple_of(256) && peak_kib() > MAX_MEMORY_KIB {
            return Err(
                format!("{} KiB were needed at an input not long before {}", peak_kib(), scratch.display()).into()
            );
        }
    }
    println!("{n_inputs} inputs, {n_read} of them read; slowest {slowest:?}, peak of memory {} MiB", peak_kib() >> 10);
    Ok(std::fs::remove_file(&scratch)?)
}

/// In memory, where such a folder exists.
fn tempfile_path(letter: u8) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("checkpoint-fuzz-{}-{}", std::process::id(), char::from(letter)))
}

fn seeds(folder: &Path) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    paths.retain(|path| path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_SEED_BYTES));
    let seeds: Vec<Vec<u8>> = paths.iter().map(std::fs::read).collect::<Result<_, _>>()?;
    if seeds.is_empty() { Err("the folder has no small files".into()) } else { Ok(seeds) }
}

fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let seed = &seeds[random.below(seeds.len())];
    let files = if random.below(4) > 0 { unpacked(seed) } else { None };
    let Some(mut files) = files else {
        let mut bytes = seed.clone();
        change(&mut bytes, random);
        return bytes;
    };
    let pickle = files.iter().position(|(name, _)| name.ends_with("data.pkl")).unwrap_or(0);
    let changed = if random.below(4) > 0 { pickle } else { random.below(files.len()) };
    match random.below(16) {
        0 => drop(files.remove(changed)),
        1 => {
            let other = seeds[random.below(seeds.len())].clone();
            files[changed].1 = other;
        }
        _ => change(&mut files[changed].1, random),
    }
    packed(&files).unwrap_or_else(|| seed.clone())
}

type Files = Vec<(String, Vec<u8>)>;

/// The stored files of a zip archive.
fn unpacked(bytes: &[u8]) -> Option<Files> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut files = Vec::new();
    for idx in 0..archive.len() {
        let mut file = archive.by_index(idx).ok()?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).ok()?;
        files.push((file.name().to_owned(), content));
    }
    (!files.is_empty()).then_some(files)
}

fn packed(files: &Files) -> Option<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        archive.start_file(name.as_str(), options).ok()?;
        archive.write_all(content).ok()?;
    }
    Some(archive.finish().ok()?.into_inner())
}

/// One to eight small changes.
fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len().max(1));
        let end = (at + 1 + random.below(40)).min(bytes.len());
        match random.below(9) {
            _ if bytes.is_empty() => bytes.push(random.next() as u8),
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes[at] = OPCODES[random.below(OPCODES.len())],
            3 => bytes.insert(at, OPCODES[random.below(OPCODES.len())]),
            4 => drop(bytes.drain(at..end)),
            5 => {
                let most = 1 << random.below(12);
                let copy = bytes[at..end].repeat(1 + random.below(most));
                let target = random.below(bytes.len());
                bytes.splice(target..target, copy);
            }
            6 => bytes.truncate(at),
            7 => {
                let edge = EDGES[random.below(EDGES.len())].to_le_bytes();
                let width = [1, 2, 4, 8][random.below(4)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&edge[..width]);
            }
            _ => {
                let other = random.below(bytes.len());
                bytes.swap(at, other);
            }
        }
    }
}

/// The peak memory of this process, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Marsaglia's xorshift64*: the same seed gives the same inputs.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}
