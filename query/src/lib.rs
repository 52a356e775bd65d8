//! CQL: text to a statement, a statement to a plan, a plan to reads and mutations.
//!
//! `lexer` makes tokens of text; [`ast`] is what a statement says. Nothing there knows a
//! schema.
#![forbid(unsafe_code)]

pub mod ast;
pub mod lexer;
