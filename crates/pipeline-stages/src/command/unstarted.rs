//! Advice on a program that cannot be started: what is wrong with its file, or what name is meant.

use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use pipeline_spec::nearest;
use rustix::io::Errno;

use super::params::{flow_list, needs_shell};

/// The longest first line of a script that is read, in bytes.
const MAX_FIRST_LINE: u64 = 256;

/// The most programs that are compared with a name.
const MAX_PROGRAMS: usize = 20_000;

/// The programs that run scripts, by the ending of the script.
const INTERPRETERS: &[(&str, &str)] = &[
    ("R", "Rscript"),
    ("bash", "bash"),
    ("jl", "julia"),
    ("js", "node"),
    ("lua", "lua"),
    ("pl", "perl"),
    ("py", "python3"),
    ("r", "Rscript"),
    ("rb", "ruby"),
    ("sh", "sh"),
    ("zsh", "zsh"),
];

/// A program as a spec names it.
pub(super) struct NamedProgram<'a> {
    /// The words of `run`.
    pub(super) run: &'a [String],
    /// Its absolute path, if it is named by one.
    pub(super) path: Option<&'a Path>,
    pub(super) spec_folder: &'a Path,
    /// The folders of programs.
    pub(super) search: &'a str,
}

impl NamedProgram<'_> {
    /// Advice on the reason why it could not be started.
    pub(super) fn help(&self, error: &io::Error) -> String {
        let name = &self.run[0];
        if let Some(help) = self.one_text() {
            return help;
        }
        let Some(path) = self.path else { return self.on_path() };
        match std::fs::metadata(path) {
            Err(_) => self.not_there(path),
            Ok(found) if found.is_dir() => format!("`{name}` is a folder: name the program in it"),
            Ok(found) if found.permissions().mode() & 0o111 == 0 => self.not_executable(),
            Ok(_) if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
                let line = interpreter(path)
                    .map_or("#!/path/of/interpreter".to_owned(), |name| format!("#!/usr/bin/env {name}"));
                format!("it has no `#!` line: begin it with `{line}`{}", self.by_interpreter())
            }
            Ok(_) if error.kind() == ErrorKind::NotFound => self.no_interpreter(path),
            Ok(_) => "`run` names a program or a script that may be executed".to_owned(),
        }
    }

    /// Advice on a whole command in one text; `None` where the text is a name.
    pub(super) fn one_text(&self) -> Option<String> {
        let [only] = self.run else { return None };
        let words: Vec<&str> = only.split_whitespace().collect();
        let is_file = self.spec_folder.join(only).exists();
        (words.len() > 1 && !is_file).then(|| match needs_shell(only) {
            true => format!("a shell must be named: `run: {}`", flow_list(["sh", "-c", only])),
            false => format!("list the program and its arguments one by one: `run: {}`", flow_list(words)),
        })
    }

    /// Advice on a file that is there and may not be executed.
    pub(super) fn not_executable(&self) -> String {
        let name = &self.run[0];
        let shown = self.path.map_or(name.clone(), |path| path.display().to_string());
        format!("make it a program: `chmod +x {shown}`{}", self.by_interpreter())
    }

    /// The other way: the interpreter in `run`.
    fn by_interpreter(&self) -> String {
        let by = self.path.and_then(interpreter).map(|program| {
            let words = std::iter::once(program).chain(self.run.iter().map(String::as_str));
            format!(", or name its interpreter: `run: {}`", flow_list(words))
        });
        by.unwrap_or_default()
    }

    /// Advice on a script whose first line leads nowhere.
    fn no_interpreter(&self, path: &Path) -> String {
        let first = first_line(path);
        match first.strip_prefix("#!") {
            Some(_) if first.ends_with('\r') => windows_lines(path),
            Some(interpreter) => {
                let program = interpreter.split_whitespace().next().unwrap_or_default();
                format!("its first line names `{program}`, which is not there{}", self.by_interpreter())
            }
            None => "a library that it needs is not there".to_owned(),
        }
    }

    /// Advice on a path that leads nowhere.
    fn not_there(&self, path: &Path) -> String {
        if let Some(path) = elsewhere(&self.run[0], self.spec_folder) {
            return format!("there is no such file: did you mean `{path}`?");
        }
        crate::missing_file::help(path).map_or_else(
            || "a path in `run` is relative to the spec file, like a source".to_owned(),
            |help| help.replace("did you mean", "there is no such file: did you mean"),
        )
    }

    /// Advice on a name that no folder of programs has.
    fn on_path(&self) -> String {
        let name = self.run[0].as_str();
        if let Some(path) = elsewhere(name, self.spec_folder) {
            return format!("a path has a `/`: write `{path}`, from the folder of the spec");
        }
        match near_program(name, self.search) {
            Some(near) => format!("no program has this name; did you mean `{near}`?"),
            None => format!(
                "no folder of PATH has `{name}`: install it, or name it by its path; a script of yours is `[python3, \
                {name}]`"
            ),
        }
    }
}

