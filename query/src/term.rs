//! Terms: their types checked against what receives them, and their values.

mod literal;

use crate::ast::{ArithmeticOperator, Term, TermKind};
use crate::binding::{Binding, Val};
use crate::collection_value::collection_value;
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::functions::{self, Assignment, Call};
pub(crate) use crate::receiver::Receiver;
use dodona_types::CqlType;
use literal::{list, literal, map, set, tuple, user_defined};
use std::borrow::Cow;
use std::sync::Arc;

/// A term that is checked and can be evaluated.
#[derive(Clone, Debug)]
pub(crate) enum Expression {
    /// A constant, or null.
    Constant(Option<Arc<[u8]>>),
    /// Bytes that are no value of the type: an error when they are needed, as those that are bound.
    Malformed(CqlError),
    /// A bound value of this type.
    Marker(usize, Receiver),
    /// Elements of a list, a set or a vector, or fields of a tuple or user-defined type.
    Elements(Receiver, Vec<Expression>),
    /// Entries of a map.
    Entries(Receiver, Vec<(Expression, Expression)>),
    /// A call of a function.
    Call(Call, Vec<Expression>),
}

impl Expression {
    /// Checks a term against its receiver.
    pub(crate) fn prepare(
        context: &mut Context<'_>,
        term: &Term,
        receiver: &Receiver,
    ) -> Result<Self, CqlError> {
        // Terms are known by their addresses, and where one was another may be now.
        context.forget_assignments();
        functions::check_operators(context, term.operators())?;
        Self::prepare_part(context, term, receiver)
    }

    fn prepare_part(context: &mut Context<'_>, term: &Term, receiver: &Receiver) -> Result<Self, CqlError> {
        match &term.kind {
            TermKind::Null => Ok(Self::Constant(None)),
            TermKind::Literal(kind, text) => literal(*kind, text, receiver),
            TermKind::Marker(marker) => {
                context.marker(marker, &receiver.name, &receiver.cql_type)?;
                Ok(Self::Marker(marker.index, receiver.clone()))
            }
            TermKind::List(elements) => list(context, elements, receiver),
            TermKind::Set(elements) => set(context, elements, receiver),
            TermKind::Map(entries) => map(context, entries, receiver),
            TermKind::UserDefined(fields) => user_defined(context, fields, receiver),
            TermKind::Tuple(elements) => tuple(context, elements, receiver),
            TermKind::TypeHint(raw, inner) => {
                let hinted = context.hinted_type(raw)?;
                check_hint(context, inner, &hinted)?;
                if functions::assignment_of_type(&hinted, &receiver.cql_type) == Assignment::Not {
                    return invalid(format!(
                        "Cannot assign value {term} to {} of type {}",
                        receiver.name, receiver.cql_type
                    ));
                }
                // The hint decides what the term may be, and the receiver what becomes of it.
                Self::prepare_part(context, inner, receiver)
            }
            TermKind::Cast(inner, target) => {
                let call = functions::resolve_cast(context, inner, target, Some(&receiver.cql_type))?;
                Self::call(context, call, &[inner], receiver)
            }
            TermKind::Function(name, arguments) => {
                let Some(call) = functions::resolve_term(context, term, Some(&receiver.cql_type))? else {
                    return invalid(format!("Unknown function {name} called"));
                };
                Self::call(context, call, &arguments.iter().collect::<Vec<_>>(), receiver)
            }
            TermKind::Negation(inner) => {
                match functions::resolve_term(context, term, Some(&receiver.cql_type))? {
                    Some(call) => Self::call(context, call, &[inner], receiver),
                    None => Err(CqlError::Server("a sign without a function".into())),
                }
            }
            TermKind::Arithmetic(first, rest) => Self::prepare_chain(context, first, rest, receiver),
        }
    }

    /// A call whose value goes to a receiver.
    fn call(
        context: &mut Context<'_>,
        call: Call,
        arguments: &[&Term],
        receiver: &Receiver,
    ) -> Result<Self, CqlError> {
        check_result(&call, receiver)?;
        let expressions = arguments
            .iter()
            .enumerate()
            .map(|(index, argument)| Self::prepare_part(context, argument, &call.receiver(index)))
            .collect::<Result<_, _>>()?;
        Ok(Self::Call(call, expressions))
    }

    /// `first op second op third`: the operands before the last are the left side of its operator.
    fn prepare_chain(
        context: &mut Context<'_>,
        first: &Term,
        rest: &[(ArithmeticOperator, Term)],
        receiver: &Receiver,
    ) -> Result<Self, CqlError> {
        let Some(((_, right), before)) = rest.split_last() else {
            return Self::prepare_part(context, first, receiver);
        };
        let call = functions::resolve_prefix(context, first, rest, Some(&receiver.cql_type))?;
        check_result(&call, receiver)?;
        let left = Self::prepare_chain(context, first, before, &call.receiver(0))?;
        let right = Self::prepare_part(context, right, &call.receiver(1))?;
        Ok(Self::Call(call, vec![left, right]))
    }

    /// The marker's number, if the expression is one.
    pub(crate) const fn marker_index(&self) -> Option<usize> {
        match self {
            Self::Marker(index, _) => Some(*index),
            _ => None,
        }
    }

