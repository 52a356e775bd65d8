//! Hints: writes that a replica missed, kept by the coordinator until it is back.
//!
//! A *hint* is a mutation for a *target*, a member by its host id. Hints are gathered in memory, and
//! once a period written to files and synced; a crash loses at most those of one period, which
//! repair brings instead. When the target is alive, its files are delivered in the order in which
//! they were written and removed one by one. A hint may be delivered twice: mutations are idempotent.
//!
//! * [`settings`] are the bounds; [`switches`] what operators change of them; [`mod@format`] is the bytes of a file; [`store`] keeps hints and
//!   [`replay`] delivers them.
//!
//! A hint is not kept, or not delivered, once it is older than its table's `gc_grace_seconds`: the
//! tombstone of what it writes may be purged by then. None is kept for a target whose oldest hint
//! has waited for longer than `max_hint_window`, or past the bounds on bytes. None outlasts a truncation of its table
//! (`voided`).

pub mod format;
pub mod replay;
pub mod settings;
pub mod store;
pub mod switches;
mod voided;
mod waiting;

pub use settings::{Counts, HintSettings, Lookup, Pending};
pub use store::Hints;
pub use switches::Switches;
