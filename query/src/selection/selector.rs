//! How a value of the result is made of a row.

use super::metadata::Part;
use crate::ast::MetadataFunction;
use crate::binding::{Binding, Val};
use crate::collection_value::collection_value;
use crate::error::{CqlError, invalid};
use crate::functions::Call;
use crate::row_values::RowValues;
use crate::term::Expression;
use dodona_types::CqlType;
use dodona_types::value::{self, elements, map_entries, read_bytes};
use std::borrow::Cow;
use std::sync::Arc;

/// The bounds of a slice, from and to; either may be missing.
type Bounds = (Option<Expression>, Option<Expression>);

/// How one value of the result is made.
#[derive(Clone, Debug)]
pub(crate) enum Selector {
    /// The wanted column at this place.
    Column(usize),
    /// A value that no column enters.
    Term(Expression),
    /// A call of a function.
    Call(Call, Vec<Selector>),
    /// Timestamps or times to live of the wanted column at a place.
    Metadata {
        function: MetadataFunction,
        index: usize,
        many: bool,
        part: Part,
        /// Without a value here there are no times.
        present: Option<Box<Selector>>,
    },
    /// A field of a user-defined type.
    Field(Box<Selector>, usize),
    /// An entry of a map or an element of a set of this type; messages name what it is taken of.
    Element(Box<Selector>, CqlType, Expression, Arc<str>),
    /// The entries or elements between bounds.
    Slice(Box<Selector>, CqlType, Bounds, Arc<str>),
    /// A collection, a vector, a tuple or a user-defined type of these parts; of a map, keys and
    /// values in turn.
    Literal(CqlType, Vec<Selector>),
    /// The aggregate at this place.
    Aggregate(usize),
}

impl Selector {
    /// The value for the present row; of aggregates, `aggregates` has the results.
    pub(crate) fn value(
        &self,
        row: &RowValues<'_>,
        aggregates: &[Option<Vec<u8>>],
        binding: &Binding<'_>,
    ) -> Result<Option<Vec<u8>>, CqlError> {
        let all = |selectors: &[Self]| {
            selectors
                .iter()
                .map(|selector| selector.value(row, aggregates, binding))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(match self {
            Self::Column(index) => row.value(*index).map(<[u8]>::to_vec),
            Self::Term(expression) => expression.evaluate(binding)?.bytes().map(<[u8]>::to_vec),
            Self::Aggregate(index) => aggregates.get(*index).cloned().flatten(),
            Self::Metadata { function, index, many, part, present } => {
                if let Some(present) = present
                    && present.value(row, aggregates, binding)?.is_none()
                {
                    return Ok(None);
                }
                part.value(*function, *many, row.times(*index), binding)?
            }
            Self::Call(call, arguments) => {
                if arguments.iter().any(|argument| argument.is_unset(binding)) {
                    return invalid(format!(
                        "Invalid unset value for argument in call to function {}",
                        call.name
                    ));
                }
                let values = all(arguments)?;
                let values: Vec<Option<&[u8]>> = values.iter().map(Option::as_deref).collect();
                call.execute(&values, binding)?
            }
            Self::Field(inner, index) => match inner.value(row, aggregates, binding)? {
                Some(bytes) => {
                    let mut rest = bytes.as_slice();
                    let mut fields = std::iter::from_fn(|| read_bytes(&mut rest));
                    fields.nth(*index).flatten().map(<[u8]>::to_vec)
                }
                None => None,
            },
            Self::Element(inner, ty, key, name) => {
                let key = element_key(key, binding, name)?;
                let value = inner.value(row, aggregates, binding)?;
                value.and_then(|bytes| element(ty, &bytes, &key))
            }
            Self::Slice(inner, ty, (from, to), name) => {
                let (from, to) = (bound(from.as_ref(), binding, name)?, bound(to.as_ref(), binding, name)?);
                let value = inner.value(row, aggregates, binding)?;
                value.and_then(|bytes| slice(ty, &bytes, from.as_deref(), to.as_deref()))
            }
            Self::Literal(ty, parts) => Some(collection_value(ty, all(parts)?)?),
        })
    }

    /// Refuses nulls as keys of elements and as bounds of slices, whether there are rows or not.
    pub(crate) fn check_keys(&self, binding: &Binding<'_>) -> Result<(), CqlError> {
        match self {
            Self::Column(_) | Self::Term(_) | Self::Metadata { .. } | Self::Aggregate(_) => Ok(()),
            Self::Call(_, parts) | Self::Literal(_, parts) => {
                parts.iter().try_for_each(|part| part.check_keys(binding))
            }
            Self::Field(inner, _) => inner.check_keys(binding),
            Self::Element(inner, _, key, name) => {
                element_key(key, binding, name)?;
                inner.check_keys(binding)
            }
            Self::Slice(inner, _, (from, to), name) => {
                bound(from.as_ref(), binding, name)?;
                bound(to.as_ref(), binding, name)?;
                inner.check_keys(binding)
            }
        }
    }

    fn is_unset(&self, binding: &Binding<'_>) -> bool {
        matches!(self, Self::Term(expression @ Expression::Marker(..))
            if matches!(expression.evaluate(binding), Ok(Val::Unset)))
    }

    /// The place of the only column that enters the value, if there is just one.
    pub(crate) fn only_column(&self) -> Option<usize> {
        let mut columns = Vec::new();
        self.columns(&mut columns);
        columns.dedup();
        match columns.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    fn columns(&self, out: &mut Vec<usize>) {
        match self {
            Self::Column(index) | Self::Metadata { index, .. } => out.push(*index),
            Self::Term(_) | Self::Aggregate(_) => {}
            Self::Call(_, parts) | Self::Literal(_, parts) => parts.iter().for_each(|part| part.columns(out)),
            Self::Field(inner, _) | Self::Element(inner, ..) | Self::Slice(inner, ..) => inner.columns(out),
        }
    }
}

/// The key of an element.
fn element_key<'b>(
    key: &'b Expression,
    binding: &'b Binding<'_>,
    name: &str,
) -> Result<Cow<'b, [u8]>, CqlError> {
    match key.evaluate(binding)? {
        Val::Bytes(bytes) => Ok(bytes),
        Val::Null => invalid(format!("Invalid null value for element selection on {name}")),
        Val::Unset => invalid(format!("Invalid unset value for element selection on {name}")),
    }
}

