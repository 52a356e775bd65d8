//! Tombstones that a SELECT meets: clients are warned of many, and refused too many (Cassandra:
//! `tombstone_warn_threshold`, `tombstone_failure_threshold`).

use super::output::Output;
use crate::error::CqlError;
use crate::host::Host;
use dodona_cluster::ClusterError;
use dodona_cluster::table_settings::limits_tombstones;
use dodona_types::Token;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::schema::Table;

/// Characters of the statement that a warning shows.
const STATEMENT_CHARS: usize = 512;

/// What the reads of one SELECT have met. Each partition that it names is judged by itself.
pub(super) struct Met {
    warn_above: u64,
    fail_above: u64,
    tombstones: u64,
    /// Rows that were read before the present partition.
    rows_before: u64,
    rows: u64,
    token: Token,
    /// Rows, tombstones and token of those to be warned of.
    many: Vec<(u64, u64, Token)>,
}

impl Met {
    pub(super) fn new(host: &Host, table: &Table) -> Self {
        let settings = host.node.engine.settings();
        let (warn_above, fail_above) = if limits_tombstones(&table.keyspace) {
            (settings.tombstone_warn_threshold, settings.tombstone_failure_threshold)
        } else {
            (u64::MAX, u64::MAX)
        };
        Self {
            warn_above,
            fail_above,
            tombstones: 0,
            rows_before: 0,
            rows: 0,
            token: Token::MIN,
            many: Vec::new(),
        }
    }

    /// Counts what a command has met, which may be a part of what the one before did not come to.
    ///
    /// # Errors
    /// It is too many.
    #[inline]
    pub(super) fn take(
        &mut self,
        command: &ReadCommand,
        tombstones: u64,
        output: &Output<'_>,
    ) -> Result<(), CqlError> {
        let (rows, key) = output.rows_read();
        match &command.partitions {
            PartitionSelection::Key(key) if key.token() != self.token => {
                self.end();
                self.token = key.token();
            }
            PartitionSelection::Key(_) => {}
            PartitionSelection::Range(_) => self.token = Token::of_key(key),
        }
        self.rows = rows;
        self.tombstones += tombstones;
        if self.tombstones > self.fail_above {
            return Err(ClusterError::too_many_tombstones(self.fail_above).into());
        }
        Ok(())
    }

    fn end(&mut self) {
        if self.tombstones > self.warn_above {
            self.many.push((self.rows - self.rows_before, self.tombstones, self.token));
        }
        self.rows_before = self.rows;
        self.tombstones = 0;
    }

    /// What the client is warned of; the log is as well.
    pub(super) fn warnings(mut self, statement: &str) -> Vec<String> {
        if self.tombstones > 0 {
            self.end();
        }
        let warning = |(rows, tombstones, token): (u64, u64, Token)| {
            let query: String = statement.chars().take(STATEMENT_CHARS).collect();
            let warning = format!(
                "Read {rows} live rows and {tombstones} tombstone cells for query {query}; token {token} \
                 (see tombstone_warn_threshold)"
            );
            tracing::warn!("{warning}");
            warning
        };
        self.many.into_iter().map(warning).collect()
    }
}
