//! The program and the scripts that `run` names by their paths: they are watched without being listed as sources.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use pipeline_spec::{Node, absolute};

/// The file extensions of scripts.
const EXTENSIONS: [&str; 16] =
    ["R", "awk", "bash", "jl", "js", "lua", "mjs", "php", "pl", "py", "r", "rb", "sed", "sh", "ts", "zsh"];

/// The folders of the system's own programs. They are not watched: machines that share results differ in them.
const OF_THE_SYSTEM: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/nix", "/snap", "/opt/homebrew"];

/// The variable with the folder of the spec, in shell syntax.
const SPEC_DIR: [&str; 2] = ["$SPEC_DIR", "${SPEC_DIR}"];

/// The characters that end a path in a shell command.
const ENDS: [char; 15] = ['"', '\'', ' ', '\t', '\n', ';', '|', '&', '<', '>', '(', ')', '$', '`', '*'];

/// The programs that run the script in their arguments, without the version at the end (`python3.12`).
const INTERPRETERS: [&str; 27] = [
    "Rscript",
    "accelerate",
    "bash",
    "bun",
    "conda",
    "dash",
    "deno",
    "julia",
    "ksh",
    "lua",
    "luajit",
    "mamba",
    "micromamba",
    "node",
    "pdm",
    "perl",
    "php",
    "pipenv",
    "poetry",
    "pypy",
    "python",
    "ruby",
    "sh",
    "torchrun",
    "ts-node",
    "uv",
    "zsh",
];

/// Those of them for which `-c`, also among other letters, is the only option with code.
const SHELLS: [&str; 5] = ["bash", "dash", "ksh", "sh", "zsh"];

/// The script that an interpreter in `run` runs, named by a relative path. Since the program's own folder is empty, the
/// path can only start where those of sources do.
pub(super) struct Interpreted {
    /// Its index in `run`.
    pub(super) argument_idx: usize,
    /// Its absolute path; the file may be missing.
    pub(super) path: PathBuf,
}

impl Interpreted {
    /// Finds the script by the texts of `run` alone. Code and modules (`-c`, `-m`, `-e`) are none, and their arguments
    /// stay as they are, like the names of outputs.
    pub(super) fn find(run: &[Node], outputs: &[String]) -> Option<Self> {
        let (program, arguments) = run.split_first()?;
        let program = Path::new(program.as_str()?).file_name()?.to_str()?;
        let program = program.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
        if !INTERPRETERS.contains(&program) {
            return None;
        }
        let is_shell = SHELLS.contains(&program);
        for (idx, argument) in arguments.iter().enumerate() {
            let written = argument.as_str()?;
            if is_code(written, is_shell) {
                return None;
            }
            if !written.starts_with('-') && is_named_as_script(Path::new(written)) {
                let is_elsewhere = Path::new(written).is_absolute() || outputs.iter().any(|output| output == written);
                let path = absolute(argument.folder(), written);
                return (!is_elsewhere).then_some(Self { argument_idx: 1 + idx, path });
            }
        }
        None
    }
}

/// True for an option that is followed by code or the name of a module.
fn is_code(option: &str, is_shell: bool) -> bool {
    let Some(letters) = option.strip_prefix('-').filter(|letters| !letters.starts_with('-')) else {
        return matches!(option, "--eval" | "--print");
    };
    match is_shell {
        true => letters.contains('c'),
        // `python -W ignore` has a word after the letter; `perl -lne` has only letters.
        false => letters.len() <= 4 && letters.ends_with(['c', 'm', 'e', 'E', 'p']),
    }
}

/// The paths in `run` that may be a program or a script.
pub(super) struct Scripts {
    named: Vec<PathBuf>,
    spec_folder: PathBuf,
}

impl Scripts {
    /// Finds the paths by their text alone.
    pub(super) fn new(run: &[Node], spec_folder: &Path) -> Self {
        let arguments = run.iter().skip(1).flat_map(|argument| named_by(argument, spec_folder));
        let may_run = |path: &PathBuf| path.extension().is_none() || is_named_as_script(path);
        let named = run.first().and_then(program_path).into_iter().chain(arguments.filter(may_run)).collect();
        Self { named, spec_folder: spec_folder.to_owned() }
    }

    /// The existing files to watch: those that no source covers.
    pub(super) fn uncovered(&self, sources: &[&Path]) -> Vec<&Path> {
        let mut found: Vec<&Path> = Vec::new();
        for path in self.named.iter().map(PathBuf::as_path) {
            let is_covered = sources.iter().any(|source| path.starts_with(source));
            if !is_covered && !found.contains(&path) && self.is_watched(path) {
                found.push(path);
            }
        }
        found
    }

    /// The paths that were examined, without folders, whose times change with their content.
    pub(super) fn places(&self) -> impl Iterator<Item = PathBuf> {
        self.named.iter().filter(|path| !path.is_dir()).cloned()
    }

    fn is_watched(&self, path: &Path) -> bool {
        let Ok(metadata) = fs::metadata(path) else { return false };
        let may_run = is_named_as_script(path) || metadata.permissions().mode() & 0o111 != 0;
        metadata.is_file() && may_run && (path.starts_with(&self.spec_folder) || !is_of_the_system(path))
    }
}

/// The path of the program, if it is named by one. A relative path starts where those of sources do, since the
/// program's own folder is empty.
pub(super) fn program_path(program: &Node) -> Option<PathBuf> {
    let written = program.as_str().filter(|written| written.contains('/'))?;
    Some(absolute(program.folder(), written))
}

