//! Native functions, operators and casts.
//!
//! * [`signature`] says which functions there are, [`factory`] makes the signatures that follow
//!   from arguments, [`resolve`] finds the one that a call means by [`assignment`].
//! * [`native`] executes a call; its parts are in files by topic.

mod aggregate;
mod arithmetic;
mod assignment;
mod cast;
mod collection;
mod decimal;
mod factory;
mod mask;
mod math;
mod native;
mod number;
mod resolve;
mod signature;
mod time;
mod vector;

pub(crate) use aggregate::{Accumulator, AggregateKind};
pub(crate) use assignment::{
    Assignment, all as assignment_of_all, of_elements, of_term, of_type as assignment_of_type,
};
pub(crate) use native::Native;
pub(crate) use resolve::{
    Argument, check_operators, resolve, resolve_cast, resolve_prefix, resolve_term, system_name,
};
pub(crate) use signature::{Call, current_timestamp};
pub(crate) use time::timeuuid_with;
