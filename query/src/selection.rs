//! What a SELECT gives of each row.

mod aggregate;

pub(crate) use aggregate::{Aggregate, AggregateState};

use crate::ast::{FunctionName, MetadataFunction, PathStep, Select, Selectable, Selectors};
use crate::binding::Binding;
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::functions::{self, Call};
use crate::outcome::ColumnSpec;
use crate::restrictions::{column_of, map_entries};
use crate::row_values::{CellTimes, RowValues, Wanted};
use crate::statement::not_yet;
use crate::term::{Expression, Receiver};
use dodona_types::CqlType;
use dodona_types::schema::{ColumnKind, Table};
use dodona_types::value;
use std::sync::Arc;

/// How one value of the result is made.
#[derive(Clone, Debug)]
pub(crate) enum Selector {
    /// The wanted column at this place.
    Column(usize),
    /// A value that no column enters.
    Term(Expression),
    /// A call of a function.
    Call(Call, Vec<Selector>),
    /// Timestamps or times to live of the wanted column at this place.
    Metadata(MetadataFunction, usize, bool),
    /// A field of a user-defined type or tuple.
    Field(Box<Selector>, usize),
    /// An entry of a map, by the map's key type; or an element of a set.
    Element(Box<Selector>, CqlType, Expression),
    /// The aggregate at this place.
    Aggregate(usize),
}

/// What a SELECT gives.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) selectors: Vec<Selector>,
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) columns: Vec<ColumnSpec>,
    /// Every selector is a column.
    pub(crate) is_plain: bool,
}

impl Selection {
    /// Checks what is selected.
    pub(crate) fn prepare(
        context: &mut Context<'_>,
        table: &Arc<Table>,
        select: &Select,
    ) -> Result<Self, CqlError> {
        let mut builder = Builder { table: Arc::clone(table), wanted: Vec::new(), aggregates: Vec::new() };
        let mut selectors = Vec::new();
        let mut columns = Vec::new();
        let spec = |name: String, cql_type: CqlType| ColumnSpec {
            keyspace: Arc::clone(&table.keyspace),
            table: Arc::clone(&table.name),
            name: name.into(),
            cql_type,
        };
        match &select.selectors {
            Selectors::All => {
                for column in &table.columns {
                    selectors.push(Selector::Column(builder.want(column.name.as_ref(), false)?));
                    columns.push(spec(column.name.to_string(), column.cql_type.clone()));
                }
            }
            Selectors::List(list) => {
                for (selectable, alias) in list {
                    let (selector, cql_type) = builder.selector(context, selectable)?;
                    selectors.push(selector);
                    columns.push(spec(alias.clone().unwrap_or_else(|| name_of(selectable)), cql_type));
                }
            }
        }
        let is_plain = selectors.iter().all(|selector| matches!(selector, Selector::Column(_)));
        let Builder { wanted, aggregates, .. } = builder;
        Ok(Self { wanted, selectors, aggregates, columns, is_plain })
    }

    /// The place of a column among the wanted ones; it is added if need be.
    pub(crate) fn want(&mut self, table: &Table, name: &str) -> Result<usize, CqlError> {
        let column = column_of(table, name)?;
        if let Some(index) = self.wanted.iter().position(|wanted| wanted.column.id == column.id) {
            return Ok(index);
        }
        self.wanted.push(Wanted { column: column.clone(), metadata: false });
        Ok(self.wanted.len() - 1)
    }
}

struct Builder {
    table: Arc<Table>,
    wanted: Vec<Wanted>,
    aggregates: Vec<Aggregate>,
}

impl Builder {
    fn want(&mut self, name: &str, metadata: bool) -> Result<usize, CqlError> {
        let column = column_of(&self.table, name)?;
        if let Some(index) = self.wanted.iter().position(|wanted| wanted.column.id == column.id) {
            self.wanted[index].metadata |= metadata;
            return Ok(index);
        }
        self.wanted.push(Wanted { column: column.clone(), metadata });
        Ok(self.wanted.len() - 1)
    }

