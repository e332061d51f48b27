//! Experiments: open a spec, sweep it, read recorded runs, compare them, gate their metrics, and trace the origin of
//! data.
//!
//! Prints nothing, reads no environment and does not decide whose fault an error was: that is left to the program.

mod causes;
pub mod compare;
mod current;
pub mod gate;
mod lineage;
mod locate;
mod missed;
mod missing;
mod open;
mod open_error;
mod pool;
pub mod project;
mod protected;
pub mod recorded;
mod spec_ref;
pub mod sweep;
pub mod table;
mod trial;

pub use causes::{causes, in_one_line};
pub use current::{CurrentError, EvaluationError};
pub use lineage::{Lineage, Origin};
pub use locate::{LocateError, model_search, spec as locate_spec, spec_near as locate_spec_near};
pub use missing::missing_sources;
pub use open::{ALL_STAGES, Loaded, Opened, Surroundings, check, connect};
pub use open_error::{CannotRun, OpenError, UnknownStage};
pub use pool::{EvaluationPool, PoolError, ReadQueries};
pub use protected::{IsProtected, Protected};
pub use spec_ref::{SpecRef, StoreRef};
