//! CREATE, ALTER and DROP KEYSPACE.

use super::properties::Properties;
use super::{Planner, Work, check_modifiable, is_valid_name, replication};
use crate::ast::{AlterKeyspace, CreateKeyspace, DropKeyspace};
use crate::error::{CqlError, invalid};
use crate::outcome::{ChangeKind, ChangeTarget};
use crate::system_keyspaces::is_local_system_keyspace;
use dodona_cluster::metadata::SchemaChange;
use dodona_cluster::metadata::state::keeps_replication;
use dodona_cluster::ring::Status;
use dodona_types::limits::MAX_NAME_CHARS;
use dodona_types::schema::{Keyspace, Options};
use std::collections::BTreeMap;
use std::sync::Arc;

const REPLICATION: &str = "replication";
const DURABLE_WRITES: &str = "durable_writes";

impl Planner<'_> {
    pub(super) fn create_keyspace(&self, create: &CreateKeyspace) -> Result<Work, CqlError> {
        let name: Arc<str> = create.name.as_str().into();
        let properties = Properties::new(&create.properties);
        properties.check_names(&[REPLICATION, DURABLE_WRITES])?;
        let replication = replication_of(&properties)?;
        if is_local_system_keyspace(&name) {
            return invalid(format!("System keyspace '{name}' is not user-modifiable"));
        }
        check_name(&name)?;
        let Some(replication) = replication else {
            return invalid("Missing mandatory option 'replication'");
        };
        if self.schema.keyspace(&name).is_some() {
            if create.if_not_exists {
                return Ok(Work::default());
            }
            return Err(CqlError::AlreadyExists { keyspace: create.name.clone(), table: String::new() });
        }
        let keyspace = Keyspace {
            name: Arc::clone(&name),
            replication: self.normalise(&name, replication, None)?,
            durable_writes: properties.boolean(DURABLE_WRITES)?.unwrap_or(true),
            tables: BTreeMap::new(),
            types: BTreeMap::new(),
        };
        let warnings = self.warnings(&keyspace, None);
        let changes = vec![SchemaChange::PutKeyspace(keyspace)];
        Ok(Work { warnings, ..Work::new(changes, ChangeKind::Created, &name, ChangeTarget::Keyspace) })
    }

    pub(super) fn alter_keyspace(&self, alter: &AlterKeyspace) -> Result<Work, CqlError> {
        let properties = Properties::new(&alter.properties);
        properties.check_names(&[REPLICATION, DURABLE_WRITES])?;
        let replication = replication_of(&properties)?;
        if is_local_system_keyspace(&alter.name) {
            check_modifiable(&alter.name, "ALTER", String::new)?;
        }
        check_name(&alter.name)?;
        let Some(old) = self.schema.keyspace(&alter.name) else {
            if alter.if_exists {
                return Ok(Work::default());
            }
            return invalid(format!("Keyspace '{}' doesn't exist", alter.name));
        };
        let replication = match replication {
            Some(options) => self.normalise(&old.name, options, Some(&old.replication))?,
            None => old.replication.clone(),
        };
        if replication != old.replication {
            self.refuse_while_members_change()?;
        }
        let durable_writes = properties.boolean(DURABLE_WRITES)?.unwrap_or(old.durable_writes);
        let is_same = replication == old.replication && durable_writes == old.durable_writes;
        // Its tables and types stay, whatever the change holds.
        let keyspace = Keyspace {
            name: Arc::clone(&old.name),
            replication,
            durable_writes,
            tables: BTreeMap::new(),
            types: BTreeMap::new(),
        };
        let warnings = self.warnings(&keyspace, Some(&old.replication));
        if is_same {
            return Ok(Work { warnings, ..Work::default() });
        }
        let changes = vec![SchemaChange::PutKeyspace(keyspace)];
        Ok(Work { warnings, ..Work::new(changes, ChangeKind::Updated, &old.name, ChangeTarget::Keyspace) })
    }

    pub(super) fn drop_keyspace(&self, drop: &DropKeyspace) -> Result<Work, CqlError> {
        check_modifiable(&drop.name, "DROP", || format!("keyspace {}", drop.name))?;
        check_name(&drop.name)?;
        match self.schema.keyspace(&drop.name) {
            Some(keyspace) => {
                let name = &keyspace.name;
                let changes = vec![SchemaChange::DropKeyspace(Arc::clone(name))];
                Ok(Work::new(changes, ChangeKind::Dropped, name, ChangeTarget::Keyspace))
            }
            None if drop.if_exists => Ok(Work::default()),
            None => invalid(format!("Keyspace '{}' doesn't exist", drop.name)),
        }
    }

    fn normalise(
        &self,
        keyspace: &str,
        options: &[(String, String)],
        previous: Option<&Options>,
    ) -> Result<Options, CqlError> {
        let default_factor = self.host.guardrails().default_keyspace_rf;
        replication::normalise(keyspace, options, previous, &self.host.node.placement().ring, default_factor)
    }

    /// The log refuses it as well, should a member begin with it meanwhile.
    fn refuse_while_members_change(&self) -> Result<(), CqlError> {
        let placement = self.host.node.placement();
        let changing = placement.ring.members().iter().find(|member| member.status != Status::Normal);
        changing.map_or(Ok(()), |member| Err(CqlError::Config(keeps_replication(member))))
    }

    fn warnings(&self, keyspace: &Keyspace, previous: Option<&Options>) -> Vec<String> {
        let placement = self.host.node.placement();
        replication::warnings(&keyspace.name, &keyspace.replication, previous, &placement.ring)
    }
}

fn replication_of<'a>(properties: &Properties<'a>) -> Result<Option<&'a [(String, String)]>, CqlError> {
    let replication = properties.map(REPLICATION)?;
    if replication.is_some_and(|options| !options.iter().any(|(name, _)| name == "class")) {
        return Err(CqlError::Config("Missing replication strategy class".into()));
    }
    Ok(replication)
}

fn check_name(name: &str) -> Result<(), CqlError> {
    if !is_valid_name(name) {
        return invalid(format!(
            "Keyspace name must not be empty and must contain alphanumeric or underscore characters only (got \"{name}\")"
        ));
    }
    let chars = name.chars().count();
    if chars > MAX_NAME_CHARS {
        return invalid(format!(
            "Keyspace name must not be more than {MAX_NAME_CHARS} characters long (got {chars} characters for \"{name}\")"
        ));
    }
    Ok(())
}
