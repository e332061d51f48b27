//! The stage that a part of a world becomes.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use pipeline_core::cut::CutSizes;
use pipeline_core::{
    Computation, Cut, Digest, InRows, Needs, OpenRows, Shard, ShardReport, ShardedStage, Source, Stage, StageContext,
    StageError, StageReport, StageWork, WholeStage,
};

use crate::world::{Doing, Part, Shards, read_inputs, write};

pub struct TestStage {
    pub part: Part,
    pub log: Arc<Mutex<Vec<String>>>,
}

impl Stage for TestStage {
    fn kind(&self) -> &'static str {
        "test"
    }

    fn version(&self) -> u32 {
        self.part.version
    }

    fn params(&self) -> BTreeMap<String, String> {
        self.part.params.clone()
    }

    fn needs(&self) -> Needs {
        Needs { device: self.part.is_on_device, threads: self.part.threads }
    }

    fn runs_programs(&self) -> bool {
        self.part.runs_programs
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        let source = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.exists() {
                Ok(Source { name, path: path.clone() })
            } else {
                Err(StageError::new(format!("there is no `{name}`")).with_help("put it there"))
            }
        };
        self.part.sources.iter().map(source).collect()
    }

    fn check(&self) -> Result<(), StageError> {
        let fault = self.part.params.get("fault");
        fault.map_or(Ok(()), |fault| Err(StageError::new(format!("its fault is {fault}"))))
    }

    fn check_facts(&self) -> Option<String> {
        self.part.params.get("facts").cloned()
    }

    fn looked_for(&self) -> Vec<PathBuf> {
        self.part.sources.clone()
    }

    fn work(&self) -> StageWork<'_> {
        if self.part.shards.is_some() { StageWork::Sharded(self) } else { StageWork::Whole(self) }
    }
}

impl WholeStage for TestStage {
    fn run(&self, context: &StageContext<'_>, scratch: &Path) -> Result<StageReport, StageError> {
        self.log.lock().unwrap().push(self.part.id.clone());
        if let Some(work) = &self.part.work {
            return work(&Doing { context, scratch });
        }
        let mut text: String = self.part.sources.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        text.push_str(&read_inputs(context)?);
        if let Some(keep) = self.part.params.get("keep") {
            text.truncate(keep.parse().unwrap());
        }
        write(&Doing { context, scratch }, &text)
    }
}

impl ShardedStage for TestStage {
    /// Every word is a shard.
    fn cut(&self) -> Cut {
        Cut::Rows(CutSizes { min_rows: 1, target_rows: 1, max_rows: 1 })
    }

    fn in_rows(&self) -> InRows {
        InRows { params: &["words", "id"], ..InRows::default() }
    }

    fn shard_name(&self, shard_idx: usize) -> String {
        let shards = self.part.shards.as_ref().unwrap();
        shards.name.map_or_else(|| format!("{shard_idx}.txt"), str::to_owned)
    }

    fn open<'a>(&'a self, context: &'a StageContext<'a>) -> Result<Box<dyn OpenRows + 'a>, StageError> {
        self.log.lock().unwrap().push(self.part.id.clone());
        let shards = self.part.shards.as_ref().unwrap();
        let words: Vec<&str> = shards.words.split_whitespace().collect();
        let digests = words.iter().map(|word| Digest::of(word.as_bytes())).collect();
        Ok(Box::new(Words { words, digests, shards, context }))
    }
}

struct Words<'a> {
    words: Vec<&'a str>,
    digests: Vec<Digest>,
    shards: &'a Shards,
    context: &'a StageContext<'a>,
}

impl OpenRows for Words<'_> {
    fn digests(&self) -> &[Digest] {
        &self.digests
    }

    fn n_workers(&self) -> usize {
        self.shards.n_workers.max(1)
    }

    fn read(&self, units: Range<usize>) -> Result<Box<Computation<'_>>, StageError> {
        let word = self.words[units.start];
        Ok(Box::new(move |output| {
            if word == "stop" {
                return Err(StageError::new("stopped"));
            }
            if let Some(before) = &self.shards.before {
                before(word, self.context)?;
            }
            self.shards.on_card.iter().for_each(|on_card| on_card(word, output.card));
            fs::write(output.path, word.to_uppercase()).unwrap();
            Ok(ShardReport { n_rows: word.len() as u64, ..ShardReport::default() })
        }))
    }

    fn leave(&self, card: Option<u16>) {
        self.shards.leave.iter().for_each(|leave| leave(card));
    }

    fn finish(&self, shards: &[Shard], scratch: &Path) -> Result<StageReport, StageError> {
        for (word, shard) in self.words.iter().zip(shards) {
            assert_eq!(shard.report.n_rows, word.len() as u64);
        }
        write(&Doing { context: self.context, scratch }, "index")
    }
}
