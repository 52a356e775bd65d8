//! CREATE, ALTER and DROP TYPE.

use super::{Planner, Work, check_modifiable};
use crate::ast::{AlterType, CreateType, DropNamed, QualifiedName, RawType, TypeChange};
use crate::context::resolve_type;
use crate::error::{CqlError, invalid};
use crate::outcome::{ChangeKind, ChangeTarget};
use dodona_cluster::metadata::SchemaChange;
use dodona_types::schema::{Keyspace, Table};
use dodona_types::{CqlType, UserType};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Planner<'_> {
    pub(super) fn create_type(&self, create: &CreateType) -> Result<Work, CqlError> {
        let keyspace_name = self.keyspace_of(&create.name)?;
        let name = &create.name.name;
        check_modifiable(&keyspace_name, "CREATE", || format!("all tables in {keyspace_name}"))?;
        let Some(keyspace) = self.schema.keyspace(&keyspace_name) else {
            return invalid(format!("Keyspace '{keyspace_name}' doesn't exist"));
        };
        if keyspace.types.contains_key(name.as_str()) {
            if create.if_not_exists {
                return Ok(Work::default());
            }
            return invalid(format!("A user type with name '{name}' already exists"));
        }
        let mut names = BTreeSet::new();
        if let Some((field, _)) = create.fields.iter().find(|(field, _)| !names.insert(field)) {
            return invalid(format!("Duplicate field name '{field}' in type '{name}'"));
        }
        create.fields.iter().try_for_each(|(_, raw)| check_field(raw))?;
        let fields = create
            .fields
            .iter()
            .map(|(field, raw)| {
                Ok((field.as_str().into(), resolve_type(raw, &keyspace_name, Some(keyspace), 0)?))
            })
            .collect::<Result<_, CqlError>>()?;
        let definition =
            UserType { keyspace: Arc::clone(&keyspace.name), name: name.as_str().into(), fields };
        Ok(work(ChangeKind::Created, vec![SchemaChange::PutType(definition)], &keyspace.name, name))
    }

    pub(super) fn alter_type(&self, alter: &AlterType) -> Result<Work, CqlError> {
        let keyspace_name = self.keyspace_of(&alter.name)?;
        let name = &alter.name.name;
        check_modifiable(&keyspace_name, "ALTER", || format!("all tables in {keyspace_name}"))?;
        let keyspace = self.schema.keyspace(&keyspace_name);
        let found = keyspace.and_then(|keyspace| Some((keyspace, keyspace.types.get(name.as_str())?)));
        let Some((keyspace, old)) = found else {
            if alter.if_exists {
                return Ok(Work::default());
            }
            return invalid(format!("Type {keyspace_name}.{name} doesn't exist"));
        };
        let mut definition = UserType::clone(old);
        match &alter.change {
            TypeChange::Add { if_not_exists, field, ty } => {
                add_field(&mut definition, keyspace, field, ty, *if_not_exists)?;
            }
            TypeChange::Rename { if_exists, fields } => rename_fields(&mut definition, fields, *if_exists)?,
            TypeChange::FieldType(..) => return invalid("Altering field types is no longer supported"),
        }
        if definition == **old {
            return Ok(Work::default());
        }
        Ok(work(ChangeKind::Updated, changes_of(keyspace, definition), &keyspace.name, name))
    }

    pub(super) fn drop_type(&self, drop: &DropNamed) -> Result<Work, CqlError> {
        let keyspace_name = self.keyspace_of(&drop.name)?;
        let name = &drop.name.name;
        check_modifiable(&keyspace_name, "DROP", || format!("all tables in {keyspace_name}"))?;
        let keyspace = self.schema.keyspace(&keyspace_name);
        let found = keyspace.and_then(|keyspace| Some((keyspace, keyspace.types.get(name.as_str())?)));
        let Some((keyspace, definition)) = found else {
            if drop.if_exists {
                return Ok(Work::default());
            }
            return invalid(format!("Type '{keyspace_name}.{name}' doesn't exist"));
        };
        let references = |ty: &CqlType| ty.references_user_type(&keyspace_name, name);
        let types = keyspace.types.values().filter(|user| user.fields.iter().any(|(_, ty)| references(ty)));
        let types: Vec<&str> = types.map(|user| &*user.name).collect();
        let tables =
            keyspace.tables.values().filter(|table| table.columns.iter().any(|c| references(&c.cql_type)));
        let tables: Vec<&str> = tables.map(|table| &*table.name).collect();
        for (users, what) in [(types, "user types"), (tables, "tables")] {
            if !users.is_empty() {
                return invalid(format!(
                    "Cannot drop user type '{keyspace_name}.{name}' as it is still used by {what} {}",
                    users.join(", ")
                ));
            }
        }
        let changes = vec![SchemaChange::DropType(Arc::clone(&keyspace.name), Arc::clone(&definition.name))];
        Ok(work(ChangeKind::Dropped, changes, &keyspace.name, name))
    }
}

fn work(change: ChangeKind, changes: Vec<SchemaChange>, keyspace: &Arc<str>, name: &str) -> Work {
    Work::new(changes, change, keyspace, ChangeTarget::Type(name.into()))
}

fn check_field(raw: &RawType) -> Result<(), CqlError> {
    match raw {
        RawType::Native(CqlType::Counter) => invalid("A user type cannot contain counters"),
        RawType::UserDefined(_) => invalid("A user type cannot contain non-frozen UDTs"),
        _ => Ok(()),
    }
}

