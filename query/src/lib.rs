//! CQL: text to a statement, a statement to a plan, a plan to reads and mutations.
//!
//! `lexer` makes tokens of text, `parser` a tree ([`ast`]) of tokens; nothing there knows a
//! schema.
#![forbid(unsafe_code)]

pub mod ast;
pub mod lexer;
pub mod parser;
