//! Checks what a SELECT selects and makes selectors of it.

use super::argument::{Prefix, resolve_selectable, unknown_function};
use super::metadata::{self, Part};
use super::names::{column_name, counts_rows};
use super::path::{Steps, walk};
use super::{Aggregate, Selector};
use crate::ast::{ArithmeticOperator, MetadataFunction, PathStep, Selectable, Term};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::functions::{self, Argument, Assignment, Call, Native, assignment_of_all, system_name};
use crate::restrictions::column_of;
use crate::row_values::Wanted;
use crate::term::{Expression, Receiver};
use dodona_types::CqlType;
use dodona_types::schema::Table;
use std::sync::Arc;

/// Gathers what the selectors need of each row.
pub(super) struct Builder {
    pub(super) table: Arc<Table>,
    pub(super) wanted: Vec<Wanted>,
    pub(super) aggregates: Vec<Aggregate>,
    /// An aggregate's argument is being looked at.
    pub(super) in_aggregate: bool,
}

type Prepared = Result<(Selector, CqlType), CqlError>;

fn cannot_infer<T>(selectable: &Selectable) -> Result<T, CqlError> {
    invalid(format!(
        "Cannot infer type for term {} in selection clause (try using a cast to force a type)",
        column_name(selectable)
    ))
}

impl Builder {
    pub(super) fn want(&mut self, name: &str, metadata: bool) -> Result<usize, CqlError> {
        let column = column_of(&self.table, name)?;
        if let Some(index) = self.wanted.iter().position(|wanted| wanted.column.id == column.id) {
            self.wanted[index].metadata |= metadata;
            return Ok(index);
        }
        self.wanted.push(Wanted { column: column.clone(), metadata });
        Ok(self.wanted.len() - 1)
    }

    /// The selector of what is selected, and its type: the wanted one where it has none itself.
    pub(super) fn selector(
        &mut self,
        context: &mut Context<'_>,
        selectable: &Selectable,
        wanted: Option<&CqlType>,
    ) -> Prepared {
        match selectable {
            Selectable::Column(name) => {
                let index = self.want(name, false)?;
                Ok((Selector::Column(index), self.wanted[index].column.cql_type.clone()))
            }
            Selectable::CountRows => self.aggregate(Aggregate::count_rows(), CqlType::Bigint),
            Selectable::Metadata(function, inner) => self.metadata(context, *function, inner),
            Selectable::Function(name, arguments) if counts_rows(name, arguments) => {
                self.aggregate(Aggregate::count_rows(), CqlType::Bigint)
            }
            Selectable::Function(name, arguments) => match resolve_selectable(context, selectable)? {
                Some(call) => self.call(context, call, arguments),
                None => Err(unknown_function(name)),
            },
            Selectable::Negation(inner) => match resolve_selectable(context, selectable)? {
                Some(call) => self.call(context, call, std::slice::from_ref(inner)),
                None => cannot_infer(selectable),
            },
            Selectable::Arithmetic(first, rest) => self.chain(context, first, rest),
            Selectable::Cast(inner, target) => self.cast(context, inner, target),
            Selectable::Path(base, steps) => self.path(context, base, steps),
            Selectable::Term(term) => {
                let Some(ty) = term.exact_type(context)?.or_else(|| wanted.cloned()) else {
                    return cannot_infer(selectable);
                };
                let receiver = Receiver::new("[selection]", ty.clone());
                Ok((Selector::Term(Expression::prepare(context, term, &receiver)?), ty))
            }
            Selectable::TypeHint(raw, inner) => {
                let ty = context.hinted_type(raw)?;
                let of_elements =
                    inner.exact_type(context)?.is_some_and(|ty| ty.is_collection() && ty.is_multi_cell());
                if of_elements || inner.assignment(context, &ty) == Assignment::Not {
                    let text = column_name(selectable);
                    return invalid(format!("Cannot assign value {text} to {text} of type {}", ty.freeze()));
                }
                Ok((self.selector(context, inner, Some(&ty))?.0, ty))
            }
            Selectable::List(_) | Selectable::Set(_) | Selectable::Map(_) | Selectable::Tuple(_) => {
                let exact = || selectable.exact_type(context);
                let Some(ty) = wanted.cloned().map_or_else(exact, |ty| Ok(Some(ty)))? else {
                    return cannot_infer(selectable);
                };
                self.literal(context, selectable, ty)
            }
        }
    }

    fn aggregate(&mut self, aggregate: Aggregate, result: CqlType) -> Prepared {
        if self.in_aggregate {
            return invalid("aggregate functions cannot be used as arguments of aggregate functions");
        }
        self.aggregates.push(aggregate);
        Ok((Selector::Aggregate(self.aggregates.len() - 1), result))
    }

