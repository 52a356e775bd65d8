//! The vocabulary that every layer of Dodona shares: CQL types and their values, partition and
//! clustering keys, tokens, cells, rows, mutations, the merge rule and the schema.
//!
//! Nothing here does I/O, reads a clock or draws a random number.
#![forbid(unsafe_code)]

pub mod comparable;
pub mod consistency;
pub mod cql_type;
pub mod limits;
pub mod row_sink;
pub mod value;

pub use consistency::Consistency;
pub use cql_type::{CqlType, UserType};
pub use row_sink::RowSink;
