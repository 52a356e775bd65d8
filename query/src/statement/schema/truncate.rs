//! TRUNCATE.

use crate::ast::QualifiedName;
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::guardrails::{Guardrails, drops_tables};
use crate::host::Host;
use crate::outcome::{Outcome, StatementResult};
use crate::system_keyspaces::is_volatile;
use dodona_cluster::ClusterError;
use dodona_types::schema::Table;
use std::sync::Arc;

/// `TRUNCATE table`.
#[derive(Debug)]
pub(crate) struct TruncatePlan {
    table: Arc<Table>,
}

impl TruncatePlan {
    pub(super) fn prepare(context: &mut Context<'_>, table: &QualifiedName) -> Result<Self, CqlError> {
        let table = context.table(table)?;
        if is_volatile(&table) {
            return invalid(format!(
                "Truncation is not supported by table {}.{}",
                table.keyspace, table.name
            ));
        }
        Ok(Self { table })
    }

    pub(super) async fn execute(&self, host: &Host, rails: &Guardrails) -> Result<Outcome, CqlError> {
        drops_tables(rails)?;
        match host.node.coordinator.truncate(self.table.id).await {
            Ok(()) => Ok(Outcome::of(StatementResult::Void { safe_at: None })),
            Err(error @ ClusterError::Unavailable { .. }) => Err(error.into()),
            Err(error) => Err(CqlError::Truncate(format!("Error during truncate: {error}"))),
        }
    }
}