/// The path from the folder of the spec to a file of this name in a place where scripts often lie.
pub(super) fn elsewhere(name: &str, spec_folder: &Path) -> Option<String> {
    let folders = ["./", "../", "scripts/", "../scripts/", "src/", "../src/"];
    let found = folders.into_iter().find(|folder| spec_folder.join(folder).join(name).is_file())?;
    Some(format!("{found}{name}"))
}

/// The first line of a file with its carriage return; empty where it is no text.
fn first_line(path: &Path) -> String {
    let mut text = String::new();
    if let Ok(file) = pipeline_files::open(path) {
        // What is no text has no such line.
        let _ = file.take(MAX_FIRST_LINE).read_to_string(&mut text);
    }
    text.split('\n').next().unwrap_or_default().to_owned()
}

/// Advice on a script with the line ends of Windows.
pub(super) fn windows_lines(path: &Path) -> String {
    format!("its lines end as on Windows: `sed -i 's/\\r$//' {}`", path.display())
}

/// The program in the folders of `search` whose name is nearest.
pub(super) fn near_program(name: &str, search: &str) -> Option<String> {
    let folders = std::env::split_paths(search).filter(|folder| folder.is_absolute());
    let entries = folders.flat_map(|folder| folder.read_dir().into_iter().flatten().flatten()).take(MAX_PROGRAMS);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names.dedup();
    nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
}

fn interpreter(path: &Path) -> Option<&'static str> {
    let ending = path.extension()?.to_str()?;
    INTERPRETERS.iter().find(|(known, _)| *known == ending).map(|(_, program)| *program)
}

/// The file of a program that is there and may not be executed.
pub(super) fn is_not_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 == 0)
}

