//! SELECT: from a plan to read commands, and from rows to a result.

mod clauses;
mod explain;
mod met;
mod output;
mod reads;

use crate::ast::{Select, Term};
use crate::binding::{Binding, Val};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::guardrails::Guard;
use crate::host::Host;
use crate::keys::check_partition_key;
use crate::outcome::TryExecute;
use crate::outcome::{ColumnSpec, Outcome, StatementResult};
use crate::paging::{PagingState, resume};
use crate::restrictions::{Filter, Purpose, Restrictions, key_of};
use crate::selection::{Selection, Selector};
use crate::session::Parameters;
use crate::system_keyspaces::is_local_system_keyspace;
use crate::term::{Expression, Receiver};
use clauses::{check_distinct, check_distinct_relations, check_order_names, group_by, ordering};
use dodona_cluster::coordinator::TryRead;
use dodona_cluster::coordinator::served::Operation;
use dodona_cluster::trace::note;
use dodona_types::read_command::{ClusteringSelection, PartitionSelection, ReadCommand, ReadLimits};
use dodona_types::schema::{ColumnKind, Table};
use dodona_types::{Consistency, CqlType, HiddenCells, RowSink};
use met::Met;
use output::{Output, Shape};
use reads::Reads;
use std::sync::Arc;

/// Partitions that are read at once, on the caller's turn, by one statement.
const INLINE_COMMANDS: usize = 16;

/// A plan to read a table.
#[derive(Debug)]
pub(crate) struct SelectPlan {
    table: Arc<Table>,
    restrictions: Restrictions,
    selection: Selection,
    columns: Vec<ColumnSpec>,
    json: bool,
    distinct: bool,
    reversed: bool,
    /// Cells that are not seen.
    hidden: HiddenCells,
    /// Rows are sorted by these wanted columns before they are given.
    sort: Vec<(usize, bool)>,
    /// What GROUP BY names, with its type.
    group_by: Vec<(Selector, CqlType)>,
    limit: Option<Expression>,
    per_partition_limit: Option<Expression>,
}

impl SelectPlan {
    /// The plan of a SELECT.
    pub(crate) fn prepare(context: &mut Context<'_>, select: &Select) -> Result<Self, CqlError> {
        let table = context.table(&select.table)?;
        check_allowed(context, &table, select)?;
        let only_static = Selection::is_only_static(context, &table, select)?;
        check_order_names(&table, select)?;
        let allow_filtering = select.allow_filtering;
        let purpose = Purpose { statement: "SELECT", allow_filtering, only_static };
        let restrictions = Restrictions::prepare(context, &table, &select.relations, purpose)?;
        let mut selection = Selection::prepare(context, &table, select)?;
        if select.distinct {
            if select.per_partition_limit.is_some() {
                return invalid("PER PARTITION LIMIT is not allowed with SELECT DISTINCT queries");
            }
            check_distinct_relations(&table, &select.relations)?;
            check_distinct(&table, &selection, &restrictions)?;
        }
        let group_by = group_by(context, &table, select, &restrictions, &mut selection)?;
        if select.per_partition_limit.is_some() && !selection.aggregates.is_empty() && group_by.is_empty() {
            return invalid("PER PARTITION LIMIT is not allowed with aggregate queries.");
        }
        let (reversed, sort) = ordering(&table, select, &restrictions, &mut selection)?;
        restrictions.check_filtering(allow_filtering)?;
        for column in restrictions.filtered_columns() {
            selection.want(&table, &column.name)?;
        }
        let mut limit = |term: &Option<Term>, name: &str| match term {
            Some(term) => Expression::prepare(context, term, &Receiver::new(name, CqlType::Int)).map(Some),
            None => Ok(None),
        };
        let per_partition_limit = limit(&select.per_partition_limit, "[per_partition_limit]")?;
        let limit = limit(&select.limit, "[limit]")?;
        let columns = if select.json { vec![json_column(&table)] } else { selection.columns.clone() };
        Ok(Self {
            hidden: table.hidden_cells(),
            table,
            restrictions,
            selection,
            columns,
            json: select.json,
            distinct: select.distinct,
            reversed,
            sort,
            group_by,
            limit,
            per_partition_limit,
        })
    }

