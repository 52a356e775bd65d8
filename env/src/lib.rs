//! What a node takes from the world outside: time, randomness, disk, network, programs and tasks. A node
//! starts from an [`Env`] and reaches the machine through nothing else, so that the same code
//! runs in production and in a simulation.
//!
//! The real implementation is [`os`]; the simulated one lives in the `sim` crate.
#![forbid(unsafe_code)]

pub mod clock;
pub mod collections;
pub mod disk;
pub mod mutant;
pub mod net;
pub mod os;
pub mod program;
pub mod random;
pub mod task;
pub mod watch;

pub use clock::Clock;
pub use disk::{Disk, DiskReader, DiskWriter};
pub use mutant::Mutants;
pub use net::{Accepted, Net};
pub use program::Programs;
pub use random::Random;
pub use task::Tasks;

use std::sync::Arc;

/// Everything a node takes from the world outside. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The root of the node's random streams.
    pub random: Random,
    /// Files, under the node's data directory.
    pub disk: Arc<dyn Disk>,
    /// Connections.
    pub net: Arc<dyn Net>,
    /// Programs of the operating system.
    pub programs: Arc<dyn Programs>,
    /// Tasks and blocking work.
    pub tasks: Tasks,
    /// Defects switched on by a simulation that must find them; none in production.
    pub mutants: Mutants,
}
