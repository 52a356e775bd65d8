//! Rebuilds damaged files of what can be read of them, and says what others have to give back.

use super::Engine;
use super::backup::link_unless_there;
use crate::compaction::Choice;
use crate::error::{IoContext, Result, StorageError};
use crate::manifest::Edit;
use crate::repair_state::RepairState;
use crate::sstable::salvage::{self, Salvaged};
use crate::sstable::{Sstable, SstableId, SstableWriter, Statistics};
use crate::table::{Pause, TableSettings, TableStore};
use dodona_env::Disk;
use dodona_types::{TableId, Token};
use std::sync::Arc;

/// What a scrub came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Files looked at.
    pub files: usize,
    /// Damaged files that were rebuilt, by their paths.
    pub rebuilt: Vec<(String, Salvaged)>,
    /// Where the damaged files are kept, if there were any.
    pub kept_in: Option<String>,
}

/// A file in which a read has met damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedFile {
    /// The table.
    pub table: TableId,
    /// The file.
    pub id: SstableId,
    /// Its path in the data directory.
    pub path: String,
}

impl Engine {
    /// The files in which reads, compactions or checks have met damage.
    #[must_use]
    pub fn damaged_files(&self) -> Vec<DamagedFile> {
        let tables = self.tables.load();
        let of_table = |(table, store): (&TableId, &Arc<TableStore>)| -> Vec<DamagedFile> {
            let view = store.view.load();
            let damaged = view.sstables.iter().filter(|sstable| sstable.is_damaged());
            let told = damaged.map(|sstable| {
                let (id, path) = (sstable.id(), sstable.path().to_owned());
                DamagedFile { table: *table, id, path }
            });
            told.collect()
        };
        tables.iter().flat_map(of_table).collect()
    }

    /// The tokens, first and last, of which a damaged file has lost something. Empty if it has lost nothing
    /// that cannot be made anew, or does not count any more.
    ///
    /// # Errors
    /// The operating system's.
    pub fn lost_tokens(&self, file: &DamagedFile) -> Result<Vec<(Token, Token)>> {
        let view = self.store(file.table)?.view.load_full();
        let found = view.sstables.iter().find(|sstable| sstable.id() == file.id);
        let Some(sstable) = found else { return Ok(Vec::new()) };
        if !is_unreadable(sstable)? {
            return sstable.damaged_tokens();
        }
        let mut writer = self.begin_rebuilding(&self.store(file.table)?.settings.load(), sstable)?;
        let salvaged = self.salvage(file.table, sstable, &mut writer);
        writer.abandon();
        let (_, is_whole) = salvaged?;
        Ok(if is_whole { Vec::new() } else { vec![sstable.summary().tokens()] })
    }

    /// Writes a damaged file anew without what cannot be read of it, as [`Self::scrub`] does. None if a
    /// compaction is at work on it, or it does not count any more.
    ///
    /// # Errors
    /// A file could not be read or written.
    pub fn scrub_file(&self, file: &DamagedFile, keep: &str) -> Result<Option<Salvaged>> {
        let store = self.store(file.table)?;
        let _pause = Pause::new(&store);
        self.stop_compactions_of(&store);
        let view = store.view.load_full();
        let free = self.free_files(&store);
        let candidate = free.iter().find(|candidate| candidate.id == file.id);
        let found = view.sstables.iter().find(|sstable| sstable.id() == file.id);
        let (Some(candidate), Some(sstable)) = (candidate, found) else { return Ok(None) };
        let Some(_claim) = self.claim(&store, Choice::tombstones(candidate)) else { return Ok(None) };
        keep_damaged(&*self.env.disk, sstable, file.table, keep)?;
        self.rebuild(&store, sstable, candidate.level).map(Some)
    }

