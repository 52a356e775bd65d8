//! Statements that change or describe the schema, and TRUNCATE.
//!
//! A plan holds the parsed statement. What it means is worked out against the schema at the
//! moment of its execution, as [`Work`]: changes for the metadata log, the event that clients are
//! told of, and warnings. If the schema has changed at the same time, it is worked out again.

mod alter_table;
mod compact;
mod compatible;
mod compression;
mod describe;
mod keyspace;
mod properties;
mod replication;
mod retry_policy;
mod table;
mod truncate;
mod user_type;

use crate::ast::{QualifiedName, Statement};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::guardrails::{self, Guard, Guardrails};
use crate::host::Host;
use crate::outcome::{ChangeKind, ChangeTarget, ColumnSpec, Outcome, SchemaEvent, StatementResult};
use crate::statement::not_yet;
use crate::system_keyspaces::{is_local_system_keyspace, is_system_keyspace};
use dodona_cluster::ClusterError;
use dodona_cluster::metadata::SchemaChange;
use dodona_types::RowSink;
use dodona_types::schema::Schema;
use std::sync::Arc;

pub(crate) use table::builtin_table;

/// How often a change is worked out again because the schema changed at the same time.
const MAX_ATTEMPTS: usize = 16;

/// A statement on the schema.
#[derive(Debug)]
pub(crate) enum SchemaPlan {
    /// CREATE, ALTER or DROP, and the keyspace for names without one.
    Change(Box<Statement>, Option<Arc<str>>),
    /// TRUNCATE.
    Truncate(truncate::TruncatePlan),
    /// DESCRIBE, and the current keyspace.
    Describe(describe::DescribePlan),
}

/// What the statement means, and the columns of its rows if it gives rows.
pub(crate) fn prepare(
    host: &Host,
    context: &mut Context<'_>,
    statement: &Statement,
) -> Result<(SchemaPlan, Option<Vec<ColumnSpec>>), CqlError> {
    match statement {
        Statement::CreateKeyspace(_)
        | Statement::AlterKeyspace(_)
        | Statement::DropKeyspace(_)
        | Statement::CreateTable(_)
        | Statement::AlterTable(_)
        | Statement::DropTable(_)
        | Statement::CreateType(_)
        | Statement::AlterType(_)
        | Statement::DropType(_) => {
            let plan = SchemaPlan::Change(Box::new(statement.clone()), context.default_keyspace.clone());
            Ok((plan, None))
        }
        Statement::Truncate(table) => {
            let plan = truncate::TruncatePlan::prepare(context, table)?;
            Ok((SchemaPlan::Truncate(plan), None))
        }
        Statement::Describe(describe) => {
            let plan = describe::DescribePlan::new(describe.clone(), context.default_keyspace.clone());
            let columns = plan.columns(host);
            Ok((SchemaPlan::Describe(plan), Some(columns)))
        }
        Statement::CreateIndex(_) | Statement::DropIndex(_) => not_yet("Secondary indexes are"),
        Statement::CreateView(_) | Statement::AlterView(_) | Statement::DropView(_) => {
            not_yet("Materialized views are")
        }
        Statement::CreateFunction(_) | Statement::DropFunction(_) => not_yet("User-defined functions are"),
        Statement::CreateAggregate(_) | Statement::DropAggregate(_) => not_yet("User-defined aggregates are"),
        Statement::CreateTrigger(_) | Statement::DropTrigger(_) => not_yet("Triggers are"),
        _ => not_yet("Roles and permissions are"),
    }
}

/// Executes it. Rows (of DESCRIBE) go to `sink`.
pub(crate) async fn execute(
    host: &Host,
    rails: &Guardrails,
    plan: &SchemaPlan,
    sink: &mut dyn RowSink,
) -> Result<Outcome, CqlError> {
    match plan {
        SchemaPlan::Change(statement, keyspace) => change(host, rails, statement, keyspace.as_ref()).await,
        SchemaPlan::Truncate(plan) => plan.execute(host, rails).await,
        SchemaPlan::Describe(plan) => plan.execute(host, sink),
    }
}

