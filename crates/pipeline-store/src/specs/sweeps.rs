//! The sweeps of a spec: remembered beside its runs, since their stages are others under the same names.
//!
//! The store knows a spec by its path. The path of its sweeps ends in `#sweep`, and nothing lies there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const MARK: &str = "#sweep";

/// The path by which the store remembers the sweeps of the spec at the path `spec`.
pub fn path_of_sweeps(spec: &Path) -> PathBuf {
    let mut path = spec.as_os_str().to_owned();
    path.push(MARK);
    path.into()
}

/// The path of the spec to which a path of sweeps belongs; `None` for every other path.
pub(crate) fn swept_spec(path: &Path) -> Option<&Path> {
    path.as_os_str().as_bytes().strip_suffix(MARK.as_bytes()).map(|spec| Path::new(OsStr::from_bytes(spec)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_sweeps_leads_back_to_the_spec() {
        for spec in ["/a/demo.yaml", "/a/issue#7/demo.yaml", "/a/#sweep"] {
            let spec = Path::new(spec);
            assert_eq!(swept_spec(&path_of_sweeps(spec)), Some(spec));
        }
        assert_eq!(path_of_sweeps(Path::new("/a/demo.yaml")), Path::new("/a/demo.yaml#sweep"), "stores hold this");
        assert_eq!(swept_spec(Path::new("/a/issue#7/demo.yaml")), None);
    }
}
