//! Terms: their types checked against what receives them, and their values.

use crate::ast::{Term, TermKind};
use crate::binding::{Binding, Val};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::functions::{self, Call};
use dodona_types::CqlType;
use dodona_types::value::{self, LiteralError, LiteralKind, literal_to_wire, write_bytes};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What receives a value: a column, an argument, an element.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) name: Arc<str>,
    pub(crate) cql_type: CqlType,
}

impl Receiver {
    pub(crate) fn new(name: impl Into<Arc<str>>, cql_type: CqlType) -> Self {
        Self { name: name.into(), cql_type }
    }
}

/// A term that is checked and can be evaluated.
#[derive(Clone, Debug)]
pub(crate) enum Expression {
    /// A constant, or null.
    Constant(Option<Arc<[u8]>>),
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
        match &term.kind {
            TermKind::Null => Ok(Self::Constant(None)),
            TermKind::Literal(kind, text) => literal(*kind, text, receiver),
            TermKind::Marker(marker) => {
                context.marker(marker, &receiver.name, &receiver.cql_type)?;
                Ok(Self::Marker(marker.index, receiver.clone()))
            }
            TermKind::List(elements) => list(context, term, elements, receiver),
            TermKind::Set(elements) => set(context, term, elements, receiver),
            TermKind::Map(entries) => map(context, term, entries, receiver),
            TermKind::UserDefined(fields) => user_defined(context, fields, receiver),
            TermKind::Tuple(elements) => tuple(context, term, elements, receiver),
            TermKind::TypeHint(raw, inner) => {
                let keyspace = context
                    .table
                    .as_ref()
                    .map(|table| Arc::clone(&table.keyspace))
                    .or(context.default_keyspace.clone());
                let hinted = context.resolve_type(raw, &keyspace.unwrap_or_else(|| "".into()))?;
                if !assignable(&hinted, &receiver.cql_type) {
                    return invalid(format!(
                        "Cannot assign value {term} to {} of type {}",
                        receiver.name, receiver.cql_type
                    ));
                }
                Self::prepare(context, inner, &Receiver::new(Arc::clone(&receiver.name), hinted))
            }
            TermKind::Function(name, arguments) => {
                functions::prepare_call(context, name, arguments, receiver)
            }
            TermKind::Cast(inner, target) => functions::prepare_cast(context, inner, target, receiver),
            TermKind::Negation(inner) => functions::prepare_negation(context, inner, receiver),
            TermKind::Arithmetic(first, rest) => {
                functions::prepare_arithmetic(context, first, rest, receiver)
            }
        }
    }

    /// The expression's value.
    pub(crate) fn evaluate<'a>(&'a self, binding: &'a Binding<'_>) -> Result<Val<'a>, CqlError> {
        match self {
            Self::Constant(None) => Ok(Val::Null),
            Self::Constant(Some(bytes)) => Ok(Val::Bytes(Cow::Borrowed(bytes))),
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
                        call.name()
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

/// True if a value of one type may stand for one of another without change.
pub(crate) fn assignable(from: &CqlType, to: &CqlType) -> bool {
    from == to
        || from.freeze() == to.freeze()
        || matches!(
            (from, to),
            (CqlType::Ascii, CqlType::Text) | (CqlType::Timeuuid, CqlType::Uuid) | (_, CqlType::Blob)
        )
        || matches!((from, to), (CqlType::Bigint, CqlType::Counter) | (CqlType::Counter, CqlType::Bigint))
}

fn literal(kind: LiteralKind, text: &str, receiver: &Receiver) -> Result<Expression, CqlError> {
    let mut wire = Vec::new();
    match literal_to_wire(kind, text, &receiver.cql_type, &mut wire) {
        Ok(()) => Ok(Expression::Constant(Some(wire.into()))),
        Err(LiteralError::Value(error)) => Err(error.into()),
        Err(LiteralError::WrongKind) => invalid(format!(
            "Invalid {kind} constant ({text}) for \"{}\" of type {}",
            receiver.name, receiver.cql_type
        )),
    }
}

fn elements_of(
    context: &mut Context<'_>,
    elements: &[Term],
    receiver: &Receiver,
    element: &Receiver,
) -> Result<Expression, CqlError> {
    let elements = elements
        .iter()
        .map(|term| match term.kind {
            TermKind::Null => invalid("null is not supported inside collections"),
            _ => Expression::prepare(context, term, element),
        })
        .collect::<Result<_, _>>()?;
    Ok(Expression::Elements(receiver.clone(), elements))
}

fn wrong_type(what: &str, receiver: &Receiver) -> CqlError {
    CqlError::Invalid(format!("Invalid {what} literal for {} of type {}", receiver.name, receiver.cql_type))
}

fn list(
    context: &mut Context<'_>,
    term: &Term,
    elements: &[Term],
    receiver: &Receiver,
) -> Result<Expression, CqlError> {
    match &receiver.cql_type {
        CqlType::List { element, .. } => {
            let inner = Receiver::new(format!("value({})", receiver.name), CqlType::clone(element));
            elements_of(context, elements, receiver, &inner)
        }
        CqlType::Vector { element, dimensions } => {
            if elements.len() != usize::from(*dimensions) {
                return invalid(format!(
                    "Invalid vector literal for {} of type {}; expected {dimensions} elements, but given {}",
                    receiver.name,
                    receiver.cql_type,
                    elements.len()
                ));
            }
            let inner = Receiver::new(format!("value({})", receiver.name), CqlType::clone(element));
            elements_of(context, elements, receiver, &inner)
        }
        _ => {
            let _ = term;
            Err(wrong_type("list", receiver))
        }
    }
}

fn set(
    context: &mut Context<'_>,
    _: &Term,
    elements: &[Term],
    receiver: &Receiver,
) -> Result<Expression, CqlError> {
    match &receiver.cql_type {
        CqlType::Set { element, .. } => {
            let inner = Receiver::new(format!("value({})", receiver.name), CqlType::clone(element));
            elements_of(context, elements, receiver, &inner)
        }
        // `{}` is an empty map just as well.
        CqlType::Map { .. } if elements.is_empty() => Ok(Expression::Entries(receiver.clone(), Vec::new())),
        CqlType::UserDefined { .. } if elements.is_empty() => user_defined(context, &[], receiver),
        _ => Err(wrong_type("set", receiver)),
    }
}

fn map(
    context: &mut Context<'_>,
    _: &Term,
    entries: &[(Term, Term)],
    receiver: &Receiver,
) -> Result<Expression, CqlError> {
    let CqlType::Map { key, value, .. } = &receiver.cql_type else {
        return Err(wrong_type("map", receiver));
    };
    let key = Receiver::new(format!("key({})", receiver.name), CqlType::clone(key));
    let value = Receiver::new(format!("value({})", receiver.name), CqlType::clone(value));
    let entries = entries
        .iter()
        .map(|(k, v)| {
            if matches!(k.kind, TermKind::Null) || matches!(v.kind, TermKind::Null) {
                return invalid("null is not supported inside collections");
            }
            Ok((Expression::prepare(context, k, &key)?, Expression::prepare(context, v, &value)?))
        })
        .collect::<Result<_, CqlError>>()?;
    Ok(Expression::Entries(receiver.clone(), entries))
}

fn user_defined(
    context: &mut Context<'_>,
    fields: &[(String, Term)],
    receiver: &Receiver,
) -> Result<Expression, CqlError> {
    let CqlType::UserDefined { definition, .. } = &receiver.cql_type else {
        // A map whose keys look like names.
        if let CqlType::Map { .. } = &receiver.cql_type {
            let name = fields.first().map_or("", |(name, _)| name);
            return invalid(format!("Invalid map literal for {}: {name} is not a constant", receiver.name));
        }
        return invalid(format!(
            "Invalid user type literal for {} of type {}",
            receiver.name, receiver.cql_type
        ));
    };
    if let Some((unknown, _)) = fields.iter().find(|(name, _)| definition.field_position(name).is_none()) {
        return invalid(format!(
            "Unknown field '{unknown}' in value of user defined type {}",
            definition.name
        ));
    }
    let expressions = definition
        .fields
        .iter()
        .map(|(name, ty)| match fields.iter().find(|(given, _)| **given == **name) {
            Some((_, term)) => Expression::prepare(
                context,
                term,
                &Receiver::new(format!("{}.{name}", receiver.name), ty.freeze()),
            ),
            None => Ok(Expression::Constant(None)),
        })
        .collect::<Result<_, _>>()?;
    Ok(Expression::Elements(receiver.clone(), expressions))
}

fn tuple(
    context: &mut Context<'_>,
    term: &Term,
    elements: &[Term],
    receiver: &Receiver,
) -> Result<Expression, CqlError> {
    let CqlType::Tuple(types) = &receiver.cql_type else {
        if let [only] = elements {
            // Parentheses.
            return Expression::prepare(context, only, receiver);
        }
        return invalid(format!(
            "Invalid tuple type literal for {} of type {}",
            receiver.name, receiver.cql_type
        ));
    };
    if elements.len() > types.len() {
        return invalid(format!(
            "Invalid tuple literal for {}: too many elements. Type {} expects {} but got {}",
            receiver.name,
            receiver.cql_type,
            types.len(),
            elements.len()
        ));
    }
    let _ = term;
    let expressions = elements
        .iter()
        .zip(types.iter())
        .enumerate()
        .map(|(index, (element, ty))| {
            Expression::prepare(
                context,
                element,
                &Receiver::new(format!("{}[{index}]", receiver.name), ty.clone()),
            )
        })
        .collect::<Result<_, _>>()?;
    Ok(Expression::Elements(receiver.clone(), expressions))
}

fn element_value<'a>(
    expression: &'a Expression,
    binding: &'a Binding<'_>,
) -> Result<Option<Cow<'a, [u8]>>, CqlError> {
    match expression.evaluate(binding)? {
        Val::Bytes(bytes) => Ok(Some(bytes)),
        Val::Null => invalid("null is not supported inside collections"),
        Val::Unset => Ok(None),
    }
}