    fn call(&mut self, context: &mut Context<'_>, call: Call, arguments: &[impl AsSelectable]) -> Prepared {
        if let Native::Aggregate(kind) = call.signature.native {
            if self.in_aggregate {
                return invalid("aggregate functions cannot be used as arguments of aggregate functions");
            }
            self.in_aggregate = true;
            let ty = call.signature.arguments[0].clone();
            let argument = arguments.first().map(|argument| {
                self.selector(context, argument.selectable(), Some(&ty))
                    .map(|(selector, _)| Box::new(selector))
            });
            self.in_aggregate = false;
            let aggregate = Aggregate { kind, argument: argument.transpose()?, cql_type: ty };
            return self.aggregate(aggregate, call.signature.result);
        }
        let selectors = arguments
            .iter()
            .zip(&call.signature.arguments)
            .map(|(argument, ty)| Ok(self.selector(context, argument.selectable(), Some(ty))?.0))
            .collect::<Result<_, CqlError>>()?;
        let result = call.signature.result.clone();
        Ok((Selector::Call(call, selectors), result))
    }

    fn chain(
        &mut self,
        context: &mut Context<'_>,
        first: &Selectable,
        rest: &[(ArithmeticOperator, Selectable)],
    ) -> Prepared {
        let Some(((_, right), before)) = rest.split_last() else {
            return self.selector(context, first, None);
        };
        let call = Prefix(first, rest).resolve(context)?;
        let (left_type, right_type) = (&call.signature.arguments[0], &call.signature.arguments[1]);
        let (left, _) = if before.is_empty() {
            self.selector(context, first, Some(left_type))?
        } else {
            self.chain(context, first, before)?
        };
        let (right, _) = self.selector(context, right, Some(right_type))?;
        let result = call.signature.result.clone();
        Ok((Selector::Call(call, vec![left, right]), result))
    }

    fn cast(&mut self, context: &mut Context<'_>, inner: &Selectable, target: &CqlType) -> Prepared {
        let (selector, source) = self.selector(context, inner, None)?;
        if source == *target {
            return Ok((selector, source));
        }
        let name = system_name(&format!("cast_as_{target}"));
        match functions::resolve(context, &name, &[inner], None)? {
            Some(call) => Ok((Selector::Call(call, vec![selector]), target.clone())),
            None => invalid(format!("{} cannot be cast to {target}", column_name(inner))),
        }
    }

    fn metadata(
        &mut self,
        context: &mut Context<'_>,
        function: MetadataFunction,
        inner: &Selectable,
    ) -> Prepared {
        let (column, steps) = metadata::column_and_steps(context, function, inner)?;
        metadata::check_steps(&column, steps)?;
        let ty = metadata::type_of(context, function, inner)?;
        let many = metadata::gives_many(function, &column, steps);
        let index = self.want(&column.name, true)?;
        let is_multi_cell = column.cql_type.is_multi_cell();
        // What is inside of a value that is one cell has its times, if it is there.
        let present = if steps.len() > usize::from(is_multi_cell) {
            Some(Box::new(self.selector(context, inner, None)?.0))
        } else {
            None
        };
        let mut part = FirstPart { context, part: Part::All };
        if is_multi_cell {
            let base = Selectable::Column(column.name.to_string());
            walk(&base, &column.cql_type, steps.get(..1).unwrap_or_default(), &mut part)?;
        }
        let fields = match &column.cql_type {
            CqlType::UserDefined { definition, frozen: false } => Some(definition.fields.len()),
            _ => None,
        };
        let part = if let (Part::All, Some(fields)) = (&part.part, fields) {
            Part::Fields(fields)
        } else {
            part.part
        };
        Ok((Selector::Metadata { function, index, many, part, present }, ty))
    }

    fn path(&mut self, context: &mut Context<'_>, base: &Selectable, steps: &[PathStep]) -> Prepared {
        let (selector, base_type) = self.selector(context, base, None)?;
        let mut selectors = StepSelectors { context, selector: Some(selector), name: column_name(base) };
        let ty = walk(base, &base_type, steps, &mut selectors)?;
        match selectors.selector {
            Some(selector) => Ok((selector, ty)),
            None => Err(CqlError::Server("a path that leads nowhere".into())),
        }
    }

    fn all(
        &mut self,
        context: &mut Context<'_>,
        items: &[Selectable],
        ty: &CqlType,
    ) -> Result<Vec<Selector>, CqlError> {
        items.iter().map(|item| Ok(self.selector(context, item, Some(ty))?.0)).collect()
    }

