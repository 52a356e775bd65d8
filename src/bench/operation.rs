//! The kinds of operations.

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OperationKind {
    /// Inserts a row into `kv`.
    Write,
    /// Selects a row from `kv`.
    Read,
    /// Inserts a row into `wide`.
    WriteWide,
    /// Selects a page from `wide`.
    Scan,
}

impl OperationKind {
    pub(super) const ALL: [Self; 4] = [Self::Write, Self::Read, Self::WriteWide, Self::Scan];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::WriteWide => "write (wide)",
            Self::Scan => "page",
        }
    }

    pub(super) const fn is_write(self) -> bool {
        matches!(self, Self::Write | Self::WriteWide)
    }
}
