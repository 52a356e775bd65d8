//! Counters: what a client wants added, and the leader that adds it.
//!
//! A replica leads each change: it adds to its own shard under a lock, writes the sum as an ordinary
//! mutation and sends that to the others; shards merge by their clocks ([`dodona_types::counter`]).
//! A life of the node that did not end cleanly may have lost the end of its own shard, so the next
//! one counts in a new shard: an *incarnation*.
//!
//! ```text
//! update := table 16 bytes, epoch u64, key, rows u32, row*
//! row    := 1, clustering | 0 (static), columns u32, (column u32, delta i64)*
//! ```
//! Integers are little-endian; keys stand behind their lengths (u32).

use crate::error::ClusterError;
use crate::message::{put_bytes, take_bytes};
use dodona_env::Env;
use dodona_storage::{Engine, Page, StorageError};
use dodona_types::codec::{DecodeError, Reader};
use dodona_types::counter::{Shard, shards};
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::row::RowHeader;
use dodona_types::{
    Cell, CellKind, ColumnId, KeyRef, LiveRow, MutationBuilder, MutationView, PartitionKey, RowVisitor,
    TableId, Token,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use uuid::Uuid;

const FILE: &str = "counters.json";
/// Locks that partitions share.
const STRIPES: usize = 256;

/// A row of a partition: its clustering key, or none for the static row.
pub type RowKey = Option<Vec<u8>>;

/// What is to be added to counters of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterUpdate {
    /// The table.
    pub table: TableId,
    /// The table's epoch.
    pub epoch: u64,
    /// The partition's key.
    pub key: Vec<u8>,
    /// What is added, by row and column.
    pub rows: BTreeMap<RowKey, BTreeMap<ColumnId, i64>>,
}

impl CounterUpdate {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.table.0.as_bytes().to_vec();
        out.extend_from_slice(&self.epoch.to_le_bytes());
        put_bytes(&mut out, &self.key);
        out.extend_from_slice(&(self.rows.len() as u32).to_le_bytes());
        for (row, columns) in &self.rows {
            out.push(u8::from(row.is_some()));
            if let Some(clustering) = row {
                put_bytes(&mut out, clustering);
            }
            out.extend_from_slice(&(columns.len() as u32).to_le_bytes());
            for (column, delta) in columns {
                out.extend_from_slice(&column.0.to_le_bytes());
                out.extend_from_slice(&delta.to_le_bytes());
            }
        }
        out
    }

    /// The update of these bytes.
    ///
    /// # Errors
    /// They are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let table = TableId(Uuid::from_slice(reader.bytes(16)?).unwrap_or_default());
        let (epoch, key) = (reader.u64()?, take_bytes(&mut reader)?);
        let mut rows = BTreeMap::new();
        for _ in 0..reader.u32()? {
            let row = if reader.u8()? == 1 { Some(take_bytes(&mut reader)?) } else { None };
            let mut columns = BTreeMap::new();
            for _ in 0..reader.u32()? {
                columns.insert(ColumnId(reader.u32()?), reader.i64()?);
            }
            rows.insert(row, columns);
        }
        Ok(Self { table, epoch, key, rows })
    }

    fn command(&self, now_seconds: i64) -> ReadCommand {
        let names: Vec<Vec<u8>> = self.rows.keys().flatten().cloned().collect();
        let partition = PartitionSelection::Key(PartitionKey::new(self.key.clone().into()));
        ReadCommand::everything(self.table, self.epoch, partition, now_seconds).of_rows_or_first(names)
    }
}

/// What a node keeps of its incarnations.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Kept {
    incarnation: u64,
    /// The life that wrote this has ended, and everything it wrote is on disk.
    clean: bool,
}

/// The leader of counters on a node.
pub struct Leader {
    env: Env,
    engine: Arc<Engine>,
    host: Uuid,
    locks: Vec<tokio::sync::Mutex<()>>,
    /// The incarnation, once this life has counted.
    incarnation: tokio::sync::Mutex<Option<u64>>,
}

impl Leader {
    /// A leader that has not counted yet.
    #[must_use]
    pub fn new(env: Env, engine: Arc<Engine>, host: Uuid) -> Self {
        let locks = (0..STRIPES).map(|_| tokio::sync::Mutex::new(())).collect();
        Self { env, engine, host, locks, incarnation: tokio::sync::Mutex::new(None) }
    }

