//! The batches that a node keeps: rows of `system.batches`, each with the whole batch as the one element
//! of its list.

use super::rules::Batch;
use crate::error::ClusterError;
use crate::on_engine::on_engine;
use dodona_env::Env;
use dodona_storage::reconcile::Answer;
use dodona_storage::{Engine, StorageError};
use dodona_types::key::ROW_END;
use dodona_types::mutation::Fragment;
use dodona_types::read_command::{PartitionRange, PartitionSelection, RangeBound, ReadCommand};
use dodona_types::row::{RowHeader, RowView};
use dodona_types::schema::Schema;
use dodona_types::{
    Cell, CellKind, ColumnId, Deletion, MutationBuilder, MutationView, PartitionKey, RowItem, TableId,
};
use std::sync::Arc;
use uuid::Uuid;

/// Bytes of batches that are read at a time.
const CHUNK_BYTES: usize = 4 << 20;

/// The batches that a node keeps.
pub struct Store {
    env: Env,
    engine: Arc<Engine>,
    /// Table, its epoch, and the column of the batch.
    layout: Option<(TableId, u64, ColumnId)>,
}

impl Store {
    /// The batches in the schema's `system.batches`. Without that table none is kept.
    #[must_use]
    pub fn new(env: Env, engine: Arc<Engine>, schema: &Schema) -> Self {
        let layout = schema
            .table("system", "batches")
            .and_then(|table| Some((table.id, table.epoch, table.column("mutations")?.id)));
        Self { env, engine, layout }
    }

    fn layout(&self) -> Result<(TableId, u64, ColumnId), ClusterError> {
        self.layout.ok_or_else(|| ClusterError::Invalid("there is no table system.batches".into()))
    }

    /// Keeps a batch: it is on disk when this returns.
    ///
    /// # Errors
    /// The engine does not take it.
    pub async fn keep(&self, id: Uuid, batch: &[u8]) -> Result<(), ClusterError> {
        let kept = self.kept(id, batch)?;
        self.write(&[kept.view()]).await
    }

    /// Keeps batches again that are kept: they are on disk when this returns. One that the disk did not take, and whose keeping
    /// was refused, may be found here all the same until the node loses power.
    ///
    /// # Errors
    /// The engine does not take them.
    pub async fn keep_on(&self, batches: impl Iterator<Item = &Batch>) -> Result<(), ClusterError> {
        let kept = batches.map(|batch| self.kept(batch.id, &batch.encode()));
        let kept = kept.collect::<Result<Vec<_>, _>>()?;
        let views: Vec<MutationView<'_>> = kept.iter().map(MutationBuilder::view).collect();
        self.write(&views).await
    }

    fn kept(&self, id: Uuid, batch: &[u8]) -> Result<MutationBuilder, ClusterError> {
        let (table, epoch, column) = self.layout()?;
        let timestamp_micros = self.env.clock.wall_micros();
        let mut builder = MutationBuilder::new();
        builder.begin(table, epoch, id.as_bytes());
        builder.row(&[ROW_END], timestamp_micros, &RowHeader::EMPTY, |row| {
            let path = Some(&id.as_bytes()[..]);
            row.push_cell(&Cell { column, path, timestamp_micros, kind: CellKind::Live, value: batch });
        });
        Ok(builder)
    }

    /// Forgets a batch.
    ///
    /// # Errors
    /// The engine does not take it.
    pub async fn forget(&self, id: Uuid) -> Result<(), ClusterError> {
        let (table, epoch, _) = self.layout()?;
        let mut builder = MutationBuilder::new();
        builder.begin(table, epoch, id.as_bytes());
        // Whatever clock it was kept by.
        let timestamp_micros = i64::MAX;
        let deleted_at_seconds = self.env.clock.wall_seconds();
        builder.partition_deletion(Deletion { timestamp_micros, deleted_at_seconds });
        let view = builder.view();
        let position = self.engine.apply_with_room(&[view]).await?;
        Ok(self.engine.wait_safe(position).await?)
    }

    async fn write(&self, views: &[MutationView<'_>]) -> Result<(), ClusterError> {
        let position = self.engine.apply_with_room(views).await?;
        Ok(self.engine.wait_synced(position).await?)
    }

    /// All batches that are kept.
    ///
    /// # Errors
    /// The engine cannot read, or a batch is damaged.
    pub async fn all(&self) -> Result<Vec<Batch>, ClusterError> {
        let Some((table, epoch, column)) = self.layout else { return Ok(Vec::new()) };
        let mut batches = Vec::new();
        let mut range = PartitionRange::all();
        loop {
            let partitions = PartitionSelection::Range(range.clone());
            let command = ReadCommand::everything(table, epoch, partitions, self.env.clock.wall_seconds());
            let read = move |engine: &Engine| engine.read_answer(&command, CHUNK_BYTES);
            let bytes = on_engine(&self.env.tasks, &self.engine, read).await?;
            let answer = Answer::parse(&bytes).map_err(StorageError::from)?;
            for part in &answer.parts {
                batches.extend(batch_of(&part.mutation, column)?);
            }
            match answer.parts.last() {
                Some(last) if answer.stops => {
                    let key = PartitionKey::new(last.mutation.key.bytes.to_vec().into());
                    range.start = RangeBound::Key(key, false);
                }
                _ => return Ok(batches),
            }
        }
    }
}

/// The batch of a partition; none if it is forgotten.
fn batch_of(mutation: &MutationView<'_>, column: ColumnId) -> Result<Option<Batch>, ClusterError> {
    let mut deleted = i64::MIN;
    for fragment in mutation.fragments() {
        match fragment.map_err(StorageError::from)? {
            Fragment::PartitionDeletion(deletion) => deleted = deletion.timestamp_micros,
            Fragment::Row(_, row) => {
                let row = RowView::parse(row).map_err(StorageError::from)?;
                for item in row.items() {
                    if let RowItem::Cell(cell) = item.map_err(StorageError::from)?
                        && cell.column == column
                        && cell.kind == CellKind::Live
                        && cell.timestamp_micros > deleted
                    {
                        return Ok(Some(Batch::decode(cell.value).map_err(StorageError::from)?));
                    }
                }
            }
            Fragment::StaticRow(_) | Fragment::RangeDeletion(..) => {}
        }
    }
    Ok(None)
}