    fn selector(
        &mut self,
        context: &mut Context<'_>,
        selectable: &Selectable,
    ) -> Result<(Selector, CqlType), CqlError> {
        match selectable {
            Selectable::Column(name) => {
                let index = self.want(name, false)?;
                Ok((Selector::Column(index), self.wanted[index].column.cql_type.clone()))
            }
            Selectable::CountRows => Ok(self.aggregate(Aggregate::count_rows())),
            Selectable::Metadata(function, inner) => self.metadata(*function, inner),
            Selectable::Function(name, arguments) => self.function(context, name, arguments),
            Selectable::Cast(inner, target) => {
                let (selector, source) = self.selector(context, inner)?;
                let call = functions::cast(&source, target)?;
                Ok((Selector::Call(call, vec![selector]), target.clone()))
            }
            Selectable::Path(base, steps) => self.path(context, base, steps),
            Selectable::Term(term) => {
                let Some(ty) = functions::type_of_term(context, term)? else {
                    return invalid(format!(
                        "Cannot infer type for term {term} in selection clause (try using a cast to force a type)"
                    ));
                };
                let expression =
                    Expression::prepare(context, term, &Receiver::new(term.to_string(), ty.clone()))?;
                Ok((Selector::Term(expression), ty))
            }
            Selectable::TypeHint(raw, inner) => {
                let ty = context.resolve_type(raw, &Arc::clone(&self.table.keyspace))?;
                if let Selectable::Term(term) = &**inner {
                    let expression =
                        Expression::prepare(context, term, &Receiver::new(term.to_string(), ty.clone()))?;
                    return Ok((Selector::Term(expression), ty));
                }
                not_yet("Type hints of selections other than constants are")
            }
            Selectable::Tuple(elements) if elements.len() == 1 => self.selector(context, &elements[0]),
            Selectable::List(_) | Selectable::Set(_) | Selectable::Map(_) | Selectable::Tuple(_) => {
                not_yet("Selections of collection literals are")
            }
            Selectable::Negation(_) | Selectable::Arithmetic(..) => not_yet("Arithmetic in selections is"),
        }
    }

    fn aggregate(&mut self, aggregate: Aggregate) -> (Selector, CqlType) {
        let result = aggregate.result_type();
        self.aggregates.push(aggregate);
        (Selector::Aggregate(self.aggregates.len() - 1), result)
    }

