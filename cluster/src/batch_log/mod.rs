//! The batch log: where a logged batch is kept until all its writes are done, so that they all are
//! in the end, whatever becomes of its coordinator.
//!
//! The coordinator has two members keep the batch, on disk before they answer, makes its writes, and
//! has them forget it ([`crate::coordinator`]). Whoever still keeps one after a while makes its writes
//! again. [`rules`] is what needs no I/O of it, [`store`] keeps batches in `system.batches`.

pub mod rules;
pub mod store;

pub use rules::{Batch, Due, due, keepers, possible_keepers};
pub use store::Store;
