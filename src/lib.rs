//! The embedding API of Dodona, and the commands of its binary.

pub mod bench;
pub mod certificates;
pub mod cluster;
pub mod dataset;
pub mod nodetool;
mod output;
pub mod shell;
pub mod start;

pub use dodona_server::{Running, Settings, StartError};
