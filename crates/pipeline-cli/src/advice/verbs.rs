//! Commands under the names that other tools give them.

use pipeline_spec::nearest;

use crate::args;

/// Words, and the command that does what they say.
const VERBS: &[(&[&str], &str, &str)] = &[
    (
        &[
            "repro", "build", "make", "train", "exec", "execute", "start", "eval", "evaluate", "fit", "apply",
            "update", "queue",
        ],
        "run SPEC",
        "brings every stage of a spec up to date",
    ),
    (
        &["resume", "restart", "continue", "retry"],
        "run SPEC",
        "goes on where a run has stopped: what is finished is cached",
    ),
    (
        &["list", "ls", "log", "history", "exp", "experiments", "experiment", "leaderboard", "metrics", "params"],
        "runs",
        "lists the runs with their params and metrics",
    ),
    (&["show", "logs", "replay"], "runs last", "shows the last run again"),
    (&["best", "top"], "runs --sort -mean_recall --limit 1", "lists the best run"),
    (
        &["tag", "name", "note", "label", "rename"],
        "runs RUN --tag TAG",
        "tags a run; `--name` and `--note` are beside it",
    ),
    (&["pin", "keep"], "runs RUN --pin", "keeps the results of a run"),
    (&["prune", "delete", "forget"], "runs --prune", "removes old runs from the history"),
    (&["gc", "clean", "clear", "purge", "rm", "remove"], "cache gc", "deletes results that are not in use"),
    (&["fsck", "verify"], "cache verify", "compares every stored file with its digest"),
    (&["stats", "du", "size"], "cache stats", "shows what the store holds"),
    (&["dag", "tree", "draw", "viz"], "graph SPEC", "draws the stages of a spec"),
    (&["plot", "plots", "html", "page"], "report", "writes a page with curves about a run or a sweep"),
    (&["open", "view"], "report --open", "writes a page about the last run and opens it"),
    (&["push", "upload"], "cache push", "uploads the results of a spec or a run to a remote"),
    (&["pull", "fetch", "download"], "cache pull", "fetches the results of a spec from a remote"),
    (&["index", "query", "retrieve", "find"], "search SPEC TEXT", "searches the pool of an evaluation"),
    (&["embed", "encode", "extract", "features"], "export SPEC STAGE -o FOLDER", "writes the features of a stage"),
    (&["specs", "pipelines", "projects"], "", "alone lists the specs of the project"),
    (&["compare"], "diff RUN RUN", "compares two runs"),
    (
        &["tune", "optimize", "optuna", "grid", "search-space", "hyperopt"],
        "sweep SPEC",
        "runs a spec at every point of its sweep",
    ),
    (&["plan", "dry-run", "dryrun", "st", "stat"], "status SPEC", "shows what a run would do"),
    (&["explain"], "why SPEC STAGE", "explains why a stage would run"),
    (&["lint"], "validate SPEC", "checks a spec without looking at data"),
    (&["test", "gate", "assert"], "check SPEC", "compares the metrics with the accepted ones"),
    (&["new", "create", "setup", "scaffold"], "init", "begins a project"),
    (&["kinds", "kind"], "stages", "lists the kinds of stages"),
    (
        &["ui", "web", "server", "app", "dashboard", "serve-ui", "board"],
        "serve",
        "serves a live page of runs, and with SPEC a search",
    ),
    (&["completion", "complete"], "completions SHELL", "prints the script that completes words in a shell"),
    (&["version"], "--version", "prints the version"),
    (&["env", "info"], "doctor", "shows what this machine and this project have"),
];

/// The command to call in place of `word`, in words.
pub fn instead_of(word: &str) -> Option<String> {
    let lower = word.to_lowercase();
    let known = VERBS.iter().find(|(words, ..)| words.contains(&lower.as_str()));
    if let Some((_, call, does)) = known {
        return Some(format!("`{}` {does}", format!("pipeline {call}").trim_end()));
    }
    if matches!(lower.as_str(), "cancel" | "stop" | "kill" | "abort") {
        return Some("Ctrl-C in the terminal of a run stops it; the next run goes on from there".to_owned());
    }
    let known = match lower.as_str() {
        "add" | "track" | "import" => Some(
            "nothing is added by hand: a spec names its files, which are hashed when it runs; `pipeline init` begins \
            one",
        ),
        "config" | "login" | "remote" | "sync" => Some(
            "there is no configuration: `PIPELINE_REMOTE` or `--remote` names a remote, `--artifacts` the store; \
             `pipeline doctor` shows what is in use",
        ),
        "undo" | "revert" | "checkout" | "copy" => {
            Some("results are kept by what made them: take the spec back, and `pipeline run SPEC` finds them again")
        }
        _ => None,
    };
    if let Some(known) = known {
        return Some(known.to_owned());
    }
    let command = args::command();
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set()).map(clap::Command::get_name);
    nearest(&lower, shown).map(|near| format!("did you mean `pipeline {near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_tools_lead_to_commands_that_there_are() {
        let commands = args::command();
        for (words, call, _) in VERBS {
            let first = call.split(' ').next().unwrap();
            assert!(first.is_empty() || first == "--version" || commands.find_subcommand(first).is_some(), "{call}");
            for word in *words {
                assert!(commands.find_subcommand(word).is_none(), "`{word}` is a command");
                assert_eq!(VERBS.iter().filter(|(others, ..)| others.contains(word)).count(), 1, "{word}");
            }
        }
        assert_eq!(instead_of("stauts").unwrap(), "did you mean `pipeline status`?");
        assert_eq!(instead_of("xyzzy"), None);
    }
}
