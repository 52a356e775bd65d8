//! A row or a marker of one source of a merge.

use dodona_types::Deletion;

/// A row or a marker of one source.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A row: comparable clustering bytes and encoding.
    Row(&'a [u8], &'a [u8]),
    /// A bound at which the source's range deletion changes.
    Marker {
        /// The bound.
        position: &'a [u8],
        /// The deletion in force before the bound.
        before: Deletion,
        /// The deletion in force behind the bound.
        behind: Deletion,
    },
}

impl<'a> Item<'a> {
    /// Where the item stands.
    #[must_use]
    pub const fn position(&self) -> &'a [u8] {
        match self {
            Self::Row(clustering, _) => clustering,
            Self::Marker { position, .. } => position,
        }
    }
}
