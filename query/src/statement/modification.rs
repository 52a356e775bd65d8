//! INSERT, UPDATE and DELETE: one pass from bound values to an encoded mutation.

pub(crate) mod conditional;
pub(crate) mod counting;
pub(super) mod explain;
mod prepare;

use super::Scratch;
use super::cells::{Operation, Source, Times, put_row};
use super::condition::Conditions;
use super::existing::{ExistingLists, RowLists, WantedLists};
use super::json_row::JsonRow;
use crate::binding::{Binding, Val};
use crate::error::{CqlError, invalid};
use crate::host::Host;
use crate::keys;
use crate::outcome::TryExecute;
use crate::outcome::{Outcome, StatementResult};
use crate::restrictions::{RawKeys, Restrictions};
use crate::session::Parameters;
use crate::term::Expression;
use dodona_cluster::coordinator::TryWrite;
use dodona_types::key::{ABOVE, BELOW};
use dodona_types::read_command::ClusteringSelection;
use dodona_types::row::RowHeader;
use dodona_types::schema::{ColumnKind, Table};
use dodona_types::{ClusteringSlice, Deletion, Liveness, MutationBuilder};
use smallvec::smallvec;
use std::sync::Arc;

/// The longest time to live, in seconds (Cassandra `Attributes.MAX_TTL`, 20 years).
const MAX_TTL_SECONDS: i32 = 20 * 365 * 24 * 60 * 60;

const RANGE_OF_COLUMNS: &str = "Range deletions are not supported for specific columns";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Insert,
    Update,
    Delete,
}

/// Where an INSERT JSON gets its values.
#[derive(Clone, Debug)]
struct JsonSource {
    document: Expression,
    default_unset: bool,
}

/// A plan to change a table.
#[derive(Debug)]
pub(crate) struct ModificationPlan {
    pub(super) table: Arc<Table>,
    kind: Kind,
    /// Which partitions and rows; none for INSERT JSON.
    restrictions: Option<Restrictions>,
    json: Option<JsonSource>,
    /// Sorted by column.
    operations: Vec<Operation>,
    timestamp: Option<Expression>,
    ttl: Option<Expression>,
    /// A list must be read before it is changed.
    reads_first: bool,
    is_counter: bool,
    counts: bool,
    conditions: Conditions,
}

impl ModificationPlan {
    /// The places of the partition key's columns among the markers.
    pub(crate) fn partition_key_markers(&self) -> Option<Vec<u16>> {
        self.restrictions.as_ref()?.partition_key_markers()
    }

    /// True if the statement has a timestamp of its own.
    pub(crate) const fn has_timestamp(&self) -> bool {
        self.timestamp.is_some()
    }

    /// Executes at once, where it changes one partition that this node alone holds.
    pub(crate) fn try_execute(
        &self,
        host: &Host,
        binding: &Binding<'_>,
        parameters: &Parameters<'_>,
        scratch: &mut Scratch,
    ) -> Result<TryExecute, CqlError> {
        if self.is_conditional() || self.counts() {
            return Ok(TryExecute::NotHere);
        }
        check_write_consistency(parameters)?;
        let times = self.times(binding, parameters.timestamp_micros)?;
        self.judge(binding, parameters)?;
        let builder = &mut scratch.builder;
        let keys = self.partition_keys(binding)?;
        let [key] = keys.as_slice() else {
            return Ok(TryExecute::NotHere);
        };
        let lists = match self.wanted_lists(key, binding)? {
            None => ExistingLists::default(),
            Some(wanted) => {
                let (node, now) = (&host.node, binding.now_seconds);
                match ExistingLists::try_read(node, &self.table, &wanted, parameters.consistency, now)? {
                    Some(lists) => lists,
                    None => return Ok(TryExecute::NotHere),
                }
            }
        };
        self.build(key, binding, &times, &lists, builder)?;
        if builder.is_empty() {
            return Ok(TryExecute::Done(Outcome::of(StatementResult::Void { safe_at: None })));
        }
        match host.node.coordinator.try_write(&[builder.view()], parameters.consistency)? {
            TryWrite::Applied(position) => {
                Ok(TryExecute::Done(Outcome::of(StatementResult::Void { safe_at: Some(position) })))
            }
            TryWrite::NotHere => Ok(TryExecute::NotHere),
        }
    }

