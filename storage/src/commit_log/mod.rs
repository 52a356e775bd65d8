//! The commit log: what makes a write survive the process.
//!
//! Writers append records to a buffer in memory ([`writer::CommitLog::append`]) and wait for it to
//! be handed on ([`writer::CommitLog::wait`]). The first to wait leads: it lets everything else
//! that is ready in this turn of the event loop append too, then hands the whole buffer to the
//! operating system with one call, and to the disk where the mode asks for that. So the cost of a
//! call is shared by all writes of a turn, and of a sync by all that wait for it.
//!
//! Segments are removed once every table has flushed what they hold. At the start [`reader`]
//! walks them in order.

pub mod format;
pub mod reader;
pub mod writer;

pub use writer::CommitLog;

/// The directory of the segments.
pub const DIRECTORY: &str = "commitlog";

/// The file of the segment that begins at a position.
#[must_use]
pub fn segment_path(base_position: u64) -> String {
    format!("{DIRECTORY}/{base_position:020}.log")
}
