//! CQL: text to a statement, a statement to a plan, a plan to reads and mutations.
//!
//! * [`lexer`] makes tokens of text, [`parser`] a tree ([`ast`]) of tokens; nothing there knows a
//!   schema.
//! * [`statement`] holds the plans: what a tree means in a schema, and how it is executed.
//! * [`processor`] is what a server uses: it prepares and executes statements. Below it nothing knows it:
//!   plans are executed on a `host`.
//!
//! It does not know which node holds what, nor files.
#![forbid(unsafe_code)]

pub mod ast;
mod batch_bounds;
mod batch_partitions;
mod binding;
mod collection_value;
mod context;
pub mod create_text;
pub mod error;
mod functions;
mod guardrails;
mod host;
pub mod key_text;
mod keys;
pub mod lexer;
pub mod outcome;
mod paging;
pub mod parser;
pub mod prepared;
pub mod processor;
mod receiver;
mod restrictions;
mod row_values;
mod selection;
mod server_view;
pub mod session;
pub mod statement;
mod statement_store;
mod system_keyspaces;
pub mod system_tables;
mod term;

pub use batch_bounds::BatchBounds;
pub use error::CqlError;
pub use guardrails::Guardrails;
pub use outcome::{ColumnSpec, Outcome, StatementResult, TryExecute};
pub use prepared::{BatchEntry, Prepared};
pub use processor::Processor;
pub use session::{BoundValue, Parameters, Session};
