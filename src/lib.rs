//! The embedding API of Dodona.
