//! A server: client connections, limits, authentication, metrics and administration.
//!
//! * [`startup`] starts the layers in order; [`shutdown`] stops them in the reverse one;
//!   [`settings`] is what it is told.
//! * A `worker` is a thread with an event loop of its own that serves a part of the clients. A
//!   `connection` reads what its socket has (`inbound`), answers all of it on its own turn
//!   (`dispatch`) into one buffer (`outbound`), and sends that once. Requests that have to wait
//!   become tasks (`deferred`), whose answers come back through the `client`'s mailbox.
//! * `admission` bounds the bytes in flight; `events` tells clients what happened; `auth` and
//!   `tls` decide who may connect; `metrics` counts; `admin` is the service for operators.
#![forbid(unsafe_code)]

mod admin;
mod admission;
mod answers;
mod auth;
mod buffers;
mod client;
mod cluster_events;
mod connection;
mod convert;
mod deferred;
mod dispatch;
mod errands;
mod events;
mod inbound;
mod internal;
mod load;
mod metrics;
mod outbound;
mod point_in_time;
mod process;
mod record;
mod registry;
mod repair_history;
mod running;
pub mod settings;
mod shared;
pub mod shutdown;
pub mod startup;
mod statements;
mod tls;
mod told;
mod trace;
mod trace_share;
mod worker;

pub use dodona_query::system_tables::LogLine;
pub use process::{Log, Process};
pub use settings::Settings;
pub use startup::{Running, StartError, start};
