//! The batches that a node keeps: rows of `system.batches`, each with the whole batch as the one element
//! of its list.

use super::rules::Batch;
use crate::error::ClusterError;
use crate::on_engine::on_engine;
use crate::truncations::Truncations;
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
use parking_lot::Mutex;
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
    truncations: Mutex<Truncations>,
    /// Held while writes of batches are made again.
    turn: tokio::sync::Mutex<()>,
}

impl Store {
    /// The batches in the schema's `system.batches`. Without that table none is kept.
    #[must_use]
    pub fn new(env: Env, engine: Arc<Engine>, schema: &Schema) -> Self {
        let layout = schema
            .table("system", "batches")
            .and_then(|table| Some((table.id, table.epoch, table.column("mutations")?.id)));
        Self { env, engine, layout, truncations: Mutex::default(), turn: tokio::sync::Mutex::default() }
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
        let forgotten = self.forgotten(id)?;
        let position = self.engine.apply_with_room(&[forgotten.view()]).await?;
        Ok(self.engine.wait_safe(position).await?)
    }

    fn forgotten(&self, id: Uuid) -> Result<MutationBuilder, ClusterError> {
        let (table, epoch, _) = self.layout()?;
        let mut builder = MutationBuilder::new();
        builder.begin(table, epoch, id.as_bytes());
        // Whatever clock it was kept by.
        let timestamp_micros = i64::MAX;
        let deleted_at_seconds = self.env.clock.wall_seconds();
        builder.partition_deletion(Deletion { timestamp_micros, deleted_at_seconds });
        Ok(builder)
    }

    /// Forgets of all batches what is of a table that is to be truncated. None of it is made again once this returns, nor after a
    /// power cut.
    ///
    /// # Errors
    /// The engine cannot read, or does not take it.
    pub async fn void(&self, table: TableId) -> Result<(), ClusterError> {
        self.truncations.lock().begin(table);
        let _turn = self.turn.lock().await;
        for mut batch in self.all().await? {
            let (id, count) = (batch.id, batch.mutations.len());
            batch.mutations.retain(|mutation| table_of(mutation) != Some(table));
            if batch.mutations.len() == count {
                continue;
            }
            if !batch.mutations.is_empty() {
                // What is forgotten is so for good.
                batch.id = self.other_id(id);
                self.keep(batch.id, &batch.encode()).await?;
            }
            let forgotten = self.forgotten(id)?;
            self.write(&[forgotten.view()]).await?;
        }
        Ok(())
    }

    /// The present moment, in the order of truncations.
    pub(crate) fn era(&self) -> u64 {
        self.truncations.lock().era()
    }

    /// Waits for the turn to make writes of batches again. No table is voided until it is given back.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// True if the table of a mutation was voided since `era`.
    pub(crate) fn is_void_since(&self, mutation: &[u8], era: u64) -> bool {
        table_of(mutation).is_some_and(|table| self.truncations.lock().is_since(table, era))
    }

    /// An id of the same time.
    fn other_id(&self, id: Uuid) -> Uuid {
        let mut bytes = id.into_bytes();
        bytes[10..].copy_from_slice(&self.env.random.next_u64().to_le_bytes()[..6]);
        Uuid::from_bytes(bytes)
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

fn table_of(mutation: &[u8]) -> Option<TableId> {
    MutationView::parse(mutation).ok().map(|view| view.table)
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