    /// The expression's value.
    pub(crate) fn evaluate<'a>(&'a self, binding: &'a Binding<'_>) -> Result<Val<'a>, CqlError> {
        match self {
            Self::Constant(None) => Ok(Val::Null),
            Self::Constant(Some(bytes)) => Ok(Val::Bytes(Cow::Borrowed(bytes))),
            Self::Malformed(error) => Err(error.clone()),
            Self::Marker(index, receiver) => binding.marker(*index, &receiver.cql_type),
            Self::Elements(receiver, elements) => elements_value(receiver, elements, binding),
            Self::Entries(receiver, entries) => entries_value(receiver, entries, binding),
            Self::Call(call, arguments) => {
                let values = arguments
                    .iter()
                    .map(|argument| argument.evaluate(binding))
                    .collect::<Result<Vec<_>, _>>()?;
                if values.contains(&Val::Unset) {
                    return invalid(format!(
                        "Invalid unset value for argument in call to function {}",
                        call.name
                    ));
                }
                let bytes: Vec<Option<&[u8]>> = values.iter().map(Val::bytes).collect();
                Ok(Val::of(call.execute(&bytes, binding)?))
            }
        }
    }

    /// The value where there must be one: the error names `what`.
    pub(crate) fn evaluate_set<'a>(
        &'a self,
        binding: &'a Binding<'_>,
        what: &str,
    ) -> Result<Cow<'a, [u8]>, CqlError> {
        match self.evaluate(binding)? {
            Val::Bytes(bytes) => Ok(bytes),
            Val::Null => invalid(format!("Invalid null value in condition for column {what}")),
            Val::Unset => invalid(format!("Invalid unset value for column {what}")),
        }
    }
}

/// Checks that a term may be of the type that stands before it.
fn check_hint(context: &Context<'_>, term: &Term, hinted: &CqlType) -> Result<(), CqlError> {
    let takes_list = matches!(hinted, CqlType::List { .. } | CqlType::Vector { .. });
    if matches!(term.kind, TermKind::List(_)) && !takes_list {
        return invalid(format!("Unexpected receiver type '{hinted}'; only list and vector are expected"));
    }
    if functions::of_term(context, term, hinted) == Assignment::Not {
        return invalid(format!("Cannot cast value {term} to type {hinted}"));
    }
    Ok(())
}

/// Checks that what a call gives may go to its receiver.
fn check_result(call: &Call, receiver: &Receiver) -> Result<(), CqlError> {
    if matches!(call.signature.native, functions::Native::Aggregate(_)) {
        return invalid("Aggregation function are not supported in the where clause");
    }
    let result = &call.signature.result;
    if functions::assignment_of_type(result, &receiver.cql_type) == Assignment::Not {
        return invalid(format!(
            "Type error: cannot assign result of function system.{} (type {result}) to {} (type {})",
            call.name, receiver.name, receiver.cql_type
        ));
    }
    Ok(())
}

fn element_value<'a>(
    expression: &'a Expression,
    binding: &'a Binding<'_>,
    within: &str,
) -> Result<Option<Cow<'a, [u8]>>, CqlError> {
    match expression.evaluate(binding)? {
        Val::Bytes(bytes) => Ok(Some(bytes)),
        Val::Null => invalid(format!("null is not supported inside {within}")),
        Val::Unset => Ok(None),
    }
}

fn elements_value<'a>(
    receiver: &Receiver,
    elements: &'a [Expression],
    binding: &'a Binding<'_>,
) -> Result<Val<'a>, CqlError> {
    let mut parts = Vec::with_capacity(elements.len());
    let within = match &receiver.cql_type {
        CqlType::Tuple(_) | CqlType::UserDefined { .. } => {
            for element in elements {
                let value = element.evaluate(binding)?;
                match &receiver.cql_type {
                    CqlType::Tuple(_) if value == Val::Unset => {
                        return invalid(format!(
                            "Invalid unset value for tuple field number {}",
                            parts.len()
                        ));
                    }
                    CqlType::UserDefined { definition, frozen: true } if value == Val::Unset => {
                        let field = definition.fields.get(parts.len()).map_or("", |(name, _)| name);
                        return invalid(format!(
                            "Invalid unset value for field '{field}' of user defined type {}",
                            definition.name
                        ));
                    }
                    _ => {}
                }
                parts.push(value.bytes().map(<[u8]>::to_vec));
            }
            return collection_value(&receiver.cql_type, parts).map(Val::owned);
        }
        CqlType::Vector { .. } => "vectors",
        _ => "collections",
    };
    for expression in elements {
        match element_value(expression, binding, within)? {
            Some(bytes) => parts.push(Some(bytes.into_owned())),
            None if within == "vectors" => return invalid("null is not supported inside vectors"),
            None => return Ok(Val::Unset),
        }
    }
    collection_value(&receiver.cql_type, parts).map(Val::owned)
}

fn entries_value<'a>(
    receiver: &Receiver,
    entries: &'a [(Expression, Expression)],
    binding: &'a Binding<'_>,
) -> Result<Val<'a>, CqlError> {
    let mut parts = Vec::with_capacity(2 * entries.len());
    for (key, value) in entries {
        let (Some(key), Some(value)) =
            (element_value(key, binding, "collections")?, element_value(value, binding, "collections")?)
        else {
            return Ok(Val::Unset);
        };
        parts.push(Some(key.into_owned()));
        parts.push(Some(value.into_owned()));
    }
    collection_value(&receiver.cql_type, parts).map(Val::owned)
}