    /// The table.
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// What it does with its table.
    pub(crate) fn operation(&self) -> Operation {
        if self.restrictions.has_partition_keys() { Operation::Read } else { Operation::Scan }
    }

    /// The columns of the result.
    pub(crate) fn columns(&self) -> &[ColumnSpec] {
        &self.columns
    }

    /// The places of the partition key's columns among the markers.
    pub(crate) fn partition_key_markers(&self) -> Option<Vec<u16>> {
        self.restrictions.partition_key_markers()
    }

    fn limits(&self, binding: &Binding<'_>) -> Result<ReadLimits, CqlError> {
        let value = |expression: &Option<Expression>| match expression {
            None => Ok(u64::MAX),
            Some(expression) => match expression.evaluate(binding)? {
                Val::Unset => Ok(u64::MAX),
                Val::Null => invalid("Invalid null value of limit"),
                Val::Bytes(bytes) => match bytes.as_ref().try_into().map(i32::from_be_bytes) {
                    Ok(limit) if limit > 0 => Ok(u64::from(limit.cast_unsigned())),
                    _ => invalid("LIMIT must be strictly positive"),
                },
            },
        };
        Ok(ReadLimits { rows: value(&self.limit)?, per_partition: value(&self.per_partition_limit)? })
    }

    /// True if the rows read are the rows given, in their order.
    fn streams(&self) -> bool {
        self.selection.aggregates.is_empty() && self.group_by.is_empty() && self.sort.is_empty()
    }

    /// True if the result comes in pages: what is sorted, and aggregates of all rows, come as a whole.
    fn pages(&self) -> bool {
        self.sort.is_empty() && (self.selection.aggregates.is_empty() || !self.group_by.is_empty())
    }

    /// The commands that read what is asked for, without regard to paging.
    fn commands(&self, binding: &Binding<'_>, limits: ReadLimits) -> Result<Vec<ReadCommand>, CqlError> {
        // What is wrong with the partition key is said first.
        let mut raw = self.restrictions.unchecked_partition_keys(binding)?;
        binding.guard.partitions(&self.table.name, raw.len())?;
        // `p IN ()`: what else there is does not matter.
        if raw.is_empty() && self.restrictions.has_partition_keys() {
            return Ok(Vec::new());
        }
        let clustering = if self.table.clustering_key().next().is_none() {
            ClusteringSelection::all()
        } else {
            self.restrictions.clustering_selection(binding)?
        };
        let is_empty = matches!(&clustering, ClusteringSelection::Slices(slices) if slices.is_empty());
        let command = |partitions, clustering| ReadCommand {
            table: self.table.id,
            epoch: self.table.epoch,
            partitions,
            clustering,
            reversed: self.reversed,
            hidden: self.hidden.clone(),
            now_seconds: binding.now_seconds,
            limits,
        };
        if !self.restrictions.has_partition_keys() {
            let range = self.restrictions.partition_range(binding)?.filter(|_| !is_empty);
            let partitions = range.map(PartitionSelection::Range);
            return Ok(partitions.into_iter().map(|range| command(range, clustering.clone())).collect());
        }
        if is_empty {
            return Ok(Vec::new());
        }
        raw.iter().try_for_each(|key| check_partition_key(key))?;
        if raw.len() == 1
            && let Some(only) = raw.pop()
        {
            return Ok(vec![command(PartitionSelection::Key(key_of(only)), clustering)]);
        }
        let keys = raw.into_iter().map(key_of);
        Ok(keys.map(|key| command(PartitionSelection::Key(key), clustering.clone())).collect())
    }