fn elements_value<'a>(
    receiver: &Receiver,
    elements: &'a [Expression],
    binding: &'a Binding<'_>,
) -> Result<Val<'a>, CqlError> {
    let mut out = Vec::new();
    match &receiver.cql_type {
        CqlType::Tuple(_) | CqlType::UserDefined { .. } => {
            for element in elements {
                let value = element.evaluate(binding)?;
                if value == Val::Unset {
                    return invalid(format!("Invalid unset value for tuple field of {}", receiver.name));
                }
                write_bytes(value.bytes(), &mut out)?;
            }
        }
        CqlType::Vector { element, .. } => {
            for expression in elements {
                let Some(bytes) = element_value(expression, binding)? else {
                    return Ok(Val::Unset);
                };
                if element.fixed_value_length().is_none() {
                    value::write_unsigned_vint(bytes.len() as u64, &mut out);
                }
                out.extend_from_slice(&bytes);
            }
        }
        ty => {
            let mut values = Vec::with_capacity(elements.len());
            for expression in elements {
                let Some(bytes) = element_value(expression, binding)? else {
                    return Ok(Val::Unset);
                };
                values.push(bytes);
            }
            if let CqlType::Set { element, .. } = ty {
                values.sort_by(|a, b| value::compare(element, a, b));
                values.dedup_by(|a, b| value::compare(element, a, b).is_eq());
            }
            out.extend_from_slice(&(values.len() as i32).to_be_bytes());
            for bytes in &values {
                write_bytes(Some(bytes), &mut out)?;
            }
        }
    }
    Ok(Val::owned(out))
}

fn entries_value<'a>(
    receiver: &Receiver,
    entries: &'a [(Expression, Expression)],
    binding: &'a Binding<'_>,
) -> Result<Val<'a>, CqlError> {
    let CqlType::Map { key: key_type, .. } = &receiver.cql_type else {
        return Err(CqlError::Server("a map of another type".into()));
    };
    let mut sorted: BTreeMap<Vec<u8>, (Vec<u8>, Vec<u8>)> = BTreeMap::new();
    for (key, value) in entries {
        let (Some(key), Some(value)) = (element_value(key, binding)?, element_value(value, binding)?) else {
            return Ok(Val::Unset);
        };
        let mut order = Vec::new();
        dodona_types::comparable::encode_component(key_type, false, Some(&key), &mut order)?;
        sorted.insert(order, (key.into_owned(), value.into_owned()));
    }
    let mut out = (sorted.len() as i32).to_be_bytes().to_vec();
    for (key, value) in sorted.values() {
        write_bytes(Some(key), &mut out)?;
        write_bytes(Some(value), &mut out)?;
    }
    Ok(Val::owned(out))
}
