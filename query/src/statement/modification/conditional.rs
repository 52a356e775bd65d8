//! Conditional statements, alone and in batches: what they read, whether they apply, and what they
//! answer.

mod collector;

use self::collector::Collector;
use super::{Kind, ModificationPlan};
use crate::binding::Binding;
use crate::error::{CqlError, invalid};
use crate::host::Host;
use crate::outcome::{ColumnSpec, Outcome, StatementResult};
use crate::restrictions::Restrictions;
use crate::row_values::{RowValues, Wanted};
use crate::session::Parameters;
use crate::statement::cells::Operation;
use crate::statement::condition::{CUSTOM_TIMESTAMP, Conditions};
use crate::statement::existing::{ExistingLists, WantedLists};
use dodona_cluster::coordinator::conditional::Decision;
use dodona_cluster::{ClusterError, Page};
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::schema::{Column, ColumnKind, Table, name_order};
use dodona_types::{Consistency, CqlType, HiddenCells, MutationBuilder, PartitionKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The name of the column that says whether a conditional statement had an effect.
const APPLIED: &str = "[applied]";

/// A row's values, one for each column.
type Values = Vec<Option<Vec<u8>>>;

/// A statement with its values.
pub(crate) type Part<'a> = (&'a ModificationPlan, &'a Binding<'a>);

impl ModificationPlan {
    /// True if the statement has an IF.
    pub(crate) const fn is_conditional(&self) -> bool {
        self.conditions.is_some()
    }

    /// Checks that a conditional statement names one row, or the static row.
    pub(super) fn check_conditional(&self) -> Result<(), CqlError> {
        if !self.is_conditional() {
            return Ok(());
        }
        let Some(restrictions) = &self.restrictions else { return Ok(()) };
        if restrictions.has_partition_in() {
            let what = self.conditional_what();
            return invalid(format!("IN on the partition key is not supported with conditional {what}"));
        }
        self.check_clustering_in()?;
        if self.kind == Kind::Delete && self.has_timestamp() {
            return invalid(CUSTOM_TIMESTAMP);
        }
        let is_part = !restrictions.names_whole_clustering();
        if self.kind == Kind::Delete && self.conditions.has_regular() && self.changes_only_static() && is_part
        {
            return invalid(
                "DELETE statements must restrict all PRIMARY KEY columns with equality relations in order to use IF condition on non static columns",
            );
        }
        if self.kind == Kind::Delete && !self.is_static() && is_part {
            return invalid(
                "DELETE statements must restrict all PRIMARY KEY columns with equality relations in order to delete non static columns",
            );
        }
        if self.conditions.has_regular() && is_part {
            let missing = self.missing_clustering(restrictions);
            return invalid(format!("Some clustering keys are missing: {missing}"));
        }
        Ok(())
    }

    const fn conditional_what(&self) -> &'static str {
        if matches!(self.kind, Kind::Delete) { "deletions" } else { "updates" }
    }

    /// Refuses several rows that are named, also where only other statements of a batch have an IF.
    fn check_clustering_in(&self) -> Result<(), CqlError> {
        if self.restrictions.as_ref().is_some_and(Restrictions::has_clustering_in) {
            return invalid(format!(
                "IN on the clustering key columns is not supported with conditional {}",
                self.conditional_what()
            ));
        }
        Ok(())
    }

    fn changes_only_static(&self) -> bool {
        !self.operations.is_empty()
            && self.operations.iter().all(|operation| operation.column.kind == ColumnKind::Static)
    }

    /// True if the statement is about static columns alone, and names no row.
    fn is_static(&self) -> bool {
        if self.conditions.has_regular() {
            return false;
        }
        let only_static = self.changes_only_static();
        let names_row =
            self.restrictions.as_ref().is_none_or(|restrictions| restrictions.names_whole_clustering());
        self.table.has_static_columns() && only_static && !(self.kind == Kind::Insert && names_row)
    }

    /// True if the statement is about rows; one that deletes a partition is not.
    fn changes_rows(&self) -> bool {
        let restricts = self.restrictions.as_ref().is_none_or(Restrictions::restricts_clustering);
        !self.is_static() && (self.is_conditional() || restricts)
    }

    /// True if the statement changes static columns; one of JSON may change any.
    fn changes_static(&self) -> bool {
        let is_static = |operation: &Operation| operation.column.kind == ColumnKind::Static;
        match &self.json {
            Some(_) => self.table.has_static_columns(),
            None => self.operations.iter().any(is_static),
        }
    }

    /// The only partition that the statement changes.
    fn only_partition(&self, binding: &Binding<'_>) -> Result<Vec<u8>, CqlError> {
        let mut keys = self.partition_keys(binding)?;
        match keys.len() {
            1 => Ok(keys.swap_remove(0)),
            _ => invalid("Batch with conditions cannot span multiple partitions"),
        }
    }

    /// The row that the statement is about; none for the static row.
    fn target(&self, binding: &Binding<'_>) -> Result<Option<Vec<u8>>, CqlError> {
        if self.is_static() {
            return Ok(None);
        }
        let mut rows = match &self.restrictions {
            Some(restrictions) if restrictions.names_whole_clustering() => {
                self.rows(restrictions, binding)?
            }
            Some(_) => Vec::new(),
            None => vec![self.json_clustering(binding)?],
        };
        Ok(rows.pop())
    }
}