    /// Executes.
    pub(crate) async fn execute(
        &self,
        host: &Host,
        binding: &Binding<'_>,
        parameters: &Parameters<'_>,
    ) -> Result<Outcome, CqlError> {
        self.judge(binding, parameters)?;
        if self.is_conditional() {
            return Box::pin(conditional::execute(host, &[(self, binding)], false, parameters)).await;
        }
        if self.is_counter() {
            self.check_counter_level(parameters)?;
        }
        check_write_consistency(parameters)?;
        if self.counts() {
            let mut updates = counting::Updates::new();
            self.collect_counts(binding, &mut updates)?;
            Box::pin(counting::count(host, updates, parameters)).await?;
            return Ok(Outcome::of(StatementResult::Void { safe_at: None }));
        }
        let lists = self.read_lists(host, binding, parameters).await?;
        let mut mutations = Vec::new();
        self.mutations(binding, parameters.timestamp_micros, &lists, &mut mutations)?;
        if !mutations.is_empty() {
            host.node.coordinator.write(&mutations, parameters.consistency).await?;
        }
        Ok(Outcome::of(StatementResult::Void { safe_at: None }))
    }

    /// Judges what the statement asks for by itself, outside of a batch.
    fn judge(&self, binding: &Binding<'_>, parameters: &Parameters<'_>) -> Result<(), CqlError> {
        binding.guard.write_level(parameters.consistency)?;
        if self.timestamp.is_some() {
            let times = self.times(binding, parameters.timestamp_micros)?;
            binding.guard.timestamp(&self.table.name, times.timestamp_micros, binding.now_micros)?;
        }
        Ok(())
    }

    /// True if lists must be read before the mutations can be made.
    pub(crate) const fn reads_first(&self) -> bool {
        self.reads_first
    }

    /// The lists that must be read of a partition.
    fn wanted_lists(&self, key: &[u8], binding: &Binding<'_>) -> Result<Option<WantedLists>, CqlError> {
        let (true, Some(restrictions)) = (self.reads_first, &self.restrictions) else {
            return Ok(None);
        };
        let lists = self.operations.iter().filter(|operation| operation.change.reads_first());
        let only_static = lists.clone().all(|operation| operation.column.kind == ColumnKind::Static);
        let rows = if only_static { Vec::new() } else { self.rows(restrictions, binding)? };
        let columns = lists.map(|operation| operation.column.id).collect();
        Ok(Some(WantedLists { key: key.to_vec(), rows, columns }))
    }

    /// Reads the lists that the mutations need, by partition.
    pub(crate) async fn read_lists(
        &self,
        host: &Host,
        binding: &Binding<'_>,
        parameters: &Parameters<'_>,
    ) -> Result<Vec<ExistingLists>, CqlError> {
        let mut lists = Vec::new();
        if !self.reads_first {
            return Ok(lists);
        }
        for key in self.partition_keys(binding)? {
            let Some(wanted) = self.wanted_lists(&key, binding)? else { break };
            let (node, now) = (&host.node, binding.now_seconds);
            let read = ExistingLists::read(node, &self.table, &wanted, parameters.consistency, now);
            lists.push(Box::pin(read).await?);
        }
        Ok(lists)
    }

    /// Appends the encoded mutations. `lists` are what [`Self::read_lists`] gave.
    pub(crate) fn mutations(
        &self,
        binding: &Binding<'_>,
        default_timestamp: Option<i64>,
        lists: &[ExistingLists],
        out: &mut Vec<Vec<u8>>,
    ) -> Result<(), CqlError> {
        let times = self.times(binding, default_timestamp)?;
        let mut builder = MutationBuilder::new();
        let none = ExistingLists::default();
        for (index, key) in self.partition_keys(binding)?.iter().enumerate() {
            self.build(key, binding, &times, lists.get(index).unwrap_or(&none), &mut builder)?;
            if !builder.is_empty() {
                out.push(builder.view().bytes().to_vec());
            }
        }
        Ok(())
    }

    /// The raw keys of the partitions that are changed.
    pub(crate) fn partition_keys(&self, binding: &Binding<'_>) -> Result<RawKeys, CqlError> {
        match (&self.restrictions, &self.json) {
            (Some(restrictions), _) => restrictions.partition_keys(binding),
            (None, Some(json)) => {
                let row = JsonRow::read(&self.table, &json.document, json.default_unset, binding)?;
                let components = self
                    .table
                    .partition_key()
                    .map(|column| row.key_component(column))
                    .collect::<Result<Vec<_>, _>>()?;
                let key = keys::partition_key(&components);
                keys::check_partition_key(&key)?;
                Ok(smallvec![key])
            }
            (None, None) => Ok(RawKeys::new()),
        }
    }

