//! The vocabulary that every layer of Dodona shares: CQL types and their values, partition and
//! clustering keys, tokens, cells, rows, mutations, the merge rule and the schema.
//!
//! Nothing here does I/O, reads a clock or draws a random number.
#![forbid(unsafe_code)]

pub mod cell;
pub mod codec;
pub mod comparable;
pub mod consistency;
pub mod counter;
pub mod cql_type;
pub mod deletion;
pub mod hex;
pub mod hidden;
pub mod key;
pub mod limits;
pub mod merge;
#[cfg(test)]
mod merge_tests;
pub mod mutation;
pub mod read_command;
pub mod row;
pub mod row_sink;
pub mod row_visitor;
pub mod schema;
pub mod token;
pub mod value;

pub use cell::{Cell, CellKind, ColumnId, Liveness, RowItem};
pub use consistency::Consistency;
pub use cql_type::{CqlType, UserType};
pub use deletion::Deletion;
pub use hidden::HiddenCells;
pub use key::{ClusteringSlice, KeyRef, PartitionKey};
pub use mutation::{Fragment, MutationBuilder, MutationView, TableId};
pub use row::{RowBuilder, RowHeader, RowView};
pub use row_sink::{CollectedRows, RowSink};
pub use row_visitor::{LiveRow, RowVisitor};
pub use token::Token;
