//! Conditional writes and SERIAL reads: Paxos for each partition, with one replica if need be.
//!
//! A *proposer* (`coordinator/conditional.rs`) asks the partition's replicas to promise a *ballot*,
//! finishes what an earlier proposer left, brings what was committed to those that miss it, reads,
//! decides, and asks them to accept its mutation and then to commit it. An *acceptor* answers
//! ([`state`] decides, [`acceptor`] keeps its state). A mutation is chosen once a majority has
//! accepted it; ballots are its timestamps, so that later choices win.

pub mod acceptor;
pub mod ballot;
pub mod message;
pub mod state;