    fn function(
        &mut self,
        context: &mut Context<'_>,
        name: &FunctionName,
        arguments: &[Selectable],
    ) -> Result<(Selector, CqlType), CqlError> {
        let mut selectors = Vec::with_capacity(arguments.len());
        let mut types = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let (selector, ty) = self.selector(context, argument)?;
            selectors.push(selector);
            types.push(ty);
        }
        if let Some(kind) = aggregate::Kind::find(&name.name) {
            let ([_], [ty]) = (selectors.as_slice(), types.as_slice()) else {
                return invalid(format!(
                    "Invalid number of arguments in call to function {name}: 1 required but {} provided",
                    types.len()
                ));
            };
            let selector = selectors.swap_remove(0);
            return Ok(self.aggregate(Aggregate::new(kind, selector, ty)?));
        }
        let given: Vec<Option<CqlType>> = types.iter().cloned().map(Some).collect();
        let mut call = functions::resolve(name, &given, context, None)?;
        // Arguments have their own types here: nothing is converted.
        call.arguments = types;
        let result = call.result.clone();
        Ok((Selector::Call(call, selectors), result))
    }

    fn metadata(
        &mut self,
        function: MetadataFunction,
        inner: &Selectable,
    ) -> Result<(Selector, CqlType), CqlError> {
        let Selectable::Column(name) = inner else {
            return not_yet("writetime and ttl of parts of a column are");
        };
        let column = column_of(&self.table, name)?;
        let function_name = metadata_name(function);
        if matches!(column.kind, ColumnKind::PartitionKey | ColumnKind::Clustering) {
            return invalid(format!(
                "Cannot use selection function {function_name} on PRIMARY KEY part {name}"
            ));
        }
        if column.cql_type == CqlType::Counter {
            return invalid(format!("Cannot use selection function {function_name} on counters"));
        }
        let many = column.cql_type.is_multi_cell() && function != MetadataFunction::MaxWriteTime;
        let one = if function == MetadataFunction::Ttl { CqlType::Int } else { CqlType::Bigint };
        let index = self.want(name, true)?;
        let ty = if many { CqlType::list(one, true) } else { one };
        Ok((Selector::Metadata(function, index, many), ty))
    }

    fn path(
        &mut self,
        context: &mut Context<'_>,
        base: &Selectable,
        steps: &[PathStep],
    ) -> Result<(Selector, CqlType), CqlError> {
        let (mut selector, mut ty) = self.selector(context, base)?;
        for step in steps {
            (selector, ty) = match (step, &ty) {
                (PathStep::Field(field), CqlType::UserDefined { definition, .. }) => {
                    let Some(index) = definition.field_position(field) else {
                        return invalid(format!("{ty} of type {ty} has no field {field}"));
                    };
                    (Selector::Field(Box::new(selector), index), definition.fields[index].1.clone())
                }
                (PathStep::Field(field), _) => {
                    return invalid(format!(
                        "Invalid field selection: {} of type {ty} is not a user type (field {field})",
                        name_of(base)
                    ));
                }
                (PathStep::Element(key), CqlType::Map { key: key_type, value, .. }) => {
                    let receiver = Receiver::new(format!("key({})", name_of(base)), CqlType::clone(key_type));
                    let key = Expression::prepare(context, key, &receiver)?;
                    (Selector::Element(Box::new(selector), ty.clone(), key), CqlType::clone(value))
                }
                (PathStep::Element(key), CqlType::Set { element, .. }) => {
                    let receiver = Receiver::new(format!("key({})", name_of(base)), CqlType::clone(element));
                    let key = Expression::prepare(context, key, &receiver)?;
                    (Selector::Element(Box::new(selector), ty.clone(), key), CqlType::clone(element))
                }
                (PathStep::Element(_), _) => {
                    return invalid(format!(
                        "Invalid element selection: {} is of type {ty} is not a collection",
                        name_of(base)
                    ));
                }
                (PathStep::Slice(..), _) => return not_yet("Selections of slices of collections are"),
            };
        }
        Ok((selector, ty))
    }
}

const fn metadata_name(function: MetadataFunction) -> &'static str {
    match function {
        MetadataFunction::WriteTime => "writetime",
        MetadataFunction::MaxWriteTime => "maxwritetime",
        MetadataFunction::Ttl => "ttl",
    }
}

/// The name of a result's column, as Cassandra makes it.
fn name_of(selectable: &Selectable) -> String {
    let list = |items: &[Selectable]| items.iter().map(name_of).collect::<Vec<_>>().join(", ");
    match selectable {
        Selectable::Column(name) => name.clone(),
        Selectable::Term(term) => term.to_string(),
        Selectable::CountRows => "count".into(),
        Selectable::Metadata(function, inner) => format!("{}({})", metadata_name(*function), name_of(inner)),
        Selectable::Function(name, arguments) => {
            let canonical = match aggregate::Kind::find(&name.name) {
                Some(kind) => kind.name().to_owned(),
                None => functions::Native::find(&name.name)
                    .map_or_else(|| name.name.clone(), |native| native.name()),
            };
            format!("system.{canonical}({})", list(arguments))
        }
        Selectable::Cast(inner, target) => format!("cast({} as {target})", name_of(inner)),
        Selectable::Path(base, steps) => steps.iter().fold(name_of(base), |name, step| match step {
            PathStep::Field(field) => format!("{name}.{field}"),
            PathStep::Element(key) => format!("{name}[{key}]"),
            PathStep::Slice(..) => format!("{name}[..]"),
        }),
        Selectable::TypeHint(ty, inner) => format!("({ty}){}", name_of(inner)),
        Selectable::List(items) => format!("[{}]", list(items)),
        Selectable::Set(items) => format!("{{{}}}", list(items)),
        Selectable::Map(_) => "{...}".into(),
        Selectable::Tuple(items) => format!("({})", list(items)),
        Selectable::Negation(inner) => format!("-{}", name_of(inner)),
        Selectable::Arithmetic(first, _) => name_of(first),
    }
}

