//! The embedding API of Dodona, and the commands of its binary.

pub mod bench;
pub mod certificates;
pub mod cluster;
pub mod dataset;
pub mod nodetool;
mod output;
mod recent_log;
pub mod shell;
pub mod start;

pub use dodona_server::{Process, Running, Settings, StartError};
