//! Runs the programs of a cluster with a limit of time: one whose controller is gone may hang for minutes.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The pause between two looks at a running program.
const POLL: Duration = Duration::from_millis(20);

/// What a program left.
#[derive(Debug)]
pub struct Ended {
    /// Whether it ended with 0 in time.
    pub is_done: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// Runs a program to its end, or kills it after `limit`.
///
/// # Errors
/// When it cannot be started.
pub fn run(command: &mut Command, limit: Duration) -> std::io::Result<Ended> {
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if began.elapsed() >= limit => {
                child.kill()?;
                child.wait()?;
                break None;
            }
            None => thread::sleep(POLL),
        }
    };
    let Some(status) = status else {
        let stderr = format!("`{}` did not answer within {} s", name(command), limit.as_secs_f64());
        return Ok(Ended { is_done: false, stdout: String::new(), stderr });
    };
    let text = |thread: thread::JoinHandle<String>| thread.join().unwrap_or_default();
    Ok(Ended { is_done: status.success(), stdout: text(stdout), stderr: text(stderr) })
}

fn read(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error still helps.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn name(command: &Command) -> String {
    Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The words of a text of arguments; quotes and backslashes as a shell has them, and nothing else of a shell.
///
/// # Errors
/// When a quote is not closed.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote): (Vec<String>, Option<String>, Option<char>) = (Vec::new(), None, None);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            (_, Some(open)) if character == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(characters.next()),
            ('\'' | '"', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (_, None) if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    match quote {
        Some(open) => Err(format!("`{text}` has a {open} that is not closed")),
        None => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_split_as_a_shell_does_and_nothing_in_them_is_expanded() {
        let expect = ["--time", "2:00", "--comment=a b", "$(id)", "it's", ""];
        assert_eq!(words(r#" --time 2:00 --comment="a b" '$(id)' it\'s ''"#).unwrap(), expect);
        assert!(words("").unwrap().is_empty());
        assert_eq!(words("'a").unwrap_err(), "`'a` has a ' that is not closed");
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let began = Instant::now();
        let ended = run(Command::new("sh").args(["-c", "echo x; exec tail -f /dev/null"]), Duration::from_millis(50));
        let ended = ended.unwrap();
        assert!(!ended.is_done && ended.stderr.contains("`sh` did not answer within 0.05 s"), "{ended:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
