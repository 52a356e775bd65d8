//! Judges statements that change the schema: by what they say, and by what they come to.

use super::{Guard, Guardrails};
use crate::ast::{Property, Statement, TableChange};
use crate::error::CqlError;
use crate::system_keyspaces::is_system_keyspace;
use dodona_cluster::metadata::SchemaChange;
use dodona_types::CqlType;
use dodona_types::schema::{Column, Keyspace, Schema, Table};
use std::borrow::Cow;

const ZERO_TTL: &str = "It is suspicious to use default_time_to_live set to 0 with such compaction strategy. Please keep in mind that data will not start to automatically expire after they are older than a respective compaction window unit of a certain size. Please set TTL for your INSERT or UPDATE statements if you expect data to be expired as table settings will not do it. ";

/// Judges what a statement says. Properties of tables that are to be ignored are taken out of it.
pub(crate) fn admit<'s>(guard: &Guard<'_>, statement: &'s Statement) -> Result<Cow<'s, Statement>, CqlError> {
    let rails = guard.rails;
    match statement {
        Statement::DropTable(_) => drops_tables(rails)?,
        Statement::DropKeyspace(_) => Guard::enabled(
            "drop_keyspace_enabled",
            rails.drop_keyspace_enabled,
            "DROP KEYSPACE functionality",
        )?,
        Statement::CreateTable(create) => {
            let mut create = Cow::Borrowed(create);
            if has_ignored(rails, &create.properties) {
                create.to_mut().properties = judge_properties(guard, &create.properties)?;
                return Ok(Cow::Owned(Statement::CreateTable(create.into_owned())));
            }
            judge_properties(guard, &create.properties)?;
            if create.compact_storage {
                let what = "Creation of new COMPACT STORAGE tables";
                Guard::enabled("compact_tables", rails.compact_tables_enabled, what)?;
            }
        }
        Statement::AlterTable(alter) => match &alter.change {
            TableChange::Properties(properties) => {
                let kept = judge_properties(guard, properties)?;
                if kept.len() < properties.len() {
                    let mut alter = alter.clone();
                    alter.change = TableChange::Properties(kept);
                    return Ok(Cow::Owned(Statement::AlterTable(alter)));
                }
            }
            TableChange::Add { .. } | TableChange::Drop { .. } | TableChange::Rename { .. } => {
                Guard::enabled("alter_table", rails.alter_table_enabled, "ALTER TABLE changing columns")?;
            }
            _ => {}
        },
        _ => {}
    }
    Ok(Cow::Borrowed(statement))
}

/// Judges DROP TABLE and TRUNCATE.
pub(crate) fn drops_tables(rails: &Guardrails) -> Result<(), CqlError> {
    let what = "DROP and TRUNCATE TABLE functionality";
    Guard::enabled("drop_truncate_table_enabled", rails.drop_truncate_table_enabled, what)
}

fn has_ignored(rails: &Guardrails, properties: &[Property]) -> bool {
    properties.iter().any(|property| rails.table_properties_ignored.contains(&property.name))
}

/// Judges the properties of a table, and gives those that are not to be ignored.
fn judge_properties(guard: &Guard<'_>, properties: &[Property]) -> Result<Vec<Property>, CqlError> {
    const RAIL: &str = "table_properties";
    let rails = guard.rails;
    let found = |list: &[String]| {
        let found = properties.iter().map(|property| property.name.as_str());
        let mut found: Vec<&str> = found.filter(|name| list.iter().any(|listed| listed == name)).collect();
        found.sort_unstable();
        (!found.is_empty()).then(|| (found.join(", "), list.join(", ")))
    };
    if let Some((found, listed)) = found(&rails.table_properties_disallowed) {
        return Guard::refuse(
            RAIL,
            &format!(
                "Provided values [{found}] are not allowed for Table Properties (disallowed values are: [{listed}])"
            ),
        );
    }
    if let Some((found, listed)) = found(&rails.table_properties_ignored) {
        guard.warn(
            RAIL,
            &format!("Ignoring provided values [{found}] as they are not supported for Table Properties (ignored values are: [{listed}])"),
        );
    }
    if let Some((found, listed)) = found(&rails.table_properties_warned) {
        guard.warn(
            RAIL,
            &format!("Provided values [{found}] are not recommended for Table Properties (warned values are: [{listed}])"),
        );
    }
    let ignored = |property: &&Property| !rails.table_properties_ignored.contains(&property.name);
    Ok(properties.iter().filter(ignored).cloned().collect())
}

