//! Steps into a value: fields, elements and slices.

use super::names::name_of;
use crate::ast::{PathStep, Selectable, Term};
use crate::error::{CqlError, invalid};
use crate::receiver::Receiver;
use dodona_types::CqlType;

/// Is told of the steps of a path, each with what it leads into.
pub(super) trait Steps {
    /// The field at this place.
    fn field(&mut self, index: usize) -> Result<(), CqlError>;
    /// The element of this key.
    fn element(&mut self, of: &CqlType, key: &Term, receiver: &Receiver) -> Result<(), CqlError>;
    /// The elements between bounds.
    fn slice(
        &mut self,
        of: &CqlType,
        bounds: (Option<&Term>, Option<&Term>),
        receiver: &Receiver,
    ) -> Result<(), CqlError>;
}

/// Wants nothing but the type.
pub(super) struct PathTypes;

impl Steps for PathTypes {
    fn field(&mut self, _: usize) -> Result<(), CqlError> {
        Ok(())
    }

    fn element(&mut self, _: &CqlType, _: &Term, _: &Receiver) -> Result<(), CqlError> {
        Ok(())
    }

    fn slice(
        &mut self,
        _: &CqlType,
        _: (Option<&Term>, Option<&Term>),
        _: &Receiver,
    ) -> Result<(), CqlError> {
        Ok(())
    }
}

/// What receives a key, and the type behind it; an error that speaks of `kind` selections.
fn key_of(kind: &str, name: &str, ty: &CqlType) -> Result<(Receiver, CqlType), CqlError> {
    match ty {
        CqlType::Map { key, value, .. } => {
            Ok((Receiver::new(format!("key({name})"), CqlType::clone(key)), CqlType::clone(value)))
        }
        CqlType::Set { element, .. } => {
            Ok((Receiver::new(format!("value({name})"), CqlType::clone(element)), CqlType::clone(element)))
        }
        CqlType::List { .. } => {
            let kind = if kind == "element" { "Element" } else { "Slice" };
            invalid(format!("{kind} selection is only allowed on sets and maps, but {name} is a list"))
        }
        _ => {
            let of = if kind == "element" { "is of type" } else { "of type" };
            invalid(format!("Invalid {kind} selection: {name} {of} {ty} is not a collection"))
        }
    }
}

/// Goes the steps of a path and returns the type that it leads to.
pub(super) fn walk(
    base: &Selectable,
    base_type: &CqlType,
    steps: &[PathStep],
    visitor: &mut dyn Steps,
) -> Result<CqlType, CqlError> {
    let mut ty = base_type.clone();
    let mut name = name_of(base);
    for step in steps {
        match step {
            PathStep::Field(field) => {
                let CqlType::UserDefined { definition, .. } = &ty else {
                    return invalid(format!(
                        "Invalid field selection: {name} of type {ty} is not a user type"
                    ));
                };
                let Some(index) = definition.field_position(field) else {
                    return invalid(format!("{name} of type {ty} has no field {field}"));
                };
                visitor.field(index)?;
                name = format!("{name}.{field}");
                ty = definition.fields[index].1.freeze();
            }
            PathStep::Element(key) => {
                let (receiver, value) = key_of("element", &name, &ty)?;
                visitor.element(&ty, key, &receiver)?;
                name = format!("{name}[{key}]");
                ty = value;
            }
            PathStep::Slice(from, to) => {
                let (receiver, _) = key_of("slice", &name, &ty)?;
                visitor.slice(&ty, (from.as_ref(), to.as_ref()), &receiver)?;
                ty = ty.freeze();
            }
        }
    }
    Ok(ty)
}
