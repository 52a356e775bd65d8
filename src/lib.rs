//! The embedding API of Dodona.

pub mod bench;
