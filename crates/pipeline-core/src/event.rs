//! The events of a run: everything that the engine reports, in one closed enum.
//!
//! Progress, reports and exit codes are folds over these; `events.jsonl` holds them, one JSON object per line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ArtifactDigest, Device, Key, RunId, RunReason, StageId, StageReport};

/// A stage in the graph of its run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageNode {
    /// The stage.
    pub stage: StageId,
    /// Its kind.
    pub kind: String,
    /// The stages that it reads, by slot.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, StageId>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every stage is up to date.
    Done,
    /// At least one stage failed.
    Failed,
    /// The run was interrupted.
    Interrupted,
}

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The run begins; always first.
    RunStarted {
        /// The run.
        run: RunId,
        /// The spec's name.
        spec: String,
        /// The stages, in the order of the run.
        stages: Vec<StageId>,
        /// The same stages with their kinds and inputs; empty in logs of versions that did not record them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        graph: Vec<StageNode>,
        /// The version of the program.
        version: String,
        /// The device of tensors.
        device: Device,
        /// The numbers of its cards; empty where none has a number.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        cards: Vec<u16>,
        /// The number of stages that run at once.
        n_jobs: usize,
        /// The total number of threads.
        n_threads: usize,
    },
    /// The user let the stage keep its last result, since only the version of its code has changed.
    StageAdopted {
        /// The stage.
        stage: StageId,
        /// The key under which the result is remembered from now on.
        key: Key,
        /// The key under which it was computed.
        from: Key,
        /// The version of the code that computed it.
        old_version: String,
        /// The present version of the code.
        new_version: String,
    },
    /// The stage's result is remembered; nothing was computed.
    StageReused {
        /// The stage.
        stage: StageId,
        /// The key under which it was found.
        key: Key,
        /// The artifact.
        artifact: ArtifactDigest,
        /// The stage's report from when it ran, with its warnings: they hold for the result that is used now.
        report: StageReport,
    },
    /// The stage waits for another process that computes the same key.
    StageWaiting {
        /// The stage.
        stage: StageId,
        /// The process that computes it, for people: its id, host and age.
        owner: String,
    },
    /// The stage begins to run.
    StageStarted {
        /// The stage.
        stage: StageId,
        /// Its kind.
        kind: String,
        /// Its key.
        key: Key,
        /// The reason why it runs.
        why: RunReason,
    },
    /// The shards of the stage are known; the missing ones are computed now.
    StageSharded {
        /// The stage.
        stage: StageId,
        /// The number of all shards.
        n_shards: u64,
        /// The number of shards without a remembered result.
        n_missing: u64,
        /// The number of all rows.
        #[serde(default)]
        n_rows: u64,
        /// The number of rows in the missing shards.
        #[serde(default)]
        n_rows_missing: u64,
    },
    /// A worker has computed a shard. Recorded in the file of the worker only.
    ShardComputed {
        /// The stage.
        stage: StageId,
        /// The number of rows in the shard.
        n_rows: u64,
    },
    /// Workers have computed shards of the stage. Not recorded in `events.jsonl`.
    ShardsDone {
        /// The stage.
        stage: StageId,
        /// The number of finished shards.
        n_done: u64,
        /// The number of all shards.
        n_shards: u64,
    },
    /// While another process computes the stage, this one begins to compute some of its shards.
    StageHelping {
        /// The stage.
        stage: StageId,
        /// The number of all shards.
        n_shards: u64,
        /// The number of missing shards.
        n_missing: u64,
    },
    /// This process has no more shards to compute of a stage that another process computes.
    StageHelped {
        /// The stage.
        stage: StageId,
        /// The number of shards that this process has computed.
        n_shards_computed: u64,
        /// Wall time, in seconds.
        seconds: f64,
    },
    /// The stage has done some of its rows. `events.jsonl` has it once a second at most, and 200 times at most if the
    /// total is known.
    StageProgress {
        /// The stage.
        stage: StageId,
        /// The number of finished rows.
        n_done: u64,
        /// The number of all rows, if known.
        total: Option<u64>,
    },
    /// A warning for the user.
    StageWarning {
        /// The stage.
        stage: StageId,
        /// The message.
        message: String,
    },
    /// An external program that the stage runs printed a line.
    StageOutput {
        /// The stage.
        stage: StageId,
        /// The line.
        line: String,
    },
    /// An external program has redrawn a line, such as a progress bar. Not recorded in `events.jsonl`: the final text
    /// follows as [`Event::StageOutput`].
    StageRedraw {
        /// The stage.
        stage: StageId,
        /// The present text of the line.
        line: String,
    },
    /// The stage has run and its artifact is committed.
    StageFinished {
        /// The stage.
        stage: StageId,
        /// Its key.
        key: Key,
        /// The artifact.
        artifact: ArtifactDigest,
        /// The artifact's size.
        bytes: u64,
        /// The number of reused shards.
        n_shards_reused: u64,
        /// The number of shards that this run computed.
        n_shards_computed: u64,
        /// The number of shards that other processes have computed meanwhile.
        #[serde(default)]
        n_shards_by_others: u64,
        /// The number of rows that this run computed, without those of reused shards; 0 when the stage has no rows.
        #[serde(default)]
        n_rows_computed: u64,
        /// The number of threads of the stage.
        #[serde(default)]
        n_threads: usize,
        /// Wall time, in seconds.
        seconds: f64,
        /// True when the artifact equals the stage's previous one, so that nothing below needs to run.
        unchanged: bool,
        /// The report of the stage.
        report: StageReport,
    },
    /// A file of the artifact was copied to the path at which the spec publishes it.
    FilePublished {
        /// The stage.
        stage: StageId,
        /// The file's name in the artifact.
        file: String,
        /// The path of the copy.
        path: String,
    },
    /// The artifact's bytes were dropped, since the spec does not retain them.
    ArtifactDropped {
        /// The stage.
        stage: StageId,
        /// The bytes freed.
        bytes: u64,
    },
    /// The stage failed; nothing of it but finished shards was kept.
    StageFailed {
        /// The stage.
        stage: StageId,
        /// The message and its causes, outermost first.
        errors: Vec<String>,
        /// The advice to the user.
        help: Option<String>,
        /// Wall time, in seconds.
        seconds: f64,
    },
    /// The stage was skipped because one above it failed or the run was interrupted.
    StageSkipped {
        /// The stage.
        stage: StageId,
        /// The stage that failed, if one did.
        because: Option<StageId>,
    },
    /// The remote is not asked any more in this run, which goes on without it.
    RemoteOff {
        /// The remote.
        url: String,
        /// The reason.
        reason: String,
    },
    /// The remote has a file with wrong content, which counts as missing. Reported for the first one only.
    RemoteDamaged {
        /// The remote.
        url: String,
        /// The file's name.
        file: String,
    },
    /// A file of the remote is larger than the free space here, and counts as missing. Reported for the first one only.
    RemoteTooLarge {
        /// The remote.
        url: String,
        /// The file's name.
        file: String,
        /// Its bytes, as its record says.
        bytes: u64,
        /// The free bytes of the disk that holds the store.
        free_bytes: u64,
    },
    /// The remote has records that no trusted key has signed, which count as missing. Reported once, before the end; by
    /// a worker of another run as it meets them.
    RemoteUntrusted {
        /// The remote.
        url: String,
        /// The number of records.
        n_records: u64,
    },
    /// All stages are done, and the run waits until their results are in the remote. Not recorded in `events.jsonl`.
    RemoteUploading {
        /// The number of results that are left.
        n_results: u64,
        /// Bytes sent since the wait began.
        bytes: u64,
        /// The duration of the wait, in seconds.
        seconds: f64,
    },
    /// A process begins to work for this run, on any machine.
    WorkerStarted {
        /// The name of the worker: its pool and its number.
        worker: String,
        /// The machine.
        host: String,
        /// The architecture and the widest instruction set in use.
        instruction_set: String,
        /// The device of its tensors.
        device: Device,
        /// The numbers of its cards; empty where none has a number.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        cards: Vec<u16>,
    },
    /// A worker has ended by itself; one that was killed has no such event.
    WorkerEnded {
        /// The name of the worker.
        worker: String,
        /// How it ended.
        outcome: Outcome,
        /// Wall time, in seconds.
        seconds: f64,
    },
    /// The executor of the workers reports a change, such as the reason why none starts.
    ExecutorNoted {
        /// The message.
        message: String,
    },
    /// The run has ended; always last.
    RunFinished {
        /// How it ended.
        outcome: Outcome,
        /// Wall time, in seconds.
        seconds: f64,
        /// Metrics by stage.
        metrics: BTreeMap<StageId, crate::Metrics>,
        /// The traffic with the remote; absent without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remote: Option<RemoteCounts>,
    },
}

