//! The scripts of `tests/conformance` and their replay on a [`dodona_query::Processor`]: each statement must answer as Apache Cassandra did.

mod replay;
mod script;
mod values;

pub use replay::{Manner, class_and_message};
pub use script::{Case, SCRIPTS, cases};
