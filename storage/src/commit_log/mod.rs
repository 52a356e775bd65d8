//! The commit log: what makes a write survive the process.
//!
//! Writers append records to a buffer in memory ([`writer::CommitLog::append`]) and wait for it to
//! be handed on ([`writer::CommitLog::wait`]). The first to wait leads: it lets everything else
//! that is ready in this turn of the event loop append too, then hands the whole buffer to the
//! operating system with one call, and to the disk where the mode asks for that. So the cost of a
//! call is shared by all writes of a turn, and of a sync by all that wait for it.
//!
//! Segments are files made ahead of time, so that no write waits for the disk to find room. They
//! are used again once every table has flushed what they hold, and the [`archive`] has them if there is one. At the start [`reader`] walks them in
//! order.

pub mod archive;
pub mod format;
pub mod reader;
mod segment;
pub mod writer;

pub use writer::CommitLog;

/// The directory of the segments.
pub const DIRECTORY: &str = "commitlog";

/// The file of the segment with a sequence number.
#[must_use]
pub fn segment_path(sequence: u64) -> String {
    format!("{DIRECTORY}/{sequence:020}.log")
}