    /// A literal in brackets, braces or parentheses, of a type.
    fn literal(&mut self, context: &mut Context<'_>, selectable: &Selectable, ty: CqlType) -> Prepared {
        let selectors = match (selectable, &ty) {
            (Selectable::Tuple(items), other) if items.len() == 1 && !matches!(other, CqlType::Tuple(_)) => {
                return Ok((self.selector(context, &items[0], Some(other))?.0, ty));
            }
            (Selectable::List(items), CqlType::Vector { element, dimensions }) => {
                if items.len() != usize::from(*dimensions) {
                    return invalid(format!(
                        "Unable to create a vector selector of type {ty} from {} elements",
                        items.len()
                    ));
                }
                self.all(context, items, element)?
            }
            (Selectable::List(items), CqlType::List { element, .. })
            | (Selectable::Set(items), CqlType::Set { element, .. }) => {
                // What is wrong with a term is said when the term is looked at.
                let others = items.iter().filter(|item| !matches!(item, Selectable::Term(_)));
                let fits = assignment_of_all(others.map(|item| item.assignment(context, element)));
                if fits == Assignment::Not {
                    return cannot_infer(selectable);
                }
                self.all(context, items, element)?
            }
            (Selectable::Set(_), CqlType::Map { .. }) => Vec::new(),
            (Selectable::Map(entries), CqlType::Map { key, value, .. }) => {
                let mut selectors = Vec::with_capacity(2 * entries.len());
                for (k, v) in entries {
                    selectors.push(self.selector(context, k, Some(key))?.0);
                    selectors.push(self.selector(context, v, Some(value))?.0);
                }
                selectors
            }
            (Selectable::Map(entries), CqlType::UserDefined { .. }) => {
                self.user_defined(context, entries, &ty)?
            }
            (Selectable::Tuple(items), CqlType::Tuple(types)) => items
                .iter()
                .zip(types.iter())
                .map(|(item, ty)| Ok(self.selector(context, item, Some(ty))?.0))
                .collect::<Result<_, CqlError>>()?,
            _ => return cannot_infer(selectable),
        };
        Ok((Selector::Literal(ty.clone(), selectors), ty))
    }

    fn user_defined(
        &mut self,
        context: &mut Context<'_>,
        entries: &[(Selectable, Selectable)],
        ty: &CqlType,
    ) -> Result<Vec<Selector>, CqlError> {
        let CqlType::UserDefined { definition, .. } = ty else { return Ok(Vec::new()) };
        let name = |entry: &Selectable| match entry {
            Selectable::Column(name) => name.clone(),
            other => column_name(other),
        };
        if let Some((unknown, _)) =
            entries.iter().find(|(k, _)| definition.field_position(&name(k)).is_none())
        {
            return invalid(format!(
                "Unknown field '{}' in value of user defined type {}",
                name(unknown),
                definition.name
            ));
        }
        definition
            .fields
            .iter()
            .map(|(field, ty)| match entries.iter().find(|(k, _)| name(k) == **field) {
                Some((_, value)) => Ok(self.selector(context, value, Some(ty))?.0),
                None => Ok(Selector::Term(Expression::Constant(None))),
            })
            .collect()
    }
}

/// A selectable, or a box of one.
trait AsSelectable {
    fn selectable(&self) -> &Selectable;
}

impl AsSelectable for Selectable {
    fn selectable(&self) -> &Selectable {
        self
    }
}

impl AsSelectable for Box<Selectable> {
    fn selectable(&self) -> &Selectable {
        self
    }
}

/// Makes a selector of each step.
struct StepSelectors<'c, 's> {
    context: &'c mut Context<'s>,
    selector: Option<Selector>,
    /// The path so far, for messages.
    name: String,
}

impl StepSelectors<'_, '_> {
    fn then(&mut self, step: impl FnOnce(Box<Selector>, Arc<str>) -> Selector) {
        let name: Arc<str> = self.name.as_str().into();
        self.selector = self.selector.take().map(|selector| step(Box::new(selector), name));
    }
}

impl Steps for StepSelectors<'_, '_> {
    fn field(&mut self, index: usize) -> Result<(), CqlError> {
        self.then(|inner, _| Selector::Field(inner, index));
        Ok(())
    }

    fn element(&mut self, of: &CqlType, key: &Term, receiver: &Receiver) -> Result<(), CqlError> {
        let key = Expression::prepare(self.context, key, receiver)?;
        self.then(|inner, name| Selector::Element(inner, of.clone(), key, name));
        Ok(())
    }

    fn slice(
        &mut self,
        of: &CqlType,
        (from, to): (Option<&Term>, Option<&Term>),
        receiver: &Receiver,
    ) -> Result<(), CqlError> {
        let mut bound = |term: Option<&Term>| {
            term.map(|term| Expression::prepare(self.context, term, receiver)).transpose()
        };
        let bounds = (bound(from)?, bound(to)?);
        self.then(|inner, name| Selector::Slice(inner, of.clone(), bounds, name));
        Ok(())
    }
}

/// Makes the part of a multi-cell column's cells that the first step chooses.
struct FirstPart<'c, 's> {
    context: &'c mut Context<'s>,
    part: Part,
}

impl Steps for FirstPart<'_, '_> {
    fn field(&mut self, index: usize) -> Result<(), CqlError> {
        self.part = Part::Field(index as u16);
        Ok(())
    }

    fn element(&mut self, _: &CqlType, key: &Term, receiver: &Receiver) -> Result<(), CqlError> {
        let key = Expression::prepare(self.context, key, receiver)?;
        self.part = Part::Element(receiver.cql_type.clone(), key);
        Ok(())
    }

    fn slice(
        &mut self,
        _: &CqlType,
        (from, to): (Option<&Term>, Option<&Term>),
        receiver: &Receiver,
    ) -> Result<(), CqlError> {
        let mut bound = |term: Option<&Term>| {
            term.map(|term| Expression::prepare(self.context, term, receiver)).transpose()
        };
        self.part = Part::Slice(receiver.cql_type.clone(), bound(from)?, bound(to)?);
        Ok(())
    }
}