    /// Checks every file of a table, and writes those that are damaged anew without what cannot be
    /// read. The damaged files are kept in a snapshot named `keep`.
    ///
    /// # Errors
    /// The engine does not know the table; a file could not be read or written.
    pub fn scrub(&self, table: TableId, keep: &str) -> Result<Scrubbed> {
        let store = self.store(table)?;
        let _pause = Pause::new(&store);
        self.stop_compactions_of(&store);
        let view = store.view.load_full();
        let mut scrubbed = Scrubbed::default();
        for file in &self.free_files(&store) {
            let Some(sstable) = view.sstables.iter().find(|sstable| sstable.id() == file.id) else {
                continue;
            };
            let Some(_claim) = self.claim(&store, Choice::tombstones(file)) else {
                continue;
            };
            scrubbed.files += 1;
            if sstable.verify()?.is_empty() {
                continue;
            }
            scrubbed.kept_in = Some(keep_damaged(&*self.env.disk, sstable, table, keep)?);
            let salvaged = self.rebuild(&store, sstable, file.level)?;
            scrubbed.rebuilt.push((sstable.path().to_owned(), salvaged));
        }
        Ok(scrubbed)
    }

    fn rebuild(&self, store: &Arc<TableStore>, sstable: &Arc<Sstable>, level: u8) -> Result<Salvaged> {
        let settings = store.settings.load_full();
        let mut writer = self.begin_rebuilding(&settings, sstable)?;
        let salvaged = match self.salvage(settings.id, sstable, &mut writer) {
            Ok((salvaged, _)) => salvaged,
            Err(error) => {
                writer.abandon();
                return Err(error);
            }
        };
        let outputs: Vec<SstableId> = writer.finish()?.into_iter().collect();
        let mut edit = Edit::new(settings.id);
        edit.levels = outputs.iter().map(|id| (*id, level)).filter(|(_, level)| *level > 0).collect();
        // Compactions leave it alone, but a repair may end meanwhile: what it has set aside is then repaired again.
        if let RepairState::Repaired(at) = store.view.load().repair_of(sstable.id()) {
            edit.repaired = outputs.iter().map(|id| (*id, at)).collect();
        }
        edit.added = outputs;
        self.replace_file(store, sstable, edit, |_| {})?;
        Ok(salvaged)
    }

    /// A file that is to take the place of a damaged one.
    fn begin_rebuilding(&self, settings: &TableSettings, sstable: &Sstable) -> Result<SstableWriter> {
        let mut statistics = Statistics::new(settings.id, settings.columns.clone(), self.host);
        if let Ok(origin) = sstable.origin()
            && origin.writer == self.host
        {
            statistics.origin.log_intervals.clone_from(&origin.log_intervals);
        }
        statistics.summary.covered_tokens = sstable.summary().covered_tokens;
        SstableWriter::create(&self.env, settings.writer.clone(), statistics)
    }

    /// Copies what can be read of a file, and tells whether that is all.
    fn salvage(
        &self,
        table: TableId,
        sstable: &Sstable,
        writer: &mut SstableWriter,
    ) -> Result<(Salvaged, bool)> {
        if is_unreadable(sstable)? {
            return match Sstable::open_unindexed(&self.env.disk, &self.cache, table, sstable.id()) {
                Ok((file, known)) => {
                    salvage::salvage_without_index(&file, &known, Some(sstable.summary()), writer)
                }
                // It is too short to hold anything.
                Err(StorageError::Corrupt { .. }) => {
                    let lost = sstable.verify()?;
                    Ok((Salvaged { rows: 0, partitions: 0, lost }, false))
                }
                Err(error) => Err(error),
            };
        }
        let salvaged = salvage::salvage(sstable, writer)?;
        let is_whole = salvaged.lost.is_empty();
        Ok((salvaged, is_whole))
    }
}

/// True if a file cannot be opened for damage.
fn is_unreadable(sstable: &Sstable) -> Result<bool> {
    match sstable.origin() {
        Ok(_) => Ok(false),
        Err(StorageError::Corrupt { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Links a damaged file into the snapshot `keep` of its table. The snapshot's directory.
pub(super) fn keep_damaged(disk: &dyn Disk, sstable: &Sstable, table: TableId, keep: &str) -> Result<String> {
    let directory = format!("snapshots/{keep}/{table}");
    disk.create_dir_all(&directory).during("creating", &directory)?;
    let link = format!("{directory}/{}.sst", sstable.id().0);
    link_unless_there(disk, sstable.path(), &link)?;
    disk.sync_dir(&directory).during("syncing", &directory)?;
    Ok(directory)
}