/// The advice on what a program printed before it failed.
pub(super) fn of_output(code: i32, printed: &str, search: &str, program: &Path) -> Option<String> {
    let line = |sign: &str| printed.lines().rev().find(|line| line.contains(sign));
    if let Some(line) = line("ModuleNotFoundError: No module named") {
        let module = line.rsplit('\'').nth(1).unwrap_or("it").split('.').next().unwrap_or_default().to_owned();
        let is_python = program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python"));
        let of = if is_python { format!("`{}`", program.display()) } else { "the Python that runs it".to_owned() };
        return Some(format!(
            "install `{module}` for {of}, or name the Python that has it: `run: [/path/to/venv/bin/python, …]`"
        ));
    }
    if let Some(line) = line("KeyError: 'INPUT_") {
        let variable = line.rsplit('\'').nth(1)?;
        let slot = variable.strip_prefix("INPUT_")?.to_lowercase();
        return Some(format!("an input gives that variable: `inputs: {{ {slot}: STAGE }}`"));
    }
    if code != 127 {
        return None;
    }
    let line = line("not found").or_else(|| line("No such file or directory"))?;
    let quoted = line.split(['\'', '‘', '’']).nth(1);
    let before = || {
        let text = line.trim_end().strip_suffix("not found")?.trim_end().trim_end_matches("command").trim_end();
        text.trim_end_matches(':').rsplit(": ").next()
    };
    let word = quoted.or_else(before)?;
    if word.ends_with('\r') || word.ends_with("\\r") {
        let first = first_line(program);
        return Some(match first.starts_with("#!") && first.ends_with('\r') {
            true => windows_lines(program),
            // A shell or an interpreter is no script: what it starts is.
            false => "a script that it starts has the line ends of Windows".to_owned(),
        });
    }
    let near = near_program(word, search)?;
    Some(format!("no program is called `{word}`; did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn help(folder: &Path, run: &[&str], errno: i32) -> String {
        let run: Vec<String> = run.iter().map(|word| (*word).to_owned()).collect();
        let path = run[0].contains('/').then(|| folder.join(&run[0]));
        let search = folder.join("bin").to_string_lossy().into_owned();
        let named = NamedProgram { run: &run, path: path.as_deref(), spec_folder: folder, search: &search };
        named.help(&io::Error::from_raw_os_error(errno)).replace(&folder.to_string_lossy().into_owned(), "S")
    }

    #[test]
    fn each_reason_has_its_own_way() {
        let top = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str, mode: u32| {
            let path = top.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        file("bin/python3", "", 0o755);
        file("scripts/a.py", "print(1)\n", 0o644);
        file("scripts/b.py", "print(1)\n", 0o755);
        file("scripts/c.py", "#!/usr/bin/pyhton3\n", 0o755);
        file("scripts/d.py", "#!/usr/bin/env python3\r\n", 0o755);
        for (run, errno, expect) in [
            (&["pyhton3", "a.py"][..], 2, "no program has this name; did you mean `python3`?"),
            (&["a.py"], 2, "a path has a `/`: write `scripts/a.py`, from the folder of the spec"),
            (&["python3 a.py"], 2, "list the program and its arguments one by one: `run: [python3, a.py]`"),
            (&["a.py > b"], 2, "a shell must be named: `run: [sh, -c, 'a.py > b']`"),
            (
                &["scripts/a.py", "-x"],
                13,
                "make it a program: `chmod +x S/scripts/a.py`, or name its interpreter: `run: [python3, scripts/a.py, \
                -x]`",
            ),
            (
                &["scripts/b.py"],
                8,
                "it has no `#!` line: begin it with `#!/usr/bin/env python3`, or name its interpreter: \
                 `run: [python3, scripts/b.py]`",
            ),
            (
                &["scripts/c.py"],
                2,
                "its first line names `/usr/bin/pyhton3`, which is not there, or name its interpreter: \
                 `run: [python3, scripts/c.py]`",
            ),
            (&["scripts/d.py"], 2, "its lines end as on Windows: `sed -i 's/\\r$//' S/scripts/d.py`"),
            (&["./scripts"], 13, "`./scripts` is a folder: name the program in it"),
            (&["scripts/aa.py"], 2, "there is no such file: did you mean `a.py`? it is in that folder"),
        ] {
            assert_eq!(help(top.path(), run, errno), expect, "{run:?}");
        }
    }

    #[test]
    fn what_a_program_printed_has_advice() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("python3"), "").unwrap();
        let script = top.path().join("x.sh");
        fs::write(&script, "#!/usr/bin/env python3\r\n").unwrap();
        let search = top.path().to_string_lossy().into_owned();
        let shown = |help: String| help.replace(&search, "S");
        let printed = "env: 'python3\\r': No such file or directory";
        let windows = of_output(127, printed, &search, &script).map(shown);
        assert_eq!(windows.as_deref(), Some("its lines end as on Windows: `sed -i 's/\\r$//' S/x.sh`"));
        let module = of_output(1, "ModuleNotFoundError: No module named 'a'", &search, Path::new("/bin/python3.12"));
        assert!(module.unwrap().starts_with("install `a` for `/bin/python3.12`, or name the Python that has it"));
        let of = |code, printed| of_output(code, printed, &search, Path::new("/bin/sh"));
        for (code, printed, expect) in [
            (127, "sh: 1: pyhton3: not found", Some("no program is called `pyhton3`; did you mean `python3`?")),
            (
                127,
                "bash: line 1: pyhton3: command not found",
                Some("no program is called `pyhton3`; did you mean `python3`?"),
            ),
            (
                127,
                "/usr/bin/env: 'pyhton3': No such file or directory",
                Some("no program is called `pyhton3`; did you mean `python3`?"),
            ),
            (
                127,
                "env: 'python3\\r': No such file or directory",
                Some("a script that it starts has the line ends of Windows"),
            ),
            (
                1,
                "ModuleNotFoundError: No module named 'a.b'",
                Some(
                    "install `a` for the Python that runs it, or name the Python that has it: \
                     `run: [/path/to/venv/bin/python, …]`",
                ),
            ),
            (1, "KeyError: 'INPUT_QUERIES'", Some("an input gives that variable: `inputs: { queries: STAGE }`")),
            (1, "boom", None),
        ] {
            assert_eq!(of(code, printed).as_deref(), expect, "{printed}");
        }
    }
}
