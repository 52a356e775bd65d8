//! Restores what archived segments of the commit log hold, up to a point in time: each mutation is written
//! to the table of its name, as a client would write it.
//!
//! `restored.json` in the data directory says what was restored to which point, so that the same settings at
//! the next start restore nothing twice.

use super::Engine;
use super::maintain::Maintained;
use crate::commit_log::archive::{LoggedTable, SCHEMA_PREFIX, Schemas, held_bytes, name_of, run};
use crate::commit_log::format::{self, Header, RecordKind};
use crate::error::{IoContext, Result, StorageError, corrupt};
use crate::mapping::Mapping;
use crate::table::TableStore;
use dodona_types::codec::DecodeError;
use dodona_types::mutation::Fragment;
use dodona_types::row::RowView;
use dodona_types::{MutationBuilder, MutationView, RowItem, TableId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const DONE: &str = "restored.json";
/// Where a command puts what it takes from the archive.
const DIRECTORY: &str = "restore";
const SEGMENT_MAGIC: &[u8] = b"DODONALG";

/// What is to be restored: plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreSettings {
    /// Directories that hold what was archived: absolute, or in the data directory.
    pub directories: Vec<String>,
    /// A program and its arguments, set apart by blanks, in which `%from` stands for an archived file and
    /// `%to` for the file to be made of it (Cassandra `restore_command`); without it they are read as they are.
    pub command: Option<String>,
    /// Mutations with a later timestamp are left out: microseconds since the epoch.
    pub up_to_micros: Option<i64>,
    /// Microseconds that one step of a client's timestamps stands for.
    pub micros_per_step: i64,
}

/// What was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Segments read.
    pub segments: u64,
    /// Mutations written.
    pub mutations: u64,
    /// Mutations of a later time.
    pub later: u64,
    /// Mutations of tables that are not there.
    pub unknown: u64,
}

/// `restored.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Done {
    up_to_micros: Option<i64>,
    files: BTreeSet<String>,
}

/// Where mutations of a table go.
enum Way {
    /// To a table, as they are.
    Same,
    /// To a table, with its columns.
    Mapped(Arc<TableStore>, Mapping),
    /// Nowhere: there is no such table, or it is not to be restored.
    Nowhere { is_unknown: bool },
}

struct Restore<'a> {
    engine: &'a Engine,
    settings: &'a RestoreSettings,
    is_wanted: &'a dyn Fn(&str) -> bool,
    schemas: Schemas,
    ways: BTreeMap<TableId, Way>,
    restored: Restored,
}

impl Engine {
    /// Restores archived segments that were not restored before, of tables whose keyspace and name are wanted.
    /// Everything restored is in files when this returns.
    ///
    /// # Errors
    /// An archived file is damaged, or cannot be read or fetched; a table has other columns than the mutations
    /// need; the engine does not take them. What was restored before stays, and is restored again.
    pub fn restore(&self, settings: &RestoreSettings, is_wanted: &dyn Fn(&str) -> bool) -> Result<Restored> {
        let mut done = self.restored_before(settings)?;
        let files = archived(self, settings)?;
        let mut restore = Restore {
            engine: self,
            settings,
            is_wanted,
            schemas: Schemas::default(),
            ways: BTreeMap::new(),
            restored: Restored::default(),
        };
        // What tables are has to be known before any of their mutations.
        let mut segments = Vec::new();
        for (path, name) in files {
            if !restore.take_schemas(&path, &name)? && !done.files.contains(&name) {
                segments.push((path, name));
            }
        }
        for (path, name) in segments {
            let bytes = restore.fetch(&path, &name)?;
            restore.segment(&path, &name, &bytes)?;
            done.files.insert(name);
        }
        let restored = restore.restored;
        if restored.segments > 0 {
            self.flush_all()?;
            self.sync_log()?;
            let json = serde_json::to_vec_pretty(&done).unwrap_or_default();
            self.env.disk.replace(DONE, &json).during("writing", DONE)?;
        }
        Ok(restored)
    }