impl Selector {
    /// The value for the present row; of aggregates, `aggregates` has the results.
    pub(crate) fn value(
        &self,
        row: &RowValues<'_>,
        aggregates: &[Option<Vec<u8>>],
        binding: &Binding<'_>,
    ) -> Result<Option<Vec<u8>>, CqlError> {
        Ok(match self {
            Self::Column(index) => row.value(*index).map(<[u8]>::to_vec),
            Self::Term(expression) => expression.evaluate(binding)?.bytes().map(<[u8]>::to_vec),
            Self::Aggregate(index) => aggregates.get(*index).cloned().flatten(),
            Self::Metadata(function, index, many) => metadata_value(*function, row.times(*index), *many),
            Self::Call(call, arguments) => {
                let values = arguments
                    .iter()
                    .map(|argument| argument.value(row, aggregates, binding))
                    .collect::<Result<Vec<_>, _>>()?;
                let values: Vec<Option<&[u8]>> = values.iter().map(Option::as_deref).collect();
                call.execute(&values, binding)?
            }
            Self::Field(inner, index) => {
                let Some(bytes) = inner.value(row, aggregates, binding)? else {
                    return Ok(None);
                };
                let mut rest = bytes.as_slice();
                let mut fields = std::iter::from_fn(|| value::read_bytes(&mut rest));
                fields.nth(*index).flatten().map(<[u8]>::to_vec)
            }
            Self::Element(inner, ty, key) => {
                let Some(bytes) = inner.value(row, aggregates, binding)? else {
                    return Ok(None);
                };
                let Some(key) = key.evaluate(binding)?.bytes().map(<[u8]>::to_vec) else {
                    return invalid("Invalid null value for element selection");
                };
                match ty {
                    CqlType::Map { key: key_type, .. } => map_entries(&bytes)
                        .find(|(found, _)| value::compare(key_type, found, &key).is_eq())
                        .map(|(_, value)| value.to_vec()),
                    CqlType::Set { element, .. } => crate::restrictions::elements(&bytes)
                        .flatten()
                        .find(|found| value::compare(element, found, &key).is_eq())
                        .map(<[u8]>::to_vec),
                    _ => None,
                }
            }
        })
    }
}

fn metadata_value(function: MetadataFunction, times: &[CellTimes], many: bool) -> Option<Vec<u8>> {
    let one = |times: &CellTimes| match function {
        MetadataFunction::Ttl => times.ttl_seconds.map(|ttl| (ttl as i32).to_be_bytes().to_vec()),
        _ => Some(times.timestamp_micros.to_be_bytes().to_vec()),
    };
    if function == MetadataFunction::MaxWriteTime {
        return times
            .iter()
            .map(|times| times.timestamp_micros)
            .max()
            .map(|latest| latest.to_be_bytes().to_vec());
    }
    if !many {
        return times.first().and_then(one);
    }
    if times.is_empty() {
        return None;
    }
    let mut out = (times.len() as i32).to_be_bytes().to_vec();
    for times in times {
        match one(times) {
            Some(bytes) => {
                out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
                out.extend_from_slice(&bytes);
            }
            None => out.extend_from_slice(&(-1i32).to_be_bytes()),
        }
    }
    Some(out)
}
