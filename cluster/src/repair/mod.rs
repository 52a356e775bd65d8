//! Makes the replicas of ranges hold the same, whatever they have missed.
//!
//! One replica leads ([`session`]) what is asked for ([`options`], `ranges`): it has each of them hash what it holds, partition by partition, into
//! [`tree`]s, compares these, and has each fetch from the others the parts in which they differ
//! ([`plan`]). What each does on its own goes on in the background ([`worker`]) while the leader asks
//! how far it is (`job`), by [`message`]s. [`events`] tell of that, [`known`] keeps the last of it for operators; [`history`] keeps what was repaired when, [`schedule`] says what is due,
//! and [`automatic`] has it done. What a damaged file has lost is fetched by [`healing`].
//! [`incremental`] repairs only what is not repaired yet, in [`sessions`] that operators see; `aside` is a
//! replica's part of that.

mod aside;
pub mod automatic;
pub mod events;
pub mod healing;
pub mod history;
pub mod incremental;
mod job;
pub mod known;
pub mod message;
pub mod options;
pub mod plan;
mod ranges;
pub mod schedule;
pub mod session;
pub mod sessions;
pub mod tree;
pub mod worker;

pub use options::{Options, Outcome, Parallelism};
pub use worker::Repairs;
