//! How often tables are read and written, how long that takes and what reads meet (Cassandra
//! `TableMetrics`).
//!
//! *Operations* are counted one by one, each thread at a place of its own, without locks. How long they
//! take is kept as a [`Distribution`] of the present and the last *period* of five minutes. Two looks at
//! a clock take as long as a good part of a read in memory, so that of those one in eight is timed, and
//! stands for eight. A table has nothing of all this before it is used.

mod distribution;
mod local;
mod operations;
mod recent;
mod values;

pub use distribution::Distribution;
pub(crate) use local::Reading;
pub use local::{LocalMetrics, PerRead};
pub use operations::{Operation, Operations, Summary};
pub use values::Values;
