//! Gossip: what nodes tell one another once a second, and who is alive by it.
//!
//! Every node has a state of its own: a *generation* (which life of the node it is), a *heartbeat*
//! and named values, each with a *version* out of one sequence. Of any two states of a node the one
//! of the greater generation is newer, then the one of the greater version; so a *digest* (host,
//! generation, greatest version) says what a peer knows. Nodes exchange three messages: SYN with
//! digests; ACK with the digests of what is wanted and the states that the other lacks; ACK2 with
//! the states that were wanted.
//!
//! * [`state`] is what is known of a node, [`digest`] and [`message`] are what is sent.
//! * [`endpoints`] holds the states of all members; [`failure_detector`] doubts those whose
//!   heartbeats stay away.
//! * [`protocol`] is the whole as a state machine without I/O; [`worker`] runs it.
//! * [`live`] tells the rest of the node who is alive; [`generation`] numbers the lives; [`mark`] is how far a node's disk
//!   is known to be.
//!
//! Gossip never decides who is a member: the metadata log does, and states of others are kept out.
//!
//! Sources: Cassandra's `Gossiper` and `FailureDetector`; Hayashibara and others, "The phi accrual
//! failure detector" (2004); van Renesse and others, "Efficient reconciliation and flow control for
//! anti-entropy protocols" (2008).

pub mod digest;
pub mod disk_usages;
pub mod endpoints;
pub mod failure_detector;
pub mod generation;
pub mod live;
pub mod mark;
pub mod message;
pub mod protocol;
pub mod state;
pub mod worker;