/// Executes statements of which at least one has an IF, as one.
pub(crate) async fn execute(
    host: &Host,
    parts: &[Part<'_>],
    is_batch: bool,
    parameters: &Parameters<'_>,
) -> Result<Outcome, CqlError> {
    let Some((first, binding)) = parts.first() else {
        return Ok(Outcome::of(StatementResult::Void { safe_at: None }));
    };
    check_levels(host, first, parameters)?;
    let request = Request::new(parts, first, binding)?;
    let command = request.command(binding.now_seconds);
    let decide = |page: &Page, timestamp_micros| request.decide(page, timestamp_micros);
    let coordinator = &host.node.coordinator;
    let (page, applied) = coordinator
        .conditional_write(&command, parameters.serial_consistency, parameters.consistency, decide)
        .await?;
    let (columns, rows) =
        if applied { (Vec::new(), vec![Vec::new()]) } else { request.shown(&page, is_batch)? };
    let table = &request.table;
    let spec = |name: &str, cql_type: CqlType| ColumnSpec {
        keyspace: Arc::clone(&table.keyspace),
        table: Arc::clone(&table.name),
        name: name.into(),
        cql_type,
    };
    let specs = columns.iter().map(|column| spec(&column.name, column.cql_type.clone()));
    let specs = std::iter::once(spec(APPLIED, CqlType::Boolean)).chain(specs).collect();
    let flag = Some(vec![u8::from(applied)]);
    let rows = rows.into_iter().map(|row| std::iter::once(flag.clone()).chain(row).collect()).collect();
    Ok(Outcome::of(StatementResult::Conditional { columns: specs, rows }))
}

/// Checks statements of which at least one has an IF as [`execute`] does before it asks anybody.
pub(crate) fn check(host: &Host, parts: &[Part<'_>], parameters: &Parameters<'_>) -> Result<(), CqlError> {
    let Some((first, binding)) = parts.first() else { return Ok(()) };
    check_levels(host, first, parameters)?;
    Request::new(parts, first, binding).map(drop)
}

fn check_levels(host: &Host, plan: &ModificationPlan, parameters: &Parameters<'_>) -> Result<(), CqlError> {
    if !parameters.serial_consistency.is_serial() {
        return invalid("Invalid consistency for conditional update. Must be one of SERIAL or LOCAL_SERIAL");
    }
    if parameters.consistency.is_serial() {
        return invalid(format!(
            "{} is not supported as conditional update commit consistency. Use ANY if you mean \"make sure it is accepted but I don't care how many replicas commit it for non-SERIAL reads\"",
            parameters.consistency
        ));
    }
    if parameters.consistency == Consistency::EachQuorum {
        let schema = host.node.schema();
        let class = schema.keyspaces.get(&plan.table.keyspace).and_then(|it| it.replication.get("class"));
        if let Some(class) = class.filter(|class| !class.ends_with("NetworkTopologyStrategy")) {
            return invalid(format!(
                "consistency level EACH_QUORUM not compatible with replication strategy ({class})"
            ));
        }
    }
    Ok(())
}

/// Statements on one partition.
struct Request<'a> {
    parts: &'a [Part<'a>],
    table: Arc<Table>,
    key: Vec<u8>,
    /// The rows that conditions are on.
    rows: BTreeSet<Vec<u8>>,
    /// Rows whose lists are read before they are changed.
    list_rows: BTreeSet<Vec<u8>>,
    now_seconds: i64,
    /// Every column of the table, as SELECT * has them.
    wanted: Vec<Wanted>,
}

/// What is there of a partition: a value for each wanted column.
#[derive(Default)]
struct Current {
    static_row: Option<Values>,
    /// By clustering key, in order.
    rows: BTreeMap<Vec<u8>, Values>,
}

