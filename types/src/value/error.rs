//! Why bytes are not a value, or text not a literal.

use std::borrow::Cow;

/// A value that cannot be accepted. Its text is what Cassandra tells the client, who gets it as
/// an invalid request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(Cow<'static, str>);

impl ValueError {
    /// An error with this text.
    #[must_use]
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self(message.into())
    }

    /// The text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0
    }
}
