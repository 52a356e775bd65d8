//! The definitions of the system tables.

use super::*;
use crate::system_keyspaces::Definition;

/// Tables in the texts.
fn defined(definition: &Definition) -> usize {
    definition.tables.matches("CREATE TABLE").count()
}

#[test]
fn every_definition_makes_a_table() {
    let builtin = builtin();
    for (definition, keyspace) in DEFINITIONS.iter().zip(&builtin.keyspaces) {
        assert_eq!(&*keyspace.name, definition.name);
        assert_eq!(keyspace.tables.len(), defined(definition), "{}", definition.name);
    }
}

#[test]
fn tables_have_cassandras_ids() {
    for (keyspace, table, id) in [
        ("system", "local", "7ad54392-bcdd-35a6-8417-4e047860b377"),
        ("system", "IndexInfo", "9f5c6374-d485-3229-9a0a-5094af9ad1e3"),
        ("system_schema", "tables", "afddfb9d-bc1e-3068-8056-eed6c302ba09"),
        ("system_auth", "roles", "5bc52802-de25-35ed-aeab-188eecebb090"),
        ("system_views", "clients", "89dc73d4-1447-3765-948b-500c7c35a35d"),
    ] {
        assert_eq!(id_of(keyspace, table).0.to_string(), id);
    }
}

#[test]
fn what_clients_write_is_kept_on_disk() {
    let builtin = builtin();
    let is_kept = |keyspace: &str, table: &str| !builtin.volatile.contains(&id_of(keyspace, table));
    for (keyspace, table) in
        [("system_auth", "roles"), ("system_traces", "events"), ("system", "prepared_statements")]
    {
        assert!(is_kept(keyspace, table), "{keyspace}.{table}");
    }
    for (keyspace, table) in [("system", "local"), ("system_schema", "columns"), ("system_views", "settings")]
    {
        assert!(!is_kept(keyspace, table), "{keyspace}.{table}");
    }
}

#[test]
fn a_users_keyspace_is_no_system_keyspace() {
    assert!(!is_system_keyspace("systematic") && !is_system_keyspace("ks"));
    assert!(is_system_keyspace("system_auth") && !is_local_system_keyspace("system_auth"));
    assert!(is_virtual_keyspace("system_views") && is_local_system_keyspace("system_views"));
}
