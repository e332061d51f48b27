//! Decides whose fault an error of the crates below was, and so its exit code: one conversion each.

use std::error::Error;
use std::io;

use pipeline_core::{StageError, StageId};
use pipeline_engine::{EngineError, GraphError};
use pipeline_experiments::compare::CompareError;
use pipeline_experiments::gate::{BaselineError, GateError};
use pipeline_experiments::recorded::RecordedError;
use pipeline_experiments::sweep::SweepError;
use pipeline_experiments::table::UnknownKey;
use pipeline_experiments::{
    CannotRun, EvaluationError, IsProtected, LocateError, OpenError, Opened, UnknownStage, missing_sources,
};
use pipeline_models::device::DeviceError;
use pipeline_spec::SpecError;
use pipeline_store::{OpenTreeError, StoreError};

use crate::advice;
use crate::exit::Exit;
use crate::failure::Failure;

impl Failure {
    /// The failure of a plan of `opened`; quotes the spec where it names the missing source.
    pub fn of_plan(opened: &Opened, error: EngineError) -> Self {
        let others = match &error {
            EngineError::Source { stage, .. } => others_that_miss(opened, stage),
            _ => None,
        };
        let span = opened.span_of(&error);
        let failure = Self::from(error);
        let help = [failure.help.clone(), others].into_iter().flatten().collect::<Vec<_>>().join("\n");
        Self { span, help: (!help.is_empty()).then_some(help), ..failure }
    }
}

/// The stages beside `stage` that miss a source, too.
fn others_that_miss(opened: &Opened, stage: &StageId) -> Option<String> {
    let missing = missing_sources(&opened.spec, &opened.graph);
    let names: Vec<String> = missing
        .iter()
        .filter(|missing| missing.stage != *stage)
        .map(|missing| format!("`{}`", missing.stage))
        .collect();
    let verb = if names.len() == 1 { "misses" } else { "miss" };
    (!names.is_empty()).then(|| format!("{} {verb} a source, too", names.join(", ")))
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        Self { help: error.help.clone(), span: error.span.clone(), ..Self::because(Exit::Usage, &error) }
    }
}

impl From<GraphError> for Failure {
    fn from(error: GraphError) -> Self {
        Self::because(Exit::Usage, &error)
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        Self::because(Exit::Usage, &error).with_help(error.help())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = if matches!(error, StoreError::RunDamaged { .. }) { Exit::CheckFailed } else { Exit::Usage };
        Self { help: error.help(), ..Self::because(exit, &error) }
    }
}

impl From<OpenTreeError> for Failure {
    fn from(error: OpenTreeError) -> Self {
        Self::because(Exit::CheckFailed, &error)
    }
}

impl From<StageError> for Failure {
    fn from(error: StageError) -> Self {
        Self { help: error.help.clone(), ..Self::because(Exit::Usage, &error) }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self { help: help_in(&error), ..Self::because(Exit::Usage, &error) }
    }
}

impl From<LocateError> for Failure {
    fn from(error: LocateError) -> Self {
        Self { help: error.help(), ..Self::because(Exit::Usage, &error) }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Locate(error) => error.into(),
            OpenError::Spec(error) => error.into(),
            OpenError::Graph(error) => error.into(),
            OpenError::Store(error) => error.into(),
        }
    }
}

impl From<UnknownStage> for Failure {
    fn from(error: UnknownStage) -> Self {
        let help = advice::of_stage(&error.name).or_else(|| error.help());
        Self { help, ..Self::because(Exit::Usage, &error) }
    }
}

impl From<CannotRun> for Failure {
    fn from(error: CannotRun) -> Self {
        let message = error.to_string();
        Self { span: error.span, ..Self::from(*error.source) }.under(message)
    }
}

impl From<IsProtected> for Failure {
    fn from(error: IsProtected) -> Self {
        Self::because(Exit::Usage, &error).with_help("name another file")
    }
}

impl From<EvaluationError> for Failure {
    fn from(error: EvaluationError) -> Self {
        let failure = Self::because(Exit::Usage, &error);
        match error {
            EvaluationError::OtherKind { .. } => failure,
            EvaluationError::Absent => {
                failure.with_help("add a stage of kind `evaluate-recall`: it ranks the images for every query")
            }
            EvaluationError::Several { .. } => failure.with_help("choose one with `--stage`"),
        }
    }
}

impl From<RecordedError> for Failure {
    fn from(error: RecordedError) -> Self {
        match error {
            RecordedError::Store(error) => error.into(),
            RecordedError::NoRun { ref name, .. } => {
                let help = advice::of_run(name).or_else(|| error.help());
                Self { help, ..Self::because(Exit::Usage, &error) }
            }
            error => Self { help: error.help(), ..Self::because(Exit::Usage, &error) },
        }
    }
}

impl From<UnknownKey> for Failure {
    fn from(error: UnknownKey) -> Self {
        Self { help: Some(error.help()), ..Self::because(Exit::Usage, &error) }
    }
}

impl From<SweepError> for Failure {
    fn from(error: SweepError) -> Self {
        let message = error.to_string();
        match error {
            SweepError::Spec(error) => error.into(),
            SweepError::Graph(error) => error.into(),
            SweepError::Point { source, .. } | SweepError::Value { source, .. } => Self::from(*source).under(message),
            error => Self { help: error.help(), ..Self::because(Exit::Usage, &error) },
        }
    }
}

impl From<CompareError> for Failure {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Results(error) => Self::because(Exit::CheckFailed, &error),
            CompareError::Store(error) => error.into(),
            CompareError::NoCommonStage { ref choices } => Self::because(Exit::Usage, &error).with_help(choices),
        }
    }
}

impl From<BaselineError> for Failure {
    fn from(error: BaselineError) -> Self {
        Self::because(Exit::Usage, &error).with_help(error.help())
    }
}

impl From<GateError> for Failure {
    fn from(error: GateError) -> Self {
        let failure = Self::because(Exit::Usage, &error);
        match error {
            GateError::Results(error) => Self::because(Exit::CheckFailed, &error),
            GateError::Store(error) => error.into(),
            GateError::SeveralStages { metric, stages } => {
                let names: Vec<_> = stages.iter().map(|stage| format!("`{stage}.{metric}`")).collect();
                failure.with_help(format!("say which in the spec: {}", names.join(" or ")))
            }
            GateError::Unpairable { span, .. } => Self { span: Some(span), ..failure }
                .with_help("a baseline holds the best rank of each query: `recall_at_k`, `mean_recall` and `mrr` can"),
        }
    }
}

/// The first help that an error or one of its causes offers.
fn help_in(error: &(dyn Error + 'static)) -> Option<String> {
    let help = match (error.downcast_ref::<StageError>(), error.downcast_ref::<StoreError>()) {
        (Some(error), _) => error.help.clone(),
        (_, Some(error)) => error.help(),
        _ => None,
    };
    help.or_else(|| error.source().and_then(help_in))
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let is_silent = error.kind() == io::ErrorKind::BrokenPipe;
        let exit = if is_silent { Exit::Done } else { Exit::Usage };
        let errors = vec!["cannot write to stdout".to_owned(), error.to_string()];
        Self { errors, is_silent, ..Self::new(exit, "") }
    }
}
