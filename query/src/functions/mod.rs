//! Native functions, operators and casts.
//!
//! * [`call`] is what is called; [`signature`] says which functions there are, [`factory`] makes the signatures that follow
//!   from arguments, [`resolve`] finds the one that a call means by [`assignment`].
//! * [`native`] executes a call; its parts are in files by topic.

mod aggregate;
mod argument;
mod arithmetic;
mod assignment;
mod call;
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
pub(crate) use argument::Argument;
pub(crate) use arithmetic::add_numbers;
pub(crate) use assignment::{
    Assignment, all as assignment_of_all, of_elements, of_type as assignment_of_type,
};
pub(crate) use call::{Call, Native, current_timestamp};
pub(crate) use number::is_number;
pub(crate) use resolve::{
    check_operators, of_term, resolve, resolve_cast, resolve_prefix, resolve_term, system_name,
};
pub(crate) use time::timeuuid_with;
