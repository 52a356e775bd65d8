//! What the analysis of one statement gathers: the schema it looks at, and its bind markers.

use crate::ast::{BindMarker, QualifiedName, RawType};
use crate::error::{CqlError, invalid};
use crate::guardrails::Guardrails;
use crate::outcome::ColumnSpec;
use dodona_env::collections::HashMap;
use dodona_types::CqlType;
use dodona_types::limits::{MAX_NESTING, MAX_VECTOR_DIMENSIONS};
use dodona_types::schema::{Keyspace, Schema, Table};
use dodona_types::value::Assignment;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// The analysis of one statement.
pub(crate) struct Context<'a> {
    pub(crate) schema: &'a Schema,
    /// The keyspace for names without one.
    pub(crate) default_keyspace: Option<Arc<str>>,
    /// What is known of each marker.
    pub(crate) markers: Vec<Option<ColumnSpec>>,
    /// The table that the statement is about.
    pub(crate) table: Option<Arc<Table>>,
    /// What statements may ask for.
    pub(crate) guardrails: &'a Guardrails,
    /// Assignments of terms, by the address of the term, how many operators of it, and the type:
    /// each is asked for many times where calls are inside of calls.
    assignments: RefCell<HashMap<(usize, usize, CqlType), Assignment>>,
    /// What the operators of all terms have taken.
    operator_work: Cell<usize>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        schema: &'a Schema,
        default_keyspace: Option<Arc<str>>,
        markers: usize,
        guardrails: &'a Guardrails,
    ) -> Self {
        Self {
            guardrails,
            schema,
            default_keyspace,
            markers: vec![None; markers],
            table: None,
            assignments: RefCell::default(),
            operator_work: Cell::default(),
        }
    }

    /// Adds to what operators have taken, and returns all of it.
    pub(crate) fn add_operator_work(&self, work: usize) -> usize {
        self.operator_work.set(self.operator_work.get().saturating_add(work));
        self.operator_work.get()
    }

    /// The keyspace that a name means.
    pub(crate) fn keyspace_of(&self, name: &QualifiedName) -> Result<Arc<str>, CqlError> {
        match (&name.keyspace, &self.default_keyspace) {
            (Some(keyspace), _) => Ok(keyspace.as_str().into()),
            (None, Some(keyspace)) => Ok(Arc::clone(keyspace)),
            (None, None) => invalid(
                "No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.tablename",
            ),
        }
    }

    /// The keyspace of this name.
    pub(crate) fn keyspace(&self, name: &str) -> Result<&'a Arc<Keyspace>, CqlError> {
        match self.schema.keyspace(name) {
            Some(keyspace) => Ok(keyspace),
            None => invalid(format!("keyspace {name} does not exist")),
        }
    }

    /// The table of this name; it becomes the one that the statement is about.
    pub(crate) fn table(&mut self, name: &QualifiedName) -> Result<Arc<Table>, CqlError> {
        let keyspace = self.keyspace(&self.keyspace_of(name)?)?;
        match keyspace.tables.get(name.name.as_str()) {
            Some(table) => {
                self.table = Some(Arc::clone(table));
                Ok(Arc::clone(table))
            }
            None => invalid(format!("table {} does not exist", name.name)),
        }
    }

    /// The table that the statement is about, where there is one.
    pub(crate) fn known_table(&self) -> Result<&Table, CqlError> {
        self.table.as_deref().ok_or_else(|| CqlError::Server("a column without a table".into()))
    }

    /// Notes what a marker stands for: a receiver's name and type.
    pub(crate) fn marker(
        &mut self,
        marker: &BindMarker,
        name: &str,
        cql_type: &CqlType,
    ) -> Result<(), CqlError> {
        let (keyspace, table) = match &self.table {
            Some(table) => (Arc::clone(&table.keyspace), Arc::clone(&table.name)),
            None => (self.default_keyspace.clone().unwrap_or_else(|| "".into()), "".into()),
        };
        let name: Arc<str> = marker.name.as_deref().unwrap_or(name).into();
        let spec = ColumnSpec { keyspace, table, name, cql_type: cql_type.clone() };
        match self.markers.get_mut(marker.index) {
            Some(place) => {
                *place = Some(spec);
                Ok(())
            }
            None => Err(CqlError::Server("a bind marker without a number".into())),
        }
    }

    /// An assignment that is worked out once for each term, count of its operators, and type.
    /// Terms stay where they are while a statement is analysed.
    pub(crate) fn remembered<T>(
        &self,
        term: &T,
        operators: usize,
        to: &CqlType,
        work_out: impl FnOnce() -> Assignment,
    ) -> Assignment {
        let key = (std::ptr::from_ref(term).addr(), operators, to.clone());
        if let Some(known) = self.assignments.borrow().get(&key) {
            return *known;
        }
        let assignment = work_out();
        self.assignments.borrow_mut().insert(key, assignment);
        assignment
    }

    /// Forgets the assignments that were worked out.
    pub(crate) fn forget_assignments(&mut self) {
        self.assignments.get_mut().clear();
    }

    /// The type of a type hint: user-defined types are those of the table's keyspace.
    pub(crate) fn hinted_type(&self, raw: &RawType) -> Result<CqlType, CqlError> {
        let of_table = self.table.as_ref().map(|table| Arc::clone(&table.keyspace));
        let keyspace = of_table.or_else(|| self.default_keyspace.clone()).unwrap_or_else(|| "".into());
        self.resolve_type(raw, &keyspace)
    }

    /// The markers' specifications, once the whole statement is analysed.
    pub(crate) fn finish_markers(self) -> Result<Vec<ColumnSpec>, CqlError> {
        self.markers
            .into_iter()
            .map(|marker| {
                marker.ok_or_else(|| CqlError::Invalid("Cannot infer the type of a bind marker".into()))
            })
            .collect()
    }

    /// The type that is written; user-defined types come from `keyspace`.
    pub(crate) fn resolve_type(&self, raw: &RawType, keyspace: &str) -> Result<CqlType, CqlError> {
        let in_keyspace = self.schema.keyspace(keyspace);
        resolve_type(raw, keyspace, in_keyspace.map(AsRef::as_ref), 0)
    }
}