/// The path that an argument is, or those in a shell command.
fn named_by(argument: &Node, spec_folder: &Path) -> Vec<PathBuf> {
    let written = argument.as_str().unwrap_or_default();
    let is_path = written.contains('/') || is_named_as_script(Path::new(written));
    let mut paths = below_spec_dir(written, spec_folder);
    if enters_spec_dir(written) {
        let words = written.split(ENDS).map(Path::new).filter(|word| word.is_relative() && is_named_as_script(word));
        paths.extend(words.map(|word| absolute(spec_folder, &word.to_string_lossy())));
    }
    if is_path && !written.contains(ENDS) {
        paths.push(absolute(argument.folder(), written));
    }
    paths
}

/// The paths that begin with `$SPEC_DIR/` in a shell command, quoted or not.
fn below_spec_dir(text: &str, spec_folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for variable in SPEC_DIR {
        for (at, _) in text.match_indices(variable) {
            let rest = &text[at + variable.len()..];
            let rest = rest.strip_prefix('"').unwrap_or(rest);
            let Some(rest) = rest.strip_prefix('/') else { continue };
            let end = rest.find(ENDS).unwrap_or(rest.len());
            if end > 0 {
                paths.push(absolute(spec_folder, &rest[..end]));
            }
        }
    }
    paths
}

/// True for a shell command that enters the folder of the spec, so that later paths may be relative to it.
fn enters_spec_dir(text: &str) -> bool {
    SPEC_DIR.iter().any(|variable| {
        let quoted = format!("cd \"{variable}\"");
        text.contains(&quoted) || text.contains(&format!("cd {variable}"))
    })
}

fn is_named_as_script(path: &Path) -> bool {
    path.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| EXTENSIONS.contains(&extension))
}

/// Also true for a link to a program of the system, such as the `python` of a virtual environment.
fn is_of_the_system(path: &Path) -> bool {
    let at = fs::canonicalize(path);
    at.is_ok_and(|path| OF_THE_SYSTEM.iter().any(|folder| path.starts_with(folder)))
}

#[cfg(test)]
mod tests {
    use pipeline_spec::Value;

    use super::*;

    #[test]
    fn paths_of_the_specs_folder_are_found_in_a_text_for_a_shell() {
        for (text, expect) in [
            (r#"python "$SPEC_DIR/train.py" > o"#, vec!["/s/train.py"]),
            (
                r#"sh "$SPEC_DIR"/a.sh; ${SPEC_DIR}/b.sh && "${SPEC_DIR}/c/d.sh""#,
                vec!["/s/a.sh", "/s/b.sh", "/s/c/d.sh"],
            ),
            ("$SPEC_DIR/../tools/x.py|cat", vec!["/tools/x.py"]),
            (r#"cat "$SPEC_DIR"/notes/*"#, vec!["/s/notes"]),
            ("$SPEC_DIRECTORY/a.sh $SPEC_DIR", vec![]),
        ] {
            let expect: Vec<PathBuf> = expect.iter().map(PathBuf::from).collect();
            assert_eq!(below_spec_dir(text, Path::new("/s")), expect, "{text}");
        }
    }

    /// The list `run` of a stage.
    fn list(items: &str) -> Vec<Node> {
        let yaml = format!("stages: {{ a: {{ kind: x, params: {{ run: {items} }} }} }}");
        let spec = pipeline_spec::parse(&yaml, Path::new("/s/spec.yaml")).unwrap();
        let Value::List(items) = spec.stages[0].params.get("run").unwrap().value.clone() else { panic!("no list") };
        items
    }

    #[test]
    fn an_interpreter_runs_the_first_script_in_its_arguments() {
        for (run, expect) in [
            ("[python3, encode.py, other.py]", Some((1, "/s/encode.py"))),
            ("[/opt/v/bin/python3.12, -u, -W, ignore, lib/encode.py]", Some((4, "/s/lib/encode.py"))),
            ("[bash, -eu, ../go.sh]", Some((2, "/go.sh"))),
            ("[uv, run, --with, numpy, encode.py]", Some((4, "/s/encode.py"))),
            ("[python3, /a/encode.py, other.py]", None),
            ("[python3, -c, 'import this', x.py]", None),
            ("[python3, -m, pytest, x.py]", None),
            ("[bash, -lc, 'go \"$1\"', sh, x.sh]", None),
            ("[perl, -ne, print, x.pl]", None),
            ("[python3, made.py]", None),
            ("[cp, x.py, made.py]", None),
            ("[python3]", None),
        ] {
            let found = Interpreted::find(&list(run), &["made.py".to_owned()]);
            assert_eq!(
                found.map(|found| (found.argument_idx, found.path)),
                expect.map(|(idx, path)| (idx, path.into())),
                "{run}"
            );
        }
    }

    #[test]
    fn after_a_shell_went_to_the_specs_folder_names_are_paths() {
        let check = |text: &str, expect: &[&str]| {
            assert_eq!(
                named_by(&list(&format!("['{text}']"))[0], Path::new("/s")),
                expect.iter().map(PathBuf::from).collect::<Vec<_>>(),
                "{text}"
            );
        };
        check("cd \"$SPEC_DIR\" && python train.py lib/a.sh data.csv > \"$out\"/o", &["/s/train.py", "/s/lib/a.sh"]);
        check("cd $SPEC_DIR; ./go.sh", &["/s/go.sh"]);
        check("echo > made.py", &[]);
    }
}