/// A bound of a slice; none if it is not given or not set.
fn bound<'b>(
    expression: Option<&'b Expression>,
    binding: &'b Binding<'_>,
    name: &str,
) -> Result<Option<Cow<'b, [u8]>>, CqlError> {
    match expression.map(|expression| expression.evaluate(binding)).transpose()? {
        None | Some(Val::Unset) => Ok(None),
        Some(Val::Bytes(bytes)) => Ok(Some(bytes)),
        Some(Val::Null) => invalid(format!("Invalid null value for slice selection on {name}")),
    }
}

fn element(ty: &CqlType, collection: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    match ty {
        CqlType::Map { key: key_type, .. } => map_entries(collection)
            .find(|(found, _)| value::compare(key_type, found, key).is_eq())
            .map(|(_, value)| value.to_vec()),
        CqlType::Set { element, .. } => elements(collection)
            .flatten()
            .find(|found| value::compare(element, found, key).is_eq())
            .map(<[u8]>::to_vec),
        _ => None,
    }
}

/// The part of a set or a map between bounds, both of which belong to it. If it is empty there is
/// none of a collection that is stored by elements.
fn slice(ty: &CqlType, collection: &[u8], from: Option<&[u8]>, to: Option<&[u8]>) -> Option<Vec<u8>> {
    let (CqlType::Map { key, .. } | CqlType::Set { element: key, .. }) = ty else { return None };
    let within = |found: &[u8]| {
        from.is_none_or(|from| value::compare(key, found, from).is_ge())
            && to.is_none_or(|to| value::compare(key, found, to).is_le())
    };
    let mut out = vec![0; 4];
    let mut count = 0i32;
    let mut put = |parts: &[&[u8]]| {
        for part in parts {
            out.extend_from_slice(&(part.len() as i32).to_be_bytes());
            out.extend_from_slice(part);
        }
        count += 1;
    };
    if matches!(ty, CqlType::Map { .. }) {
        map_entries(collection).filter(|(key, _)| within(key)).for_each(|(key, value)| put(&[key, value]));
    } else {
        elements(collection).flatten().filter(|found| within(found)).for_each(|found| put(&[found]));
    }
    out[..4].copy_from_slice(&count.to_be_bytes());
    (count > 0 || !ty.is_multi_cell()).then_some(out)
}