/// The traffic of a process with a remote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteCounts {
    /// The number of results that it had.
    pub n_hits: u64,
    /// The number of results that it did not have.
    pub n_misses: u64,
    /// The number of requests that failed, and of files with wrong content.
    pub n_errors: u64,
    /// Bytes received.
    pub bytes_down: u64,
    /// Bytes sent.
    pub bytes_up: u64,
}

impl Event {
    /// True for an event that shows a moment. The history of a run keeps none of them, but for steps of progress.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::StageProgress { .. }
                | Self::StageRedraw { .. }
                | Self::RemoteUploading { .. }
                | Self::ShardComputed { .. }
                | Self::ShardsDone { .. }
        )
    }
}

/// An event with the time at which it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_json_object() {
        let record = EventRecord {
            at_ms: 7,
            event: Event::StageStarted {
                stage: "a".parse().unwrap(),
                kind: "command".into(),
                key: Key(crate::Digest::of(b"")),
                why: RunReason::New,
            },
        };
        let json = serde_json::to_string(&record).unwrap();
        assert!(json.starts_with(r#"{"at_ms":7,"event":"stage-started","stage":"a","kind":"command","key":"af13"#));
        assert!(json.ends_with(r#""why":{"reason":"new"}}"#), "{json}");
        assert_eq!(serde_json::from_str::<EventRecord>(&json).unwrap(), record);
    }
}
