//! Runs of a spec with overrides: each set of them is remembered for itself, so that array tasks and trials do not
//! replace what is known of the others, nor of the spec as it is.
//!
//! The store knows a spec by its path. With overrides the path ends in `#set-` and a digest of them, and nothing lies
//! there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use pipeline_core::Digest;

const MARK: &[u8] = b"#set-";

/// The hexadecimal digits of the digest of overrides.
const DIGITS: usize = 16;

/// The path by which the store remembers runs of the spec at the path `spec` with these overrides, in their order;
/// without any it is that of the spec.
pub fn path_of_overrides<'a>(spec: &Path, overrides: impl IntoIterator<Item = &'a str>) -> PathBuf {
    let overrides: Vec<&str> = overrides.into_iter().collect();
    if overrides.is_empty() {
        return spec.to_owned();
    }
    let digest = Digest::of(&serde_json::to_vec(&overrides).expect("texts become JSON")).hex();
    let mut path = spec.as_os_str().to_owned();
    path.push(OsStr::from_bytes(MARK));
    path.push(&digest[..DIGITS]);
    path.into()
}

/// The path of the spec and the digest of the overrides; `None` for the path of a spec as it is.
pub(super) fn spec_and_overrides(path: &Path) -> Option<(&Path, &str)> {
    let (spec, digest) = path.as_os_str().as_bytes().split_at_checked(path.as_os_str().len().checked_sub(DIGITS)?)?;
    let (spec, digest) = (spec.strip_suffix(MARK)?, std::str::from_utf8(digest).ok()?);
    // A spec may be named like the overrides of another.
    let is_made = digest.bytes().all(|byte| byte.is_ascii_hexdigit()) && !path.exists();
    is_made.then(|| (Path::new(OsStr::from_bytes(spec)), digest))
}

/// Whether a file that remembers runs of a spec is about runs with overrides.
pub(crate) fn is_of_overrides(file: &Path) -> bool {
    file.file_stem().is_some_and(|name| name.as_bytes().contains(&b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_overrides_leads_back_to_the_spec() {
        let folder = tempfile::tempdir().unwrap();
        let spec = folder.path().join("issue#set-7.yaml");
        let set = |overrides: &[&str]| path_of_overrides(&spec, overrides.iter().copied());
        assert_eq!(set(&[]), spec);
        assert_eq!(spec_and_overrides(&spec), None);
        let paths = [set(&["a.params.k=1"]), set(&["a.params.k=2"]), set(&["a.params.k=1", "vars.n=1"])];
        for (idx, path) in paths.iter().enumerate() {
            assert_eq!(spec_and_overrides(path).unwrap().0, spec);
            assert!(paths[..idx].iter().all(|other| other != path));
        }
        std::fs::write(&paths[0], "a spec with an odd name").unwrap();
        assert_eq!(spec_and_overrides(&paths[0]), None);
        assert_eq!(spec_and_overrides(Path::new("short")), None);
    }
}
