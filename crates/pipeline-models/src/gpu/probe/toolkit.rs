//! Looks for NVIDIA's run-time compiler and its headers: in the loader's path, in the folders of toolkits, and in the
//! wheels that PyTorch brings.
//!
//! Unsafe code: loads libraries by name, and sets the variable by which the framework finds the headers.

#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

use crate::gpu::{DeviceError, Toolkit};

/// The names by which the framework asks the loader, whose answer is a library that is loaded already.
const COMPILER: &[&str] = &["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11"];
/// The folders of libraries below a toolkit.
const LIBRARIES: &[&str] = &["lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"];
/// What every kernel includes, and what those for tensor cores do; of older wheels no single one has both.
const HEADERS: &[&str] = &["include/cuda_runtime.h", "include/crt/mma.h"];
/// The variable that names the toolkit, for the framework and for people.
const CUDA_PATH: &str = "CUDA_PATH";

/// The compiler, which is loaded, and the headers, which the framework knows.
///
/// # Errors
/// When one of them is in none of the places.
pub(super) fn found() -> Result<Toolkit, DeviceError> {
    static FOUND: OnceLock<Result<Toolkit, DeviceError>> = OnceLock::new();
    FOUND.get_or_init(find).clone()
}

/// Loads the compiler and names the headers to the framework.
fn find() -> Result<Toolkit, DeviceError> {
    let named = std::env::var_os(CUDA_PATH).map(PathBuf::from);
    let mut roots = toolkits(named.as_deref());
    let mut loaded = load_by_name();
    if loaded.is_none() {
        loaded = roots.iter().find_map(|root| load_below(root));
    }
    // Python is asked last: it takes a moment.
    if loaded.is_none() || !roots.iter().any(|root| has_headers(root)) {
        let wheels = wheels();
        loaded = loaded.or_else(|| wheels.iter().find_map(|root| load_below(root)));
        roots.extend(wheels);
    }
    let compiler = loaded.ok_or_else(|| DeviceError::NoCompiler { looked_in: roots.clone() })?;
    // Those of the compiler's own version first, unless people name others.
    let beside = compiler.ancestors().skip(2).take(3).map(Path::to_owned).filter(|_| named.is_none());
    let headers = beside.chain(roots.iter().cloned()).find(|root| has_headers(root));
    let headers = headers.ok_or(DeviceError::NoHeaders { looked_in: roots })?;
    // SAFETY: the program calls this before its threads begin; threads of Rust that read variables share its lock.
    unsafe { std::env::set_var(CUDA_PATH, &headers) };
    Ok(Toolkit { compiler, headers })
}

/// The folders of toolkits, the one that is named first, then the newest.
fn toolkits(named: Option<&Path>) -> Vec<PathBuf> {
    let listed = fs::read_dir("/usr/local").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_toolkit = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cuda"));
    let mut found: Vec<PathBuf> = listed.filter(is_toolkit).collect();
    // `cuda` itself is the one that was chosen, and sorts last of this order.
    found.sort_by_key(|path| (path.ends_with("cuda"), version(path)));
    let general = found.into_iter().rev().chain(["/opt/cuda", "/usr"].map(PathBuf::from));
    named.map(Path::to_owned).into_iter().chain(general).collect()
}

/// The numbers in the name of a toolkit's folder, such as those of `cuda-12.8`.
fn version(path: &Path) -> Vec<u32> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// The folders below `nvidia` in the packages of the Python in use, which are laid out like toolkits.
fn wheels() -> Vec<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join("python3")));
    let pythons = beside.filter(|python| python.is_file()).into_iter().chain(["python3".into(), "python".into()]);
    let asked = pythons.map(|python| {
        Command::new(python)
            .args(["-c", "import sys; print('\\n'.join(sys.path))"])
            .stderr(std::process::Stdio::null())
            .output()
    });
    let found = asked.flatten().find(|output| output.status.success());
    let paths = found.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    paths.lines().filter(|line| !line.is_empty()).flat_map(|path| wheels_in(Path::new(path))).collect()
}

fn wheels_in(packages: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(packages.join("nvidia")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = listed.filter(|path| path.is_dir()).collect();
    // The newest toolkit as a whole first, then the parts of older ones.
    found.sort_by_key(|path| (!path.join("include/crt/mma.h").is_file(), std::cmp::Reverse(version(path))));
    found
}

fn has_headers(root: &Path) -> bool {
    HEADERS.iter().all(|header| root.join(header).is_file())
}

/// The compiler that the loader finds by itself.
fn load_by_name() -> Option<PathBuf> {
    let name = COMPILER.iter().find(|name| load(OsStr::new(name)))?;
    Some(loaded_path().unwrap_or_else(|| PathBuf::from(name)))
}

/// The compiler below a toolkit's folder, with what it loads by name itself.
fn load_below(root: &Path) -> Option<PathBuf> {
    LIBRARIES.iter().find_map(|folder| {
        let names = fs::read_dir(root.join(folder)).ok()?.flatten().map(|entry| entry.path());
        let starts = |path: &PathBuf, start: &str| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start)) && !is_alternative(path)
        };
        let mut names: Vec<PathBuf> = names.filter(|path| starts(path, "libnvrtc")).collect();
        names.sort();
        names.iter().filter(|path| starts(path, "libnvrtc-builtins.so")).for_each(|path| {
            load(path.as_os_str());
        });
        names.iter().rev().find(|path| starts(path, "libnvrtc.so") && load(path.as_os_str())).cloned()
    })
}

/// A second build of the compiler that wheels bring.
fn is_alternative(path: &Path) -> bool {
    path.to_string_lossy().contains(".alt.")
}

/// Loads a library for the rest of the process: the loader gives it to whoever asks by its name.
fn load(name: &OsStr) -> bool {
    // SAFETY: these libraries are NVIDIA's; loading them runs their initialisers, which have no precondition.
    match unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => {
            std::mem::forget(library);
            true
        }
        Err(_) => false,
    }
}

/// The path of the compiler that is loaded.
fn loaded_path() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| &line[at..]))
        .find(|path| path.rsplit('/').next().is_some_and(|name| name.starts_with("libnvrtc.so")));
    path.map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: PathBuf) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn a_library_that_is_not_there_is_no_panic() {
        assert!(!load(OsStr::new("libmade_up_for_a_test.so")));
        assert_eq!(load_below(Path::new("/made/up")), None);
        // A file that is no library is passed over.
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join("lib/libnvrtc.so.13"));
        assert_eq!(load_below(folder.path()), None);
    }

    #[test]
    fn the_named_toolkit_is_first_and_the_general_places_follow() {
        let found = toolkits(Some(Path::new("/my/cuda")));
        assert_eq!(found.first().unwrap(), Path::new("/my/cuda"));
        assert_eq!(found.last().unwrap(), Path::new("/usr"));
        assert!(version(Path::new("/usr/local/cuda-12.10")) > version(Path::new("/usr/local/cuda-12.9")));
    }

    #[test]
    fn a_toolkit_has_both_headers() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_headers(folder.path()));
        HEADERS.iter().for_each(|header| write(folder.path().join(header)));
        assert!(has_headers(folder.path()));
    }

    #[test]
    fn of_wheels_the_whole_toolkit_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for wheel in ["cublas/lib/x", "cuda_runtime/include/mma.h", "cu13/include/crt/mma.h"] {
            write(folder.path().join("nvidia").join(wheel));
        }
        let found = wheels_in(folder.path());
        assert!(found[0].ends_with("nvidia/cu13"), "{found:?}");
        assert_eq!(found.len(), 3);
    }
}
