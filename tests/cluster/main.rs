//! Several nodes as processes: how they join, what they refuse, and what is left when one is killed.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test of processes: real sockets, pipes and files"
)]

mod data;
mod explain;
mod guardrails;
mod hints;
mod load;
mod members;
mod nodes;
mod recovery;
mod repair;
mod repair_manner;
mod resume;
mod schema;
mod second;
mod tls;
mod tracing;
mod views;