/// The type that is written. Elements of collections must be frozen where they are not native.
///
/// # Errors
/// A user-defined type does not exist, or the type is not allowed.
pub(crate) fn resolve_type(
    raw: &RawType,
    keyspace: &str,
    types: Option<&Keyspace>,
    depth: usize,
) -> Result<CqlType, CqlError> {
    if depth > MAX_NESTING {
        return invalid(format!("types are nested more than {MAX_NESTING} deep"));
    }
    let inner = |raw: &RawType| resolve_type(raw, keyspace, types, depth + 1);
    let element = |raw: &RawType, what: &RawType| {
        if matches!(raw, RawType::UserDefined(_)) {
            return invalid(format!("Non-frozen UDTs are not allowed inside collections: {what}"));
        }
        let ty = inner(raw)?;
        if ty.is_multi_cell() {
            return invalid(format!("Non-frozen collections are not allowed inside collections: {what}"));
        }
        if ty == CqlType::Counter {
            return invalid(format!("Counters are not allowed inside collections: {what}"));
        }
        Ok(ty)
    };
    Ok(match raw {
        RawType::Native(ty) => ty.clone(),
        RawType::Custom(class) => custom_type(class)?,
        RawType::List(of) => CqlType::list(element(of, raw)?, false),
        RawType::Set(of) => no_duration(CqlType::set(element(of, raw)?, false), of, "inside sets")?,
        RawType::Map(key, value) => {
            no_duration(CqlType::map(element(key, raw)?, element(value, raw)?, false), key, "as map keys")?
        }
        RawType::Tuple(fields) => CqlType::Tuple(
            fields
                .iter()
                .map(|field| match inner(field)? {
                    CqlType::Counter => invalid("Counters are not allowed inside tuples"),
                    ty => Ok(ty.freeze()),
                })
                .collect::<Result<_, CqlError>>()?,
        ),
        RawType::Vector(of, given) => match u16::try_from(*given) {
            Ok(dimensions @ 1..) if usize::from(dimensions) <= MAX_VECTOR_DIMENSIONS => {
                CqlType::vector(inner(of)?.freeze(), dimensions)
            }
            _ if *given > 0 => {
                return invalid(format!(
                    "vectors may only have up to {MAX_VECTOR_DIMENSIONS} dimensions; given {given}"
                ));
            }
            _ => {
                return invalid(format!("vectors may only have positive dimensions; given {given}"));
            }
        },
        RawType::UserDefined(name) => {
            if name.keyspace.as_deref().is_some_and(|other| other != keyspace) {
                return invalid(format!(
                    "Statement on keyspace {keyspace} cannot refer to a user type in keyspace {}; user types can only be used in the keyspace they are defined in",
                    name.keyspace.as_deref().unwrap_or_default()
                ));
            }
            match types.and_then(|types| types.types.get(name.name.as_str())) {
                Some(definition) => {
                    CqlType::UserDefined { definition: Arc::clone(definition), frozen: false }
                }
                None => return invalid(format!("Unknown type {keyspace}.{}", name.name)),
            }
        }
        RawType::Frozen(of) => match &**of {
            RawType::Native(ty) => {
                return invalid(format!(
                    "frozen<> is only allowed on collections, tuples, and user-defined types (got {ty})"
                ));
            }
            // What is frozen may hold what is not: it is frozen with it.
            RawType::List(of) => CqlType::list(inner(of)?.freeze(), true),
            RawType::Set(of) => no_duration(CqlType::set(inner(of)?.freeze(), true), of, "inside sets")?,
            RawType::Map(key, value) => no_duration(
                CqlType::map(inner(key)?.freeze(), inner(value)?.freeze(), true),
                key,
                "as map keys",
            )?,
            other => inner(other)?.freeze(),
        },
    })
}

/// The type of a marshal class. One of nobody knows what is refused: its values have no order.
fn custom_type(class: &str) -> Result<CqlType, CqlError> {
    if class.is_empty() {
        return Ok(CqlType::Blob);
    }
    let ty = CqlType::parse_class_name(class).map_err(|error| CqlError::Syntax(error.to_string()))?;
    if ty.any(&mut |inner| matches!(inner, CqlType::Custom(_)) && !inner.is_empty_type()) {
        let package = if class.contains('.') { "" } else { "org.apache.cassandra.db.marshal." };
        return Err(CqlError::Syntax(format!(
            "Error setting type {class}: Unable to find abstract-type class '{package}{class}'"
        )));
    }
    Ok(ty)
}

fn no_duration(ty: CqlType, of: &RawType, place: &str) -> Result<CqlType, CqlError> {
    if matches!(of, RawType::Native(CqlType::Duration)) {
        return invalid(format!("Durations are not allowed {place}: {ty}"));
    }
    Ok(ty)
}