    /// What one execution reads, and where its rows go.
    fn begin<'a>(
        &'a self,
        statement: &str,
        binding: &'a Binding<'a>,
        parameters: &Parameters<'_>,
        sink: &'a mut dyn RowSink,
    ) -> Result<(Vec<ReadCommand>, Output<'a>), CqlError> {
        check_read_consistency(parameters.consistency)?;
        binding.guard.read_level(parameters.consistency)?;
        let limits = self.limits(binding)?;
        self.selection.check_keys(binding)?;
        let filter = Filter::new(&self.restrictions, binding)?;
        let state = match parameters.paging_state {
            Some(bytes) => Some(PagingState::decode(bytes, statement)?),
            None => None,
        };
        let page_rows = if self.pages() { parameters.page_size.map(u64::from) } else { None };
        let rows_left = state.as_ref().map_or(limits.rows, |state| state.rows_left);
        // What storage counts are rows; with a filter or an aggregate they are not the result's.
        let mut read_limits = ReadLimits::NONE;
        if filter.is_empty() && self.streams() {
            read_limits.rows = rows_left.min(page_rows.map_or(u64::MAX, |rows| rows.saturating_add(1)));
            read_limits.per_partition = limits.per_partition;
        }
        if self.distinct {
            read_limits = ReadLimits { rows: u64::MAX, per_partition: 1 };
        }
        // Storage counts a static row without rows too, which here gives none.
        if !self.restrictions.has_partition_keys()
            && !self.restrictions.is_whole_partition()
            && self.table.columns.iter().any(|column| column.kind == ColumnKind::Static)
        {
            read_limits.rows = u64::MAX;
        }
        let mut commands = self.commands(binding, read_limits)?;
        if let Some(rows) = parameters.page_size {
            binding.guard.page(&self.table.name, rows)?;
        }
        if let Some(state) = &state {
            commands = resume(commands, state);
        }
        let shape = Shape {
            table: &self.table,
            selection: &self.selection,
            json: self.json,
            distinct: self.distinct,
            sort: &self.sort,
            reversed: self.reversed,
            group_by: &self.group_by,
            static_only_rows: self.restrictions.is_whole_partition(),
        };
        let output = Output::new(shape, filter, binding, sink)
            .with_limits(rows_left, limits.per_partition, page_rows.unwrap_or(u64::MAX))
            .resumed(state.as_ref());
        Ok((commands, output))
    }

    fn finish(&self, output: Output<'_>, statement: &str, met: Met) -> Result<Outcome, CqlError> {
        let paging_state = output.finish()?.map(|state| state.encode(statement));
        let mut outcome = Outcome::of(StatementResult::Rows { paging_state });
        if let Some(warning) = self.warning() {
            outcome.warnings.push(warning.into());
        }
        outcome.warnings.extend(met.warnings(statement));
        Ok(outcome)
    }

    /// What the client is told about an aggregation over several partitions.
    fn warning(&self) -> Option<&'static str> {
        if self.selection.aggregates.is_empty() && self.group_by.is_empty() {
            None
        } else if !self.restrictions.restricts_partition_key() {
            Some("Aggregation query used without partition key")
        } else if self.restrictions.has_partition_in() {
            Some("Aggregation query used on multiple partition keys (IN restriction)")
        } else {
            None
        }
    }

    /// Executes at once, where this node alone has everything in memory.
    pub(crate) fn try_execute(
        &self,
        host: &Host,
        statement: &str,
        binding: &Binding<'_>,
        parameters: &Parameters<'_>,
        sink: &mut dyn RowSink,
    ) -> Result<TryExecute, CqlError> {
        let (commands, mut output) = self.begin(statement, binding, parameters, sink)?;
        let mut met = Met::new(host, &self.table);
        if commands.len() > INLINE_COMMANDS || parameters.consistency.is_serial() {
            return Ok(TryExecute::NotHere);
        }
        for command in &commands {
            match host.node.coordinator.try_read(command, parameters.consistency, &mut output)? {
                TryRead::NotHere => return Ok(TryExecute::NotHere),
                TryRead::Shown { tombstones } => met.take(command, tombstones, &output)?,
            }
            if output.is_done() {
                break;
            }
        }
        self.finish(output, statement, met).map(TryExecute::Done)
    }

    /// Executes.
    pub(crate) async fn execute(
        &self,
        host: &Host,
        statement: &str,
        binding: &Binding<'_>,
        parameters: &Parameters<'_>,
        sink: &mut dyn RowSink,
    ) -> Result<Outcome, CqlError> {
        let (commands, mut output) = self.begin(statement, binding, parameters, sink)?;
        note(|| format!("{}.{}: {}", self.table.keyspace, self.table.name, self.manner(&commands)));
        let (coordinator, consistency) = (&host.node.coordinator, parameters.consistency);
        if consistency.is_serial() && commands.len() > 1 {
            return invalid(
                "SERIAL/LOCAL_SERIAL consistency may only be requested for one partition at a time",
            );
        }
        let mut met = Met::new(host, &self.table);
        let read = |command: ReadCommand, bytes| async move {
            // A scan asks as many as a read by Paxos would, and agrees with nobody, as in Cassandra.
            let is_of_one = matches!(command.partitions, PartitionSelection::Key(_));
            let page = if consistency.is_serial() && is_of_one {
                Box::pin(coordinator.serial_read(command.clone(), consistency, bytes)).await
            } else {
                coordinator.read_page(command.clone(), consistency, bytes).await
            };
            (command, page)
        };
        let rows = commands.first().map_or(0, |command| command.limits.rows);
        let mut reads = Reads::new(commands, rows, read);
        while let Some((command, page)) = reads.next().await {
            let (now_seconds, page) = (command.now_seconds, page?);
            let shown = page.show(now_seconds, &mut output).map_err(dodona_cluster::ClusterError::from)?;
            met.take(&command, page.tombstones, &output)?;
            note(|| {
                format!(
                    "{} rows read so far, {} tombstones met in this page",
                    output.rows_read().0,
                    page.tombstones
                )
            });
            if shown.is_break() || output.is_done() {
                break;
            }
            let Some(position) = page.stopped_at else {
                reads.ended();
                continue;
            };
            let state = PagingState {
                key: position.key,
                in_partition: position.in_partition && !self.distinct,
                clustering: position.clustering,
                rows_left: u64::MAX,
                partition_rows_left: output.partition_rows_left(),
            };
            reads.go_on(resume(vec![command], &state));
        }
        self.finish(output, statement, met)
    }
}

/// Refuses clauses that guardrails do not allow.
fn check_allowed(context: &Context<'_>, table: &Table, select: &Select) -> Result<(), CqlError> {
    let rails = context.guardrails;
    if select.allow_filtering && !rails.allow_filtering_enabled && !is_local_system_keyspace(&table.keyspace)
    {
        let message = "Querying with ALLOW FILTERING is not allowed. ALLOW FILTERING can potentially visit all the data in the table and have unpredictable performance.";
        return Guard::refuse("allow_filtering", message);
    }
    if !select.group_by.is_empty() {
        Guard::enabled("group_by", rails.group_by_enabled, "GROUP BY functionality")?;
    }
    Ok(())
}

fn json_column(table: &Table) -> ColumnSpec {
    ColumnSpec {
        keyspace: Arc::clone(&table.keyspace),
        table: Arc::clone(&table.name),
        name: "[json]".into(),
        cql_type: CqlType::Text,
    }
}

fn check_read_consistency(consistency: Consistency) -> Result<(), CqlError> {
    if consistency == Consistency::Any {
        return invalid("ANY ConsistencyLevel is only supported for writes");
    }
    Ok(())
}
