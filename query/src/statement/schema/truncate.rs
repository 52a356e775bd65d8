//! TRUNCATE.

use crate::ast::QualifiedName;
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::host::Host;
use crate::outcome::{Outcome, StatementResult};
use crate::system_keyspaces::{is_local_system_keyspace, is_volatile};
use dodona_types::TableId;
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

    pub(super) async fn execute(&self, host: &Host) -> Result<Outcome, CqlError> {
        let node = &host.node;
        // Other nodes would keep their rows.
        if node.placement().ring.members().len() > 1 && !is_local_system_keyspace(&self.table.keyspace) {
            return Err(CqlError::Truncate(
                "TRUNCATE is not supported yet by this version of Dodona in a cluster of several nodes"
                    .into(),
            ));
        }
        let id: TableId = self.table.id;
        let engine = Arc::clone(&node.engine);
        match node.env.tasks.blocking(move || engine.truncate(id)).await {
            Ok(Ok(())) => Ok(Outcome::of(StatementResult::Void { safe_at: None })),
            Ok(Err(error)) => Err(CqlError::Truncate(format!("Error during truncate: {error}"))),
            Err(error) => Err(CqlError::Truncate(format!("Error during truncate: {error}"))),
        }
    }
}
