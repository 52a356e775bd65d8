//! What all hosts in several data centres share.

use crate::clock::SimClock;
use crate::conditional::Told;
use crate::quorum::Rows;
use crate::shape::Shape;
use crate::trace::Trace;
use crate::{batching, defining, reading};
use parking_lot::Mutex;
use std::sync::Arc;

/// What they share: the simulation has one thread.
pub struct Shared {
    pub(crate) rows: Arc<Rows>,
    pub(crate) trace: Trace,
    pub(crate) told: Arc<Told>,
    pub(crate) read: Arc<reading::Known>,
    pub(crate) batched: Arc<batching::Known>,
    pub(crate) defined: Arc<defining::Known>,
    /// The clock of each node's present life.
    pub(crate) clocks: Mutex<Vec<Option<SimClock>>>,
    /// No faults any more: everything must be reachable and right.
    pub(crate) healed: Mutex<bool>,
    pub(crate) converged: Mutex<usize>,
    pub(crate) lives: Mutex<u64>,
}

impl Shared {
    pub(crate) fn new(shape: &Shape) -> Self {
        Self {
            rows: Arc::default(),
            trace: Trace::default(),
            told: Arc::new(Told::new(shape.copies.clone())),
            read: Arc::new(reading::Known::new(shape.copies.clone())),
            batched: Arc::default(),
            defined: Arc::default(),
            clocks: Mutex::new(vec![None; shape.places.len()]),
            healed: Mutex::default(),
            converged: Mutex::default(),
            lives: Mutex::default(),
        }
    }
}