    fn restored_before(&self, settings: &RestoreSettings) -> Result<Done> {
        let nothing = || Done { up_to_micros: settings.up_to_micros, files: BTreeSet::new() };
        match self.env.disk.read(DONE) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(nothing()),
            Err(error) => Err(error).during("reading", DONE),
            Ok(bytes) => {
                let done: Done =
                    serde_json::from_slice(&bytes).map_err(|error| corrupt(DONE, 0, error.to_string()))?;
                Ok(if done.up_to_micros == settings.up_to_micros { done } else { nothing() })
            }
        }
    }
}

/// The files of the archive, by name: path and name.
fn archived(engine: &Engine, settings: &RestoreSettings) -> Result<Vec<(String, String)>> {
    let mut files = BTreeMap::new();
    for directory in &settings.directories {
        let directory = directory.trim_end_matches('/');
        for name in engine.env.disk.list(directory).during("listing", directory)? {
            if !name.ends_with('/') && !name.ends_with(".tmp") {
                files.insert(name.clone(), format!("{directory}/{name}"));
            }
        }
    }
    Ok(files.into_iter().map(|(name, path)| (path, name)).collect())
}

impl Restore<'_> {
    /// The content of an archived file.
    fn fetch(&self, path: &str, name: &str) -> Result<Vec<u8>> {
        let disk = &self.engine.env.disk;
        let Some(command) = &self.settings.command else {
            return disk.read(path).during("reading", path);
        };
        disk.create_dir_all(DIRECTORY).during("creating", DIRECTORY)?;
        let to = format!("{DIRECTORY}/{name}");
        let (full_from, full_to) = (disk.full_path(path), disk.full_path(&to));
        let values = [("%from", full_from.as_str()), ("%to", full_to.as_str())];
        run(&self.engine.env, command, &values).during("fetching", path)?;
        let bytes = disk.read(&to).during("reading", &to)?;
        disk.remove(&to).during("removing", &to)?;
        Ok(bytes)
    }

    /// Takes a file that says what tables are. False if it is a segment: what a command has to fetch is told
    /// apart by its name, not to fetch it twice.
    fn take_schemas(&mut self, path: &str, name: &str) -> Result<bool> {
        let is_segment = match &self.settings.command {
            Some(_) => !name.starts_with(SCHEMA_PREFIX),
            None => self.begins_as_segment(path)?,
        };
        if is_segment {
            return Ok(false);
        }
        let bytes = self.fetch(path, name)?;
        let known: Schemas = serde_json::from_slice(&bytes)
            .map_err(|_| corrupt(path, 0, "neither a segment of a commit log nor the schema of one"))?;
        for (table, known) in &known.tables {
            self.schemas.merge(*table, known);
        }
        Ok(true)
    }

    fn begins_as_segment(&self, path: &str) -> Result<bool> {
        let file = self.engine.env.disk.open(path).during("opening", path)?;
        let mut first = vec![0; SEGMENT_MAGIC.len()];
        if file.len().during("reading", path)? < first.len() as u64 {
            return Ok(false);
        }
        file.read_at(0, &mut first).during("reading", path)?;
        Ok(first == SEGMENT_MAGIC)
    }

    fn segment(&mut self, path: &str, name: &str, bytes: &[u8]) -> Result<()> {
        let header = Header::parse(path, bytes)?;
        let held = held_bytes(path, bytes)?;
        let is_named = name.split_once('-').is_some_and(|(number, _)| number.parse() == Ok(header.sequence));
        if is_named && !name.starts_with(name_of(header.sequence, &bytes[..held]).trim_end_matches(".log")) {
            return Err(corrupt(
                path,
                held as u64,
                "the segment does not hold what was archived under its name: fetch it again from where it was \
                 archived; or, to give up what it holds, move it out of the directory",
            ));
        }
        let mut at = header.header_bytes;
        while at < held {
            let position = header.base_position + (at - header.header_bytes) as u64;
            let Some(record) = format::parse_record(&bytes[at..held], position) else { break };
            if record.kind == RecordKind::Mutations {
                for mutation in format::mutations(record.payload) {
                    self.mutation(&MutationView::parse(mutation?)?)?;
                }
                while self.engine.memtables_are_full() {
                    if self.engine.maintain_memtables()? == Maintained::Idle {
                        break;
                    }
                }
            }
            at += record.total_bytes();
        }
        self.restored.segments += 1;
        // Nobody waits for these writes: they would gather in memory.
        self.engine.sync_log()
    }

    fn mutation(&mut self, mutation: &MutationView<'_>) -> Result<()> {
        if !self.ways.contains_key(&mutation.table) {
            let way = self.way_of(mutation.table)?;
            self.ways.insert(mutation.table, way);
        }
        let (same, mapped) = match &self.ways[&mutation.table] {
            Way::Nowhere { is_unknown } => {
                self.restored.unknown += u64::from(*is_unknown);
                return Ok(());
            }
            Way::Same => (true, None),
            Way::Mapped(store, mapping) => (false, Some((store, mapping))),
        };
        if let Some(up_to) = self.settings.up_to_micros
            && newest(mutation)?.saturating_mul(self.settings.micros_per_step.max(1)) > up_to
            && !self.engine.env.mutants.has("restore-goes-past-its-time")
        {
            self.restored.later += 1;
            return Ok(());
        }
        self.restored.mutations += 1;
        if same {
            return self.engine.apply(&[*mutation]).map(drop);
        }
        if let Some((store, mapping)) = mapped {
            let mut builder = MutationBuilder::new();
            mapping.mutation(mutation, store.settings.load().id, &mut builder)?;
            if !builder.is_empty() {
                self.engine.apply(&[builder.view()])?;
            }
        }
        Ok(())
    }

    fn way_of(&self, table: TableId) -> Result<Way> {
        let tables = self.engine.tables.load();
        let known = self.schemas.tables.get(&table);
        let by_name = |known: &LoggedTable| {
            tables.values().find(|store| store.settings.load().name == known.name).cloned()
        };
        let store = tables.get(&table).cloned().or_else(|| known.and_then(by_name));
        let Some(store) = store else {
            let is_unknown = known.is_none_or(|known| (self.is_wanted)(&known.name));
            return Ok(Way::Nowhere { is_unknown });
        };
        let settings = store.settings.load_full();
        if settings.volatile || !(self.is_wanted)(&settings.name) {
            return Ok(Way::Nowhere { is_unknown: false });
        }
        // Without a schema beside it, the log is of this very table.
        let Some(known) = known else { return Ok(Way::Same) };
        let same_table = settings.id == table;
        let mapping = Mapping::new(&known.columns, settings.known(), same_table).map_err(|reason| {
            StorageError::Refused(format!("the archived log of {} does not fit: {reason}", known.name))
        })?;
        Ok(if same_table && mapping.is_identity() { Way::Same } else { Way::Mapped(store, mapping) })
    }
}

/// The latest timestamp in a mutation, as its writer gave it.
fn newest(mutation: &MutationView<'_>) -> Result<i64, DecodeError> {
    let mut newest = i64::MIN;
    for fragment in mutation.fragments() {
        match fragment? {
            Fragment::PartitionDeletion(deletion) | Fragment::RangeDeletion(_, _, deletion) => {
                newest = newest.max(deletion.timestamp_micros);
            }
            Fragment::StaticRow(row) | Fragment::Row(_, row) => {
                let row = RowView::parse(row)?;
                let header = row.header;
                if !header.deletion.is_none() {
                    newest = newest.max(header.deletion.timestamp_micros);
                }
                if let Some(liveness) = header.liveness {
                    newest = newest.max(liveness.timestamp_micros);
                }
                for item in row.items() {
                    newest = newest.max(match item? {
                        RowItem::ColumnDeletion(_, deletion) => deletion.timestamp_micros,
                        RowItem::Cell(cell) => cell.timestamp_micros,
                    });
                }
            }
        }
    }
    Ok(newest)
}