async fn change(
    host: &Host,
    rails: &Guardrails,
    statement: &Statement,
    default_keyspace: Option<&Arc<str>>,
) -> Result<Outcome, CqlError> {
    for _ in 0..MAX_ATTEMPTS {
        let schema = host.node.schema();
        let planner = Planner { host, schema: &schema, default_keyspace };
        let guard = Guard::new(rails, None);
        let statement = &*guardrails::admit(&guard, statement)?;
        let mut work = planner.work_out(statement)?;
        guardrails::judge(&guard, &schema, statement, &work.changes)?;
        work.warnings.splice(0..0, guard.into_warnings());
        let Some(event) = work.event else {
            return Ok(Outcome { result: StatementResult::Void { safe_at: None }, warnings: work.warnings });
        };
        match host.node.change_schema(schema.epoch, work.changes).await {
            Ok(_) => {
                let result = StatementResult::SchemaChange(event);
                return Ok(Outcome { result, warnings: work.warnings });
            }
            Err(ClusterError::SchemaConflict) => {}
            Err(ClusterError::Invalid(reason)) => return Err(CqlError::Config(reason)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(ClusterError::SchemaConflict.into())
}

/// What a statement comes to; nothing if there is nothing to change.
#[derive(Default)]
struct Work {
    changes: Vec<SchemaChange>,
    event: Option<SchemaEvent>,
    warnings: Vec<String>,
}

impl Work {
    fn new(
        changes: Vec<SchemaChange>,
        change: ChangeKind,
        keyspace: &Arc<str>,
        target: ChangeTarget,
    ) -> Self {
        let event = SchemaEvent { change, target, keyspace: Arc::clone(keyspace) };
        Self { changes, event: Some(event), warnings: Vec::new() }
    }
}

/// Works statements out against one schema.
struct Planner<'a> {
    host: &'a Host,
    schema: &'a Schema,
    default_keyspace: Option<&'a Arc<str>>,
}

impl Planner<'_> {
    fn work_out(&self, statement: &Statement) -> Result<Work, CqlError> {
        match statement {
            Statement::CreateKeyspace(create) => self.create_keyspace(create),
            Statement::AlterKeyspace(alter) => self.alter_keyspace(alter),
            Statement::DropKeyspace(drop) => self.drop_keyspace(drop),
            Statement::CreateTable(create) => self.create_table(create),
            Statement::AlterTable(alter) => self.alter_table(alter),
            Statement::DropTable(drop) => self.drop_table(drop),
            Statement::CreateType(create) => self.create_type(create),
            Statement::AlterType(alter) => self.alter_type(alter),
            Statement::DropType(drop) => self.drop_type(drop),
            _ => not_yet("This statement is"),
        }
    }

    /// The keyspace that a name means, which need not exist.
    fn keyspace_of(&self, name: &QualifiedName) -> Result<Arc<str>, CqlError> {
        match (&name.keyspace, self.default_keyspace) {
            (Some(keyspace), _) => Ok(keyspace.as_str().into()),
            (None, Some(keyspace)) => Ok(Arc::clone(keyspace)),
            (None, None) => invalid(
                "No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.tablename",
            ),
        }
    }
}

/// Refuses to change what the server itself depends on. `action` and `resource` are as Cassandra
/// names permissions and resources.
fn check_modifiable(keyspace: &str, action: &str, resource: impl FnOnce() -> String) -> Result<(), CqlError> {
    if is_local_system_keyspace(keyspace) {
        return Err(CqlError::Unauthorized(format!("{keyspace} keyspace is not user-modifiable.")));
    }
    if is_system_keyspace(keyspace) {
        return Err(CqlError::Unauthorized(format!("Cannot {action} <{}>", resource())));
    }
    Ok(())
}

/// True if a keyspace or table may have this name, apart from its length.
fn is_valid_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