impl<'a> Request<'a> {
    fn new(parts: &'a [Part<'a>], first: &ModificationPlan, binding: &Binding<'_>) -> Result<Self, CqlError> {
        let table = Arc::clone(&first.table);
        if parts.iter().any(|(plan, _)| plan.table.id != table.id) {
            return invalid("Batch with conditions cannot span multiple tables");
        }
        let key = first.only_partition(binding)?;
        binding.guard.disks(&table, &key)?;
        let (mut rows, mut list_rows) = (BTreeSet::new(), BTreeSet::new());
        let mut kinds: BTreeMap<Option<Vec<u8>>, &Conditions> = BTreeMap::new();
        for (plan, binding) in parts {
            if plan.only_partition(binding)? != key {
                return invalid("Batch with conditions cannot span multiple partitions");
            }
            plan.check_clustering_in()?;
            let row = plan.target(binding)?;
            if plan.reads_first {
                list_rows.extend(row);
            }
            if !plan.is_conditional() {
                continue;
            }
            let target = if plan.conditions.are_static() { None } else { plan.target(binding)? };
            // Conditions may be on the row and on the static row.
            let beside = (target.is_some() && plan.conditions.has_static()).then_some(None);
            for target in [target.clone()].into_iter().chain(beside) {
                plan.conditions.check_beside(kinds.get(&target).copied())?;
                kinds.insert(target, &plan.conditions);
            }
            plan.conditions.check_bound(binding)?;
            rows.extend(target);
        }
        let others = |kind| {
            let mut columns: Vec<&Column> =
                table.visible_columns().filter(|column| column.kind == kind).collect();
            columns.sort_by(|left, right| name_order(&left.name).cmp(&name_order(&right.name)));
            columns
        };
        let keys = table.partition_key().chain(table.clustering_key());
        let keys = keys.filter(|column| !table.is_hidden(column));
        let columns = keys.chain(others(ColumnKind::Static)).chain(others(ColumnKind::Regular));
        let wanted = columns.map(|column| Wanted { column: column.clone(), metadata: false }).collect();
        let now_seconds = binding.now_seconds;
        Ok(Self { parts, wanted, key, rows, list_rows, now_seconds, table })
    }

    fn command(&self, now_seconds: i64) -> ReadCommand {
        let names: BTreeSet<&Vec<u8>> = self.rows.iter().chain(&self.list_rows).collect();
        let partition = PartitionSelection::Key(PartitionKey::new(self.key.clone().into()));
        // With conditions on the static row alone, no row is named.
        ReadCommand::everything(self.table.id, self.table.epoch, partition, now_seconds)
            .hiding(self.hidden_cells())
            .of_rows_or_first(names.into_iter().cloned().collect())
    }

    /// What the read does not see: regular columns too where no statement is about rows. The only rows
    /// are then those with a row marker, and the first of them is read, as in Cassandra.
    fn hidden_cells(&self) -> HiddenCells {
        let hidden = self.table.hidden_cells();
        if self.parts.iter().any(|(plan, _)| plan.changes_rows()) {
            return hidden;
        }
        let regular = self.table.columns_of(ColumnKind::Regular).map(|column| (column.id, i64::MAX));
        let dropped = hidden.columns().iter().copied();
        HiddenCells::new(dropped.chain(regular).collect::<BTreeMap<_, _>>().into_iter().collect())
    }

    fn current(&self, page: &Page) -> Result<Current, CqlError> {
        let mut collector = Collector {
            values: RowValues::new(&self.table, &self.wanted),
            columns: self.wanted.len(),
            current: Current::default(),
            error: None,
        };
        let _ = page.show(self.now_seconds, &mut collector).map_err(ClusterError::from)?;
        match collector.error {
            Some(error) => Err(error),
            None => Ok(collector.current),
        }
    }

    fn decide(&self, page: &Page, timestamp_micros: i64) -> Result<Decision, CqlError> {
        let current = self.current(page)?;
        for (plan, binding) in self.parts {
            if !self.applies(plan, binding, &current)? {
                return Ok(Decision::Leave);
            }
        }
        let mut builder = MutationBuilder::new();
        builder.begin(self.table.id, self.table.epoch, &self.key);
        for (plan, binding) in self.parts {
            let mut times = plan.times(binding, None)?;
            // Whatever the statement says: the order of conditional writes is that of their ballots.
            times.timestamp_micros = timestamp_micros;
            times.is_conditional = true;
            let lists = self.lists(plan, page)?;
            plan.fill(binding, &times, &lists, &mut builder)?;
        }
        let mutation = if builder.is_empty() { Vec::new() } else { builder.view().bytes().to_vec() };
        Ok(Decision::Apply(mutation))
    }

    fn lists(&self, plan: &ModificationPlan, page: &Page) -> Result<ExistingLists, CqlError> {
        if !plan.reads_first {
            return Ok(ExistingLists::default());
        }
        let lists = plan.operations.iter().filter(|operation| operation.change.reads_first());
        let columns = lists.map(|operation| operation.column.id).collect();
        let wanted = WantedLists { key: self.key.clone(), rows: Vec::new(), columns };
        ExistingLists::of_page(page, &wanted, self.now_seconds)
    }

    fn applies(
        &self,
        plan: &ModificationPlan,
        binding: &Binding<'_>,
        current: &Current,
    ) -> Result<bool, CqlError> {
        let row = match plan.target(binding)? {
            Some(clustering) => current.rows.get(&clustering),
            None => current.static_row.as_ref(),
        };
        let exists = row.is_some();
        let conditions = match &plan.conditions {
            Conditions::None => return Ok(true),
            Conditions::NotExists => return Ok(!exists),
            Conditions::Exists => return Ok(exists),
            Conditions::Columns(conditions) => conditions,
        };
        for condition in conditions {
            let row =
                if condition.column.kind == ColumnKind::Static { current.static_row.as_ref() } else { row };
            let place = self.wanted.iter().position(|wanted| wanted.column.id == condition.column.id);
            let value = place.and_then(|place| row?[place].as_deref());
            if !condition.holds(value, binding)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The columns and rows that say why nothing was done.
    fn shown(&self, page: &Page, is_batch: bool) -> Result<(Vec<Column>, Vec<Values>), CqlError> {
        let current = self.current(page)?;
        let places = self.shown_places(is_batch);
        let is_shown = |clustering: &Vec<u8>| self.rows.is_empty() || self.rows.contains(clustering);
        let hidden = self.hidden();
        let values = |row: &Values| {
            let is_hidden = |place: usize| hidden.contains(&self.wanted[place].column.kind);
            places.iter().map(|place| row[*place].clone().filter(|_| !is_hidden(*place))).collect()
        };
        let read = current.rows.iter().filter(|(clustering, _)| is_shown(clustering));
        let mut rows: Vec<Values> = read.map(|(_, row)| values(row)).collect();
        // The static row counts only where something of it is shown, or a conditional statement changes it.
        let is_there = |place: &usize| {
            self.wanted[*place].column.kind == ColumnKind::Static
                && current.static_row.as_ref().is_some_and(|row| row[*place].is_some())
        };
        let mut shows_static = places.iter().any(is_there) && !hidden.contains(&ColumnKind::Static);
        for (plan, _) in self.parts.iter().filter(|(plan, _)| plan.is_conditional()) {
            shows_static |= plan.changes_static();
        }
        if let (true, Some(row)) = (rows.is_empty() && shows_static, &current.static_row) {
            rows.push(values(row));
        }
        if rows.is_empty() {
            return Ok((Vec::new(), vec![Vec::new()]));
        }
        Ok((places.iter().map(|place| self.wanted[*place].column.clone()).collect(), rows))
    }

    /// The kinds of columns that IF EXISTS and IF NOT EXISTS do not show: static ones if no conditional statement
    /// changes any, and regular ones if no statement changes rows.
    fn hidden(&self) -> Vec<ColumnKind> {
        let by_existence =
            |(plan, _): &Part<'_>| matches!(plan.conditions, Conditions::Exists | Conditions::NotExists);
        let mut hidden = Vec::new();
        if self.parts.iter().any(by_existence) {
            hidden = vec![ColumnKind::Static, ColumnKind::Regular];
            for (plan, _) in self.parts {
                let changes_static = plan.is_conditional() && plan.changes_static();
                let changes_rows = plan.changes_rows();
                hidden.retain(|kind| match kind {
                    ColumnKind::Static => !changes_static,
                    _ => !changes_rows,
                });
            }
        }
        hidden
    }

    fn shown_places(&self, is_batch: bool) -> Vec<usize> {
        let mut columns = Vec::new();
        for (plan, _) in self.parts {
            match &plan.conditions {
                Conditions::None => {}
                Conditions::Columns(conditions) => {
                    columns.extend(conditions.iter().map(|condition| condition.column.id));
                }
                // Of these nothing is named: everything is shown.
                Conditions::Exists | Conditions::NotExists => return (0..self.wanted.len()).collect(),
            }
        }
        let is_key =
            |wanted: &Wanted| matches!(wanted.column.kind, ColumnKind::PartitionKey | ColumnKind::Clustering);
        let mut places: Vec<usize> =
            (0..self.wanted.len()).filter(|place| is_batch && is_key(&self.wanted[*place])).collect();
        for column in columns {
            let place = self.wanted.iter().position(|wanted| wanted.column.id == column);
            places.extend(place.filter(|place| !places.contains(place)));
        }
        places
    }
}
