//! Deliberate defects, to show that the simulation's judges can fail. Production never has any:
//! the table is filled by the simulator alone.

use std::sync::Arc;

/// The defects that are switched on.
#[derive(Clone, Debug, Default)]
pub struct Mutants(Option<Arc<str>>);

impl Mutants {
    /// None: the code behaves as it should.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Switches one defect on.
    #[must_use]
    pub fn only(id: &str) -> Self {
        Self(Some(id.into()))
    }

    /// True if the defect `id` is switched on.
    #[must_use]
    #[inline]
    pub fn has(&self, id: &str) -> bool {
        self.0.as_deref().is_some_and(|mutant| mutant == id)
    }
}