/// Judges what a statement comes to.
pub(crate) fn judge(
    guard: &Guard<'_>,
    schema: &Schema,
    statement: &Statement,
    changes: &[SchemaChange],
) -> Result<(), CqlError> {
    for change in changes {
        match (change, statement) {
            (SchemaChange::PutKeyspace(keyspace), _) => judge_keyspace(guard, schema, keyspace)?,
            (SchemaChange::PutTable(table), Statement::CreateTable(_) | Statement::AlterTable(_)) => {
                judge_table(guard, schema, table, statement)?;
            }
            (SchemaChange::PutType(definition), _) => {
                let keyspace = schema.keyspace(&definition.keyspace);
                let old = keyspace.and_then(|keyspace| keyspace.types.get(&definition.name));
                let (count, name) = (definition.fields.len(), &definition.name);
                if old.is_some_and(|old| old.fields.len() == count) {
                    continue;
                }
                judge_fields(guard, name, count)?;
                let fields = definition.fields.iter();
                let added =
                    fields.filter(|(field, _)| old.is_none_or(|old| old.field_position(field).is_none()));
                added.into_iter().try_for_each(|(field, ty)| judge_vectors(guard, "Field", field, ty))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn judge_keyspace(guard: &Guard<'_>, schema: &Schema, keyspace: &Keyspace) -> Result<(), CqlError> {
    let (rails, name) = (guard.rails, &keyspace.name);
    let old = schema.keyspace(name);
    if old.is_none() {
        let of_users = schema.keyspaces.keys().filter(|name| !is_system_keyspace(name));
        let count = of_users.count() + 1;
        let bounds = (rails.keyspaces_warn_threshold, rails.keyspaces_fail_threshold);
        guard.at_most("keyspaces", bounds, count, |bound, is_failure| {
            if is_failure {
                format!("Cannot have more than {bound} keyspaces, aborting the creation of keyspace {name}")
            } else {
                format!("Creating keyspace {name}, current number of keyspaces {count} exceeds warning threshold of {bound}.")
            }
        })?;
    }
    if old.is_some_and(|old| old.replication == keyspace.replication) {
        return Ok(());
    }
    if keyspace.replication.get("class").is_some_and(|class| class.ends_with(".SimpleStrategy")) {
        Guard::enabled("simplestrategy", rails.simplestrategy_enabled, "SimpleStrategy")?;
    }
    let factors = keyspace.replication.iter().filter(|(option, _)| *option != "class");
    for factor in factors.filter_map(|(_, value)| value.split('/').next()?.trim().parse::<usize>().ok()) {
        let bounds = (
            rails.maximum_replication_factor_warn_threshold,
            rails.maximum_replication_factor_fail_threshold,
        );
        let text = |bound: i64, is_failure: bool, side: &str| {
            let kind = if is_failure { "failure" } else { "warning" };
            format!(
                "The keyspace {name} has a replication factor of {factor}, {side} the {kind} threshold of {bound}."
            )
        };
        let is_below = |bound: i64| usize::try_from(bound).is_ok_and(|bound| factor < bound);
        let (warn, fail) = (
            rails.minimum_replication_factor_warn_threshold,
            rails.minimum_replication_factor_fail_threshold,
        );
        if is_below(fail) {
            return Guard::refuse("minimum_replication_factor", &text(fail, true, "below"));
        }
        if is_below(warn) {
            guard.warn("minimum_replication_factor", &text(warn, false, "below"));
        }
        guard.at_most("maximum_replication_factor", bounds, factor, |bound, is_failure| {
            text(bound, is_failure, "above")
        })?;
    }
    Ok(())
}

fn judge_table(
    guard: &Guard<'_>,
    schema: &Schema,
    table: &Table,
    statement: &Statement,
) -> Result<(), CqlError> {
    let (rails, name) = (guard.rails, &table.name);
    let old = schema.table(&table.keyspace, name);
    let count = table.visible_columns().count();
    if old.is_none_or(|old| old.visible_columns().count() < count) {
        let bounds = (rails.columns_per_table_warn_threshold, rails.columns_per_table_fail_threshold);
        guard.at_most("columns_per_table", bounds, count, |bound, is_failure| {
            if is_failure {
                format!("Tables cannot have more than {bound} columns, but {count} provided for table {name}")
            } else {
                format!(
                    "The table {name} has {count} columns, this exceeds the warning threshold of {bound}."
                )
            }
        })?;
    }
    if old.is_none() {
        let of_users = schema.tables().filter(|table| !is_system_keyspace(&table.keyspace));
        let count = of_users.count() + 1;
        let bounds = (rails.tables_warn_threshold, rails.tables_fail_threshold);
        guard.at_most("tables", bounds, count, |bound, is_failure| {
            if is_failure {
                format!("Cannot have more than {bound} tables, aborting the creation of table {name}")
            } else {
                format!("Creating table {name}, current number of tables {count} exceeds warning threshold of {bound}.")
            }
        })?;
    }
    let added = |column: &&Column| old.is_none_or(|old| old.column(&column.name).is_none());
    let mut added = table.columns.iter().filter(added);
    added.try_for_each(|column| judge_vectors(guard, "Column", &column.name, &column.cql_type))?;
    let sets = |property: &str| match statement {
        Statement::CreateTable(_) => true,
        Statement::AlterTable(alter) => matches!(&alter.change,
            TableChange::Properties(properties) if properties.iter().any(|it| it.name == property)),
        _ => false,
    };
    let is_off = |enabled: &String| enabled.eq_ignore_ascii_case("false");
    if sets("compression") && table.params.compression.get("enabled").is_some_and(is_off) {
        Guard::enabled(
            "uncompressed_tables_enabled",
            rails.uncompressed_tables_enabled,
            "Uncompressed table",
        )?;
    }
    let class = table.params.compaction.get("class");
    let has_windows = class.is_some_and(|class| class.ends_with("TimeWindowCompactionStrategy"));
    if sets("compaction") && has_windows && table.params.default_time_to_live == 0 {
        let text = |kind: &str| {
            format!(
                "0 default_time_to_live on a table with TimeWindowCompactionStrategy compaction strategy is not {kind}. {ZERO_TTL}"
            )
        };
        if !rails.zero_ttl_on_twcs_enabled {
            return Guard::refuse("zero_ttl_on_twcs", &text("allowed"));
        }
        if rails.zero_ttl_on_twcs_warned {
            guard.warn("zero_ttl_on_twcs", &text("recommended"));
        }
    }
    Ok(())
}

fn judge_fields(guard: &Guard<'_>, name: &str, count: usize) -> Result<(), CqlError> {
    let bounds = (guard.rails.fields_per_udt_warn_threshold, guard.rails.fields_per_udt_fail_threshold);
    guard.at_most("fields_per_udt", bounds, count, |bound, is_failure| {
        if is_failure {
            format!(
                "User types cannot have more than {bound} columns, but {count} provided for user type {name}."
            )
        } else {
            format!(
                "The user type {name} has {count} columns, this exceeds the warning threshold of {bound}."
            )
        }
    })
}

/// Judges the vectors in the type of a column or a field; the outermost ones, as Cassandra does.
fn judge_vectors(guard: &Guard<'_>, what: &str, name: &str, ty: &CqlType) -> Result<(), CqlError> {
    let CqlType::Vector { dimensions, .. } = ty else {
        if matches!(ty, CqlType::UserDefined { .. }) {
            return Ok(());
        }
        return ty.inner().into_iter().try_for_each(|inner| judge_vectors(guard, what, name, inner));
    };
    let rails = guard.rails;
    Guard::enabled("vector_type_enabled", rails.vector_type_enabled, &format!("{what} {name}"))?;
    let bounds = (rails.vector_dimensions_warn_threshold, rails.vector_dimensions_fail_threshold);
    guard.at_most("vector_dimensions", bounds, usize::from(*dimensions), |bound, is_failure| {
        let kind = if is_failure { "failure" } else { "warning" };
        format!("{what} {name} has a vector of {dimensions} dimensions, this exceeds the {kind} threshold of {bound}.")
    })
}