    fn times(&self, binding: &Binding<'_>, default_timestamp: Option<i64>) -> Result<Times, CqlError> {
        let mut times = Times {
            timestamp_micros: default_timestamp.unwrap_or(binding.now_micros),
            ttl_seconds: self.table.params.default_time_to_live,
            now_seconds: binding.now_seconds,
            is_conditional: false,
        };
        if let Some(expression) = &self.timestamp {
            match expression.evaluate(binding)? {
                Val::Null => return invalid("Invalid null value of timestamp"),
                Val::Unset => {}
                Val::Bytes(bytes) => times.timestamp_micros = checked_timestamp(&bytes)?,
            }
        }
        if let Some(expression) = &self.ttl {
            match expression.evaluate(binding)? {
                Val::Null => times.ttl_seconds = 0,
                Val::Unset => {}
                Val::Bytes(bytes) if bytes.is_empty() => {}
                Val::Bytes(bytes) => match bytes.as_ref().try_into().map(i32::from_be_bytes) {
                    Ok(ttl) if ttl > MAX_TTL_SECONDS => {
                        return invalid(format!(
                            "ttl is too large. requested ({ttl}) maximum ({MAX_TTL_SECONDS})"
                        ));
                    }
                    Ok(ttl) if ttl >= 0 => times.ttl_seconds = ttl.cast_unsigned(),
                    Ok(ttl) => return invalid(format!("A TTL must be greater or equal to 0, but was {ttl}")),
                    Err(_) => return invalid("Invalid TTL value"),
                },
            }
        }
        Ok(times)
    }

    /// Builds the mutation of one partition.
    fn build(
        &self,
        key: &[u8],
        binding: &Binding<'_>,
        times: &Times,
        lists: &ExistingLists,
        builder: &mut MutationBuilder,
    ) -> Result<(), CqlError> {
        binding.guard.disks(&self.table, key)?;
        builder.begin(self.table.id, self.table.epoch, key);
        self.fill(binding, times, lists, builder)
    }

    /// Adds what the statement changes to the mutation of its partition.
    fn fill(
        &self,
        binding: &Binding<'_>,
        times: &Times,
        lists: &ExistingLists,
        builder: &mut MutationBuilder,
    ) -> Result<(), CqlError> {
        let Some(restrictions) = &self.restrictions else {
            return self.build_json(binding, times, builder);
        };
        if self.kind == Kind::Delete && self.operations.is_empty() {
            return self.build_deletion(restrictions, binding, times, builder);
        }
        let of_kind =
            |kind| self.operations.iter().filter(move |operation: &&Operation| operation.column.kind == kind);
        let has_static = of_kind(ColumnKind::Static).next().is_some();
        let only_static = has_static && of_kind(ColumnKind::Regular).next().is_none();
        let names_rows = restrictions.names_whole_clustering() && (!only_static || self.kind == Kind::Insert);
        let rows = if names_rows { self.rows(restrictions, binding)? } else { Vec::new() };
        if self.kind == Kind::Delete && !only_static && !names_rows {
            return invalid(RANGE_OF_COLUMNS);
        }
        // `c IN ()` names no rows, and then static columns stay as they are.
        if names_rows && rows.is_empty() {
            return Ok(());
        }
        if has_static {
            let source = Source { binding, times, lists: self.lists_of(lists, None) };
            // As in Cassandra: once for each row, so that a list grows by as many elements.
            for _ in 0..rows.len().max(1) {
                put_row(builder, None, &RowHeader::EMPTY, &source, of_kind(ColumnKind::Static))?;
            }
        }
        if names_rows {
            self.check_has_value()?;
        }
        let liveness = self.marker(times);
        let originals = if rows.len() == 1 { restrictions.originals(binding)? } else { None };
        for row in rows {
            keys::check_named(&self.table, &row)?;
            let header = RowHeader { liveness, deletion: Deletion::NONE, originals: originals.as_deref() };
            let source = Source { binding, times, lists: self.lists_of(lists, Some(&row)) };
            put_row(builder, Some(&row), &header, &source, of_kind(ColumnKind::Regular))?;
        }
        Ok(())
    }

    /// The marker of the rows that an INSERT makes.
    fn marker(&self, times: &Times) -> Option<Liveness> {
        (self.kind == Kind::Insert && self.table.has_row_markers()).then(|| times.liveness())
    }

    /// Refuses to write rows that have neither a marker nor a value.
    fn check_has_value(&self) -> Result<(), CqlError> {
        if self.table.has_row_markers() || !self.operations.is_empty() {
            return Ok(());
        }
        let value = self.table.columns_of(ColumnKind::Regular).next().map_or("", |column| &*column.name);
        invalid(format!("Column {value} is mandatory for this COMPACT STORAGE table"))
    }

