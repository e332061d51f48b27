//! The command of a worker: the same run, with a share of the work.

use std::collections::BTreeSet;
use std::path::Path;

use pipeline_core::Device;
use pipeline_experiments::SpecRef;

use crate::args::{ARTIFACTS_VARIABLE, PoolArg, RunArgs};
use crate::remotes;

/// The script of every task. Nothing is put into it: the program and its arguments are arguments of the script.
pub const SCRIPT: &str = r#"#!/bin/sh
# A worker of a run. Its program and arguments are those of this script; Slurm adds the number of the task.
exec "$@" --share "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --threads "${SLURM_CPUS_PER_TASK:-1}"
"#;

/// Variables that workers need beside those of the stages: where programs, models and the GPU's libraries are.
const ALWAYS: [&str; 6] = ["PATH", "HOME", "USER", "LANG", "LD_LIBRARY_PATH", "CUDA_PATH"];

/// The arguments of a worker, after the program and without those that differ between tasks.
pub fn arguments(args: &RunArgs, named: &SpecRef, store: &Path) -> Vec<String> {
    let execution = &args.execution;
    let mut words = vec!["run".to_owned(), text(&named.absolute)];
    words.extend(args.stages.iter().cloned());
    words.push(format!("--artifacts={}", text(store)));
    words.extend(args.spec.remote.remote.iter().map(|url| format!("--remote={url}")));
    words.extend(args.spec.overrides.iter().map(|change| format!("--set={change}")));
    words.extend(execution.force.forced.iter().map(|stage| format!("--force={stage}")));
    let numbers = [("--jobs", execution.jobs), ("--gpu-jobs", execution.gpu_jobs)];
    words.extend(numbers.iter().filter_map(|(name, number)| Some(format!("{name}={}", (*number)?))));
    if execution.device.device != Device::Cpu {
        words.push(format!("--device={}", execution.device.device.name()));
    }
    let flags = [("--keep-going", execution.keep_going), ("--publish", args.publish)];
    words.extend(flags.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| (*name).to_owned()));
    words
}

/// The arguments that the tasks of one array add.
pub fn of_array(pool: PoolArg, run: &str) -> [String; 2] {
    [format!("--pool={}", pool.name()), format!("--join={run}")]
}

/// The variables that a worker needs, of those that are set: `needed` by stages, this program's own, and those that
/// lead to the remote at `url`.
pub fn variables(needed: BTreeSet<String>, url: Option<&str>) -> BTreeSet<String> {
    let is_own = |name: &str| name.starts_with("PIPELINE_") && name != ARTIFACTS_VARIABLE;
    let leads_there = |name: &str| url.is_some_and(|url| remotes::looks_at(url, name));
    let own = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let own = own.filter(|name| is_own(name) || leads_there(name));
    let all = needed.into_iter().chain(ALWAYS.map(str::to_owned)).chain(own);
    all.filter(|name| std::env::var_os(name).is_some() && !name.contains(',')).collect()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
