//! Lists as they are before a statement changes them by index or by value.

use crate::error::{CqlError, invalid};
use dodona_cluster::Node;
use dodona_cluster::coordinator::TryRead;
use dodona_types::read_command::{ClusteringSelection, PartitionSelection, ReadCommand};
use dodona_types::schema::Table;
use dodona_types::{ColumnId, Consistency, KeyRef, LiveRow, PartitionKey, RowVisitor};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// An element of a list.
#[derive(Clone, Debug)]
pub(crate) struct ListElement {
    pub(crate) path: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) timestamp_micros: i64,
}

/// The elements of lists by column, in order.
pub(crate) type RowLists = BTreeMap<ColumnId, Vec<ListElement>>;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// What must be read of one partition.
#[derive(Clone, Debug)]
pub(crate) struct WantedLists {
    pub(crate) key: Vec<u8>,
    /// Clustering keys in comparable bytes; none for the static row alone.
    pub(crate) rows: Vec<Vec<u8>>,
    pub(crate) columns: Vec<ColumnId>,
}

impl WantedLists {
    fn command(&self, table: &Table, now_seconds: i64) -> ReadCommand {
        let partition = PartitionSelection::Key(PartitionKey::new(self.key.clone().into()));
        ReadCommand::everything(table.id, table.epoch, partition, now_seconds)
            .hiding(table.hidden_cells())
            .of_rows_or_first(self.rows.clone())
    }
}

/// The lists of one partition's rows by clustering key; those of the static row have none.
#[derive(Debug, Default)]
pub(crate) struct ExistingLists {
    rows: BTreeMap<Option<Vec<u8>>, RowLists>,
}

impl ExistingLists {
    /// The lists of a row.
    pub(crate) fn of_row(&self, clustering: Option<&[u8]>) -> Option<&RowLists> {
        self.rows.get(&clustering.map(<[u8]>::to_vec))
    }

    /// The lists in a page that was read.
    pub(crate) fn of_page(
        page: &dodona_cluster::Page,
        wanted: &WantedLists,
        now_seconds: i64,
    ) -> Result<Self, CqlError> {
        let mut collector = Collector { wanted, found: Self::default() };
        let _ = page.show(now_seconds, &mut collector).map_err(dodona_cluster::ClusterError::from)?;
        Ok(collector.found)
    }

    /// Reads lists at once; none if that needs waiting.
    pub(crate) fn try_read(
        node: &Node,
        table: &Table,
        wanted: &WantedLists,
        consistency: Consistency,
        now_seconds: i64,
    ) -> Result<Option<Self>, CqlError> {
        check_consistency(consistency)?;
        let mut collector = Collector { wanted, found: Self::default() };
        let command = wanted.command(table, now_seconds);
        match node.coordinator.try_read(&command, consistency, &mut collector)? {
            TryRead::Shown { .. } => Ok(Some(collector.found)),
            TryRead::NotHere => Ok(None),
        }
    }

    /// Reads lists.
    pub(crate) async fn read(
        node: &Node,
        table: &Table,
        wanted: &WantedLists,
        consistency: Consistency,
        now_seconds: i64,
    ) -> Result<Self, CqlError> {
        check_consistency(consistency)?;
        let mut collector = Collector { wanted, found: Self::default() };
        let mut command = wanted.command(table, now_seconds);
        loop {
            let page = node.coordinator.read_page(command.clone(), consistency, CHUNK_BYTES).await?;
            let shown = page.show(now_seconds, &mut collector).map_err(dodona_cluster::ClusterError::from)?;
            let Some(position) = page.stopped_at else { break };
            let (Some(stopped), ClusteringSelection::Names(names)) =
                (position.clustering, &mut command.clustering)
            else {
                break;
            };
            names.retain(|name| *name > stopped);
            if shown.is_break() || names.is_empty() {
                break;
            }
        }
        Ok(collector.found)
    }
}

fn check_consistency(consistency: Consistency) -> Result<(), CqlError> {
    if consistency == Consistency::Any {
        return invalid(format!(
            "Write operation require a read but consistency {consistency} is not supported on reads"
        ));
    }
    Ok(())
}

struct Collector<'w> {
    wanted: &'w WantedLists,
    found: ExistingLists,
}

impl Collector<'_> {
    fn take(&mut self, clustering: Option<&[u8]>, row: &LiveRow<'_>) {
        let lists = self.found.rows.entry(clustering.map(<[u8]>::to_vec)).or_default();
        for cell in row.cells().filter(|cell| self.wanted.columns.contains(&cell.column)) {
            let element = ListElement {
                path: cell.path.unwrap_or_default().to_vec(),
                value: cell.value.to_vec(),
                timestamp_micros: cell.timestamp_micros,
            };
            lists.entry(cell.column).or_default().push(element);
        }
    }
}

impl RowVisitor for Collector<'_> {
    fn partition(&mut self, _: KeyRef<'_>, static_row: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        if let Some(row) = static_row {
            self.take(None, row);
        }
        ControlFlow::Continue(())
    }

    fn row(&mut self, clustering: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        self.take(Some(clustering), row);
        ControlFlow::Continue(())
    }
}