fn add_field(
    definition: &mut UserType,
    keyspace: &Keyspace,
    field: &str,
    raw: &RawType,
    if_not_exists: bool,
) -> Result<(), CqlError> {
    let of = format!("{}.{}", definition.keyspace, definition.name);
    if definition.field_position(field).is_some() {
        if if_not_exists {
            return Ok(());
        }
        return invalid(format!(
            "Cannot add field {field} to type {of}: a field with name {field} already exists"
        ));
    }
    check_field(raw)?;
    let cql_type = resolve_type(raw, &keyspace.name, Some(keyspace), 0)?;
    let references = |ty: &CqlType| ty.references_user_type(&definition.keyspace, &definition.name);
    let new_field =
        || format!("new field {field} of type {} to user type {of}", qualified(raw, &keyspace.name));
    if references(&cql_type) {
        return invalid(format!("Cannot add {} as it would create a circular reference", new_field()));
    }
    let tables: Vec<String> = keyspace
        .tables
        .values()
        .filter(|table| table.partition_key().any(|column| references(&column.cql_type)))
        .map(|table| format!("{}.{}", table.keyspace, table.name))
        .collect();
    if !tables.is_empty() {
        return invalid(format!(
            "Cannot add {} as the type is being used in partition key by the following tables: {}",
            new_field(),
            tables.join(", ")
        ));
    }
    definition.fields.push((field.into(), cql_type));
    Ok(())
}

fn rename_fields(
    definition: &mut UserType,
    renames: &[(String, String)],
    if_exists: bool,
) -> Result<(), CqlError> {
    let before = definition.clone();
    for (from, to) in renames {
        match before.field_position(from) {
            Some(position) => definition.fields[position].0 = to.as_str().into(),
            None if if_exists => {}
            None => {
                return invalid(format!(
                    "Unkown field {from} in user type {}.{}",
                    before.keyspace, before.name
                ));
            }
        }
    }
    let mut names = BTreeSet::new();
    match definition.fields.iter().find(|(field, _)| !names.insert(field)) {
        // Cassandra names the keyspace where it means the type.
        Some((field, _)) => invalid(format!("Duplicate field name {field} in type {}", definition.keyspace)),
        None => Ok(()),
    }
}

/// The type as it is written, with the keyspace before the names of user-defined types.
fn qualified(raw: &RawType, keyspace: &str) -> RawType {
    let inner = |raw: &RawType| Box::new(qualified(raw, keyspace));
    match raw {
        RawType::UserDefined(name) => RawType::UserDefined(QualifiedName {
            keyspace: Some(keyspace.to_owned()),
            name: name.name.clone(),
        }),
        RawType::List(of) => RawType::List(inner(of)),
        RawType::Set(of) => RawType::Set(inner(of)),
        RawType::Frozen(of) => RawType::Frozen(inner(of)),
        RawType::Vector(of, dimensions) => RawType::Vector(inner(of), *dimensions),
        RawType::Map(key, value) => RawType::Map(inner(key), inner(value)),
        RawType::Tuple(fields) => {
            RawType::Tuple(fields.iter().map(|field| qualified(field, keyspace)).collect())
        }
        RawType::Native(_) | RawType::Custom(_) => raw.clone(),
    }
}

/// The new definition itself, and that of every type and table which holds the old one.
fn changes_of(keyspace: &Keyspace, definition: UserType) -> Vec<SchemaChange> {
    let new = Arc::new(definition);
    let references = |ty: &CqlType| ty.references_user_type(&new.keyspace, &new.name);
    let mut changes = vec![SchemaChange::PutType(UserType::clone(&new))];
    for user in keyspace.types.values() {
        if user.fields.iter().any(|(_, ty)| references(ty)) {
            changes.push(SchemaChange::PutType(replace_in_fields(user, &new)));
        }
    }
    for table in keyspace.tables.values() {
        if table.columns.iter().any(|column| references(&column.cql_type)) {
            let mut table = Table::clone(table);
            for column in &mut table.columns {
                column.cql_type = replace(&column.cql_type, &new);
            }
            changes.push(SchemaChange::PutTable(Box::new(table)));
        }
    }
    changes
}

fn replace_in_fields(user: &UserType, new: &Arc<UserType>) -> UserType {
    let mut user = user.clone();
    for (_, ty) in &mut user.fields {
        *ty = replace(ty, new);
    }
    user
}

/// The type with the new definition in place of the old one of the same name.
fn replace(cql_type: &CqlType, new: &Arc<UserType>) -> CqlType {
    match cql_type {
        CqlType::UserDefined { definition, frozen } => {
            let same = definition.keyspace == new.keyspace && definition.name == new.name;
            let definition =
                if same { Arc::clone(new) } else { Arc::new(replace_in_fields(definition, new)) };
            CqlType::UserDefined { definition, frozen: *frozen }
        }
        CqlType::List { element, frozen } => CqlType::list(replace(element, new), *frozen),
        CqlType::Set { element, frozen } => CqlType::set(replace(element, new), *frozen),
        CqlType::Map { key, value, frozen } => CqlType::map(replace(key, new), replace(value, new), *frozen),
        CqlType::Tuple(fields) => CqlType::Tuple(fields.iter().map(|field| replace(field, new)).collect()),
        CqlType::Vector { element, dimensions } => CqlType::vector(replace(element, new), *dimensions),
        other => other.clone(),
    }
}