    /// Adds to this node's shards. Returns the mutation that all replicas have to apply; here it is
    /// applied, and handed to the commit log.
    ///
    /// # Errors
    /// The engine does not read or write.
    pub async fn count(
        &self,
        update: &CounterUpdate,
        timestamp_micros: i64,
    ) -> Result<(Vec<u8>, u64), ClusterError> {
        self.engine.wait_for_room().await?;
        let stripe = (Token::of_key(&update.key).ordinal() >> 56) as usize % STRIPES;
        let _alone = self.locks[stripe].lock().await;
        let incarnation = self.incarnation().await?;
        let own = self.own_shards(update, incarnation).await?;
        let mutation = self.encode(update, incarnation, &own, timestamp_micros);
        let view = MutationView::parse(&mutation).map_err(StorageError::from)?;
        let position = self.engine.apply(&[view])?;
        Ok((mutation, position))
    }

    /// Notes that the node ends cleanly: everything it counted is on disk.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn end(&self) -> Result<(), ClusterError> {
        let mut present = self.incarnation.lock().await;
        if let Some(incarnation) = *present {
            self.keep(Kept { incarnation, clean: true }).await?;
            *present = None;
        }
        Ok(())
    }

    /// Counts in new shards from now on: the end of the present ones may be lost, or files that are taken in
    /// may hold them as they were before others saw them grow.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn begin_anew(&self) -> Result<(), ClusterError> {
        let before = self.incarnation().await?;
        {
            let mut present = self.incarnation.lock().await;
            let incarnation = before + 1;
            self.keep(Kept { incarnation, clean: false }).await?;
            *present = Some(incarnation);
        }
        // Whoever counts in the old ones has come to its end.
        for stripe in &self.locks {
            drop(stripe.lock().await);
        }
        Ok(())
    }

    /// The incarnation of this life; the first to ask begins it.
    async fn incarnation(&self) -> Result<u64, ClusterError> {
        let mut present = self.incarnation.lock().await;
        if let Some(incarnation) = *present {
            return Ok(incarnation);
        }
        let disk = Arc::clone(&self.env.disk);
        let read = self.blocking(move || disk.read(FILE)).await?;
        let incarnation = match read {
            Ok(bytes) => match serde_json::from_slice::<Kept>(&bytes) {
                Ok(kept) if kept.clean => kept.incarnation,
                Ok(kept) if self.env.mutants.has("counter-keeps-incarnation") => kept.incarnation,
                Ok(kept) => kept.incarnation + 1,
                Err(error) => {
                    let reason = error.to_string();
                    return Err(StorageError::Corrupt { path: FILE.into(), offset: 0, reason }.into());
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => 1,
            Err(error) => return Err(failed("reading", error)),
        };
        self.keep(Kept { incarnation, clean: false }).await?;
        *present = Some(incarnation);
        Ok(incarnation)
    }

    async fn keep(&self, kept: Kept) -> Result<(), ClusterError> {
        let disk = Arc::clone(&self.env.disk);
        let json = serde_json::to_vec(&kept).unwrap_or_default();
        let written = self.blocking(move || disk.replace(FILE, &json)).await?;
        written.map_err(|error| failed("writing", error))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ClusterError> {
        let done = self.env.tasks.blocking(work).await;
        done.map_err(|error| ClusterError::Invalid(error.to_string()))
    }

    async fn own_shards(
        &self,
        update: &CounterUpdate,
        incarnation: u64,
    ) -> Result<BTreeMap<(RowKey, ColumnId), Shard>, ClusterError> {
        let command = update.command(self.env.clock.wall_seconds());
        let reading = || Reading { leader: self.host, incarnation, found: BTreeMap::new() };
        let mut visitor = reading();
        match self.engine.try_read(&command, &mut visitor) {
            Ok(_) => return Ok(visitor.found),
            Err(StorageError::NeedsDisk) => {}
            Err(error) => return Err(error.into()),
        }
        let (engine, now_seconds) = (Arc::clone(&self.engine), command.now_seconds);
        let page: Page = self.blocking(move || engine.read_page(&command, usize::MAX)).await??;
        let mut visitor = reading();
        let _ = page.show(now_seconds, &mut visitor)?;
        Ok(visitor.found)
    }

    fn encode(
        &self,
        update: &CounterUpdate,
        incarnation: u64,
        own: &BTreeMap<(RowKey, ColumnId), Shard>,
        timestamp_micros: i64,
    ) -> Vec<u8> {
        let mut builder = MutationBuilder::new();
        builder.begin(update.table, update.epoch, &update.key);
        for (row, columns) in &update.rows {
            let shards: Vec<(ColumnId, Vec<u8>)> = columns
                .iter()
                .map(|(column, delta)| {
                    let before = own.get(&(row.clone(), *column));
                    let shard = Shard {
                        leader: self.host,
                        incarnation,
                        clock: before.map_or(0, |shard| shard.clock) + 1,
                        count: before.map_or(0, |shard| shard.count).wrapping_add(*delta),
                    };
                    let mut value = Vec::new();
                    shard.encode(&mut value);
                    (*column, value)
                })
                .collect();
            let put = |cells: &mut dodona_types::row::RowBuilder<'_>| {
                for (column, value) in &shards {
                    let kind = CellKind::Counter;
                    cells.push_cell(&Cell { column: *column, path: None, timestamp_micros, kind, value });
                }
            };
            match row {
                Some(clustering) => builder.row(clustering, timestamp_micros, &RowHeader::EMPTY, put),
                None => builder.static_row(timestamp_micros, &RowHeader::EMPTY, put),
            }
        }
        builder.view().bytes().to_vec()
    }
}

fn failed(action: &'static str, source: io::Error) -> ClusterError {
    StorageError::Io { action, path: FILE.into(), source: Arc::new(source) }.into()
}

/// Collects the shards of one leader and incarnation.
struct Reading {
    leader: Uuid,
    incarnation: u64,
    found: BTreeMap<(RowKey, ColumnId), Shard>,
}

impl Reading {
    fn take(&mut self, row: Option<&[u8]>, cells: &LiveRow<'_>) {
        for cell in cells.cells().filter(|cell| cell.kind == CellKind::Counter) {
            let all = shards(cell.value).unwrap_or_default();
            let own =
                all.iter().find(|shard| shard.leader == self.leader && shard.incarnation == self.incarnation);
            if let Some(own) = own {
                self.found.insert((row.map(<[u8]>::to_vec), cell.column), *own);
            }
        }
    }
}

impl RowVisitor for Reading {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;
    use proptest::prelude::*;

    #[test]
    fn an_update_has_these_bytes() {
        let columns = |column, delta| [(ColumnId(column), delta)].into_iter().collect();
        let rows = [(None, columns(1, -2)), (Some(vec![5, 6]), columns(3, 4))].into_iter().collect();
        let table = TableId(Uuid::from_u128(7));
        let update = CounterUpdate { table, epoch: 9, key: vec![0xAB], rows };
        let expected = [
            // Table, epoch, key, and the number of rows.
            "00000000000000000000000000000007",
            "0900000000000000",
            "01000000ab",
            "02000000",
            // The static row: one column, and what is added.
            "000100000001000000feffffffffffffff",
            // Another row, with its clustering.
            "010200000005060100000003000000",
            "0400000000000000",
        ];
        assert_eq!(hex(&update.encode()), expected.concat());
    }

    proptest! {
        #[test]
        fn updates_round_trip_and_short_ones_are_refused(
            table: u128, epoch: u64, key: Vec<u8>, cut: usize,
            rows in prop::collection::btree_map(
                prop::option::of(any::<Vec<u8>>()),
                prop::collection::btree_map(any::<u32>().prop_map(ColumnId), any::<i64>(), 1..4),
                1..4,
            ),
        ) {
            let update = CounterUpdate { table: TableId(Uuid::from_u128(table)), epoch, key, rows };
            let bytes = update.encode();
            prop_assert_eq!(CounterUpdate::decode(&bytes).unwrap(), update);
            prop_assert!(CounterUpdate::decode(&bytes[..cut % bytes.len()]).is_err());
        }
    }
}
