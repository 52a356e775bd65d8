//! The `dodona` binary.
fn main() {}
