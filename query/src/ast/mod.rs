//! What a CQL statement says, as plain data: nothing here is resolved against a schema.
//!
//! Names are as they compare: in lower case unless they were in quotes. Nesting is at most
//! [`MAX_NESTING`](dodona_types::limits::MAX_NESTING) deep, and chains (`a + b + c`, `x.y.z`)
//! are flat, so that every walk over a tree may recurse.

mod ddl;
mod describe;
mod dml;
mod name;
mod raw_type;
mod role;
mod select;
mod statement;
mod term;

pub use ddl::*;
pub use describe::{Describe, DescribeTarget};
pub use dml::*;
pub use name::{FunctionName, Position, QualifiedName};
pub use raw_type::RawType;
pub use role::*;
pub use select::*;
pub use statement::{ParsedStatement, Statement};
pub use term::{ArithmeticOperator, BindMarker, Term, TermKind};
