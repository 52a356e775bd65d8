//! What functions are called with.

use crate::context::Context;
use crate::error::CqlError;
use dodona_types::CqlType;
use dodona_types::value::Assignment;

/// An argument of a call: a term, or something that is selected.
pub(crate) trait Argument {
    /// Its type, if that is known by itself.
    fn exact_type(&self, context: &Context<'_>) -> Result<Option<CqlType>, CqlError>;

    /// Its type, or for a constant the one it would rather have.
    fn likely_type(&self, context: &Context<'_>) -> Result<Option<CqlType>, CqlError>;

    /// Whether it may be of a type.
    fn assignment(&self, context: &Context<'_>, to: &CqlType) -> Assignment;

    /// True for a bind marker.
    fn is_marker(&self) -> bool {
        false
    }

    /// How many elements a literal in brackets has.
    fn list_length(&self) -> Option<usize>;

    /// The argument as messages show it.
    fn text(&self) -> String;
}

/// The message about an argument that a function does not take.
pub(crate) fn type_error(argument: &dyn Argument, index: usize, name: &str, ty: &CqlType) -> String {
    format!(
        "Type error: {} cannot be passed as argument {index} of function system.{name} of type {ty}",
        argument.text()
    )
}