    fn lists_of<'l>(&self, lists: &'l ExistingLists, row: Option<&[u8]>) -> Option<&'l RowLists> {
        if self.reads_first { lists.of_row(row) } else { None }
    }

    /// The rows that the restrictions name; the only row of a table without clustering columns.
    fn rows(&self, restrictions: &Restrictions, binding: &Binding<'_>) -> Result<Vec<Vec<u8>>, CqlError> {
        if self.table.clustering_key().next().is_none() {
            return Ok(vec![vec![dodona_types::key::ROW_END]]);
        }
        match restrictions.clustering_selection(binding)? {
            ClusteringSelection::Names(names) => {
                names.iter().try_for_each(|name| keys::check_clustering(&self.table, name))?;
                Ok(names)
            }
            ClusteringSelection::Slices(_) if self.kind == Kind::Delete => invalid(RANGE_OF_COLUMNS),
            ClusteringSelection::Slices(_) => invalid("Multi-column relations are not supported here"),
        }
    }

    fn build_deletion(
        &self,
        restrictions: &Restrictions,
        binding: &Binding<'_>,
        times: &Times,
        builder: &mut MutationBuilder,
    ) -> Result<(), CqlError> {
        if restrictions.is_whole_partition() {
            builder.partition_deletion(times.deletion_of_many());
            return Ok(());
        }
        match restrictions.clustering_selection(binding)? {
            ClusteringSelection::Names(names) => {
                for name in names {
                    keys::check_named(&self.table, &name)?;
                    let header = RowHeader { deletion: times.deletion(), ..RowHeader::EMPTY };
                    builder.row(&name, times.timestamp_micros, &header, |_| {});
                }
            }
            ClusteringSelection::Slices(slices) => {
                for slice in slices.into_iter().filter(|slice| !slice.is_empty()) {
                    // What is stored needs a bound at the partition's start.
                    let start = if slice.start.is_empty() { vec![BELOW] } else { slice.start };
                    let end = if slice.end.is_empty() { vec![ABOVE] } else { slice.end };
                    builder.range_deletion(&ClusteringSlice { start, end }, times.deletion_of_many());
                }
            }
        }
        Ok(())
    }

    /// The clustering key in a JSON document.
    fn json_clustering(&self, binding: &Binding<'_>) -> Result<Vec<u8>, CqlError> {
        let mut clustering = Vec::new();
        if let Some(json) = &self.json {
            let row = JsonRow::read(&self.table, &json.document, json.default_unset, binding)?;
            for column in self.table.clustering_key() {
                keys::put_component(column, row.key_component(column)?, &mut clustering)?;
            }
        }
        keys::end_clustering(&mut clustering);
        Ok(clustering)
    }

    fn build_json(
        &self,
        binding: &Binding<'_>,
        times: &Times,
        builder: &mut MutationBuilder,
    ) -> Result<(), CqlError> {
        let Some(json) = &self.json else { return Ok(()) };
        let row = JsonRow::read(&self.table, &json.document, json.default_unset, binding)?;
        let mut clustering = Vec::new();
        let mut components = Vec::new();
        for column in self.table.clustering_key() {
            let component = row.key_component(column)?;
            keys::put_component(column, component, &mut clustering)?;
            components.push((column, component));
        }
        keys::end_clustering(&mut clustering);
        keys::check_clustering(&self.table, &clustering)?;
        keys::check_named(&self.table, &clustering)?;
        let originals = keys::originals(components.into_iter());
        let source = Source { binding, times, lists: None };
        let operations = row.operations(&self.table);
        let of_kind =
            |kind| operations.iter().filter(move |operation: &&Operation| operation.column.kind == kind);
        if of_kind(ColumnKind::Static).next().is_some() {
            put_row(builder, None, &RowHeader::EMPTY, &source, of_kind(ColumnKind::Static))?;
        }
        let liveness = self.marker(times);
        let header = RowHeader { liveness, deletion: Deletion::NONE, originals: originals.as_deref() };
        put_row(builder, Some(&clustering), &header, &source, of_kind(ColumnKind::Regular))
    }
}

/// The timestamp in the wire bytes of a bigint.
pub(crate) fn checked_timestamp(bytes: &[u8]) -> Result<i64, CqlError> {
    match bytes.try_into().map(i64::from_be_bytes) {
        Ok(timestamp) if timestamp != i64::MIN => Ok(timestamp),
        _ => invalid(format!("Out of bound timestamp, must be in [{}, {}]", i64::MIN + 1, i64::MAX)),
    }
}

fn check_write_consistency(parameters: &Parameters<'_>) -> Result<(), CqlError> {
    if parameters.consistency.is_serial() {
        return invalid("You must use conditional updates for serializable writes");
    }
    Ok(())
}
