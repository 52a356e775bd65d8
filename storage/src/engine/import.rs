//! Takes files from elsewhere into a table: of a snapshot or a backup, of this node or another one,
//! of the same table or one like it.
//!
//! Every file is opened and checked before anything changes. A file that is as the table's own would be is
//! linked; any other is written anew, with the table's columns and without the intervals of a foreign commit
//! log. All of them count by one edit of the manifest.

use super::Engine;
use super::cleanup::lies_within;
use crate::compaction::job::MergeJob;
use crate::error::{IoContext, Result, StorageError};
use crate::manifest::Edit;
use crate::mapping::Mapping;
use crate::memtable::Memtable;
use crate::purge::PurgeRule;
use crate::reconcile::{self, DigestRules, Reading};
use crate::scan::MergedScan;
use crate::source::Source;
use crate::sstable::cursor::SstableSource;
use crate::sstable::reader::Access;
use crate::sstable::{self, Sstable, SstableId};
use crate::sync::atomic::Ordering::Relaxed;
use crate::table::{TableStore, TableView};
use dodona_types::TableId;
use dodona_types::read_command::{RangeBound, ReadCommand};
use dodona_types::token::TokenRange;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// The directory of files that [`Engine::upload_directory`] names.
const UPLOAD: &str = "upload";

/// How files are taken in.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Read and check every byte first.
    pub verify: bool,
    /// Refuse files that hold something outside of these ranges.
    pub within: Option<Vec<TokenRange>>,
    /// Leave the files where they are.
    pub copy: bool,
}

/// What was taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Files that count now.
    pub files: usize,
    /// Those of them that were linked, not written anew.
    pub linked: usize,
    /// Files that the table had already.
    pub known: usize,
    /// Bytes of the files that count now.
    pub bytes: u64,
}

/// Files beside a table's, and whether that is a link to the one from elsewhere.
pub(super) struct Placed {
    pub(super) files: Vec<Arc<Sstable>>,
    is_linked: bool,
}

/// A file from elsewhere that fits.
pub(super) struct Foreign {
    sstable: Arc<Sstable>,
    mapping: Mapping,
}

/// Files beside the table's, which do not count yet. They are to be published or discarded.
pub struct Staged {
    store: Arc<TableStore>,
    /// The files.
    pub(super) sstables: Vec<Arc<Sstable>>,
    sources: Vec<String>,
    imported: Imported,
}

impl Engine {
    /// Where an operator puts files that are to be taken into a table.
    #[must_use]
    pub fn upload_directory(table: TableId) -> String {
        format!("{UPLOAD}/{table}")
    }

    /// Takes the files of directories into a table. Waits for the disk.
    ///
    /// # Errors
    /// A file is damaged, does not fit, or cannot be read or written: nothing has changed then.
    pub fn import(
        &self,
        table: TableId,
        directories: &[String],
        options: &ImportOptions,
    ) -> Result<Imported> {
        let staged = self.stage(table, directories, options)?;
        self.publish_staged(staged, options)
    }

    /// Opens and checks the files of directories, and puts them beside the table's as it would have them.
    ///
    /// # Errors
    /// As [`Self::import`].
    pub fn stage(&self, table: TableId, directories: &[String], options: &ImportOptions) -> Result<Staged> {
        let store = self.store(table)?;
        if store.settings.load().volatile {
            return Err(StorageError::Refused("the table is kept in memory alone".into()));
        }
        let mut foreign: BTreeMap<SstableId, Foreign> = BTreeMap::new();
        let mut sources = Vec::new();
        let mut known = 0;
        for directory in directories {
            for (path, id) in self.sstables_in(directory)? {
                sources.push(path.clone());
                // A snapshot and a backup have the same file, and so may the table.
                if store.view.load().sstables.iter().any(|sstable| sstable.id() == id) {
                    known += 1;
                } else if let Entry::Vacant(place) = foreign.entry(id) {
                    place.insert(self.open_foreign(&store, &path, id, options)?);
                }
            }
        }
        let bytes = foreign.values().map(|file| file.sstable.file_bytes()).sum();
        if !self.has_space_for(bytes) {
            return Err(StorageError::NoSpace);
        }
        let imported = Imported { known, ..Imported::default() };
        let mut staged = Staged { store, sstables: Vec::new(), sources, imported };
        for file in foreign.values() {
            if let Err(error) = self.stage_file(&mut staged, file) {
                self.discard_staged(staged);
                return Err(error);
            }
        }
        Ok(staged)
    }

    pub(super) fn sstables_in(&self, directory: &str) -> Result<Vec<(String, SstableId)>> {
        let directory = directory.trim_end_matches('/');
        let mut found = Vec::new();
        for name in self.env.disk.list(directory).during("listing", directory)? {
            let Some(id) = name.strip_suffix(".sst") else { continue };
            let path = format!("{directory}/{name}");
            match id.parse() {
                Ok(id) => found.push((path, SstableId(id))),
                Err(_) => {
                    return Err(StorageError::Refused(format!(
                        "{path} has another name than it was given: it is part of its checksums"
                    )));
                }
            }
        }
        Ok(found)
    }

    pub(super) fn open_foreign(
        &self,
        store: &TableStore,
        path: &str,
        id: SstableId,
        options: &ImportOptions,
    ) -> Result<Foreign> {
        let sstable = Sstable::open_elsewhere(&self.env.disk, &self.env.mutants, &self.cache, path, id)?;
        let sstable = Arc::new(sstable);
        let settings = store.settings.load();
        let of = sstable.origin()?;
        let mapping = Mapping::new(&of.columns, settings.known(), of.table == settings.id)
            .map_err(|reason| StorageError::Refused(format!("{path} does not fit: {reason}")))?;
        if options.verify
            && let Some(damage) = sstable.verify()?.first()
        {
            return Err(StorageError::Corrupt {
                path: damage.path.clone(),
                offset: damage.offset,
                reason: damage.reason.clone(),
            });
        }
        if let Some(within) = &options.within
            && !lies_within(&sstable, within)?
        {
            return Err(StorageError::Refused(format!(
                "{path} holds partitions that belong to other nodes alone: import it there as well, or send what \
                 it holds to whom it belongs (--everywhere), or take it in all the same (--no-tokens)"
            )));
        }
        Ok(Foreign { sstable, mapping })
    }

    fn stage_file(&self, staged: &mut Staged, file: &Foreign) -> Result<()> {
        let placed = self.place(&staged.store, file)?;
        staged.imported.linked += usize::from(placed.is_linked);
        staged.sstables.extend(placed.files);
        Ok(())
    }

    /// Puts what a file from elsewhere holds beside a table's files, as the table would have it.
    pub(super) fn place(&self, store: &TableStore, file: &Foreign) -> Result<Placed> {
        let table = store.settings.load().id;
        let is_own = file.sstable.origin()?.table == table && file.mapping.is_identity();
        let is_linked = is_own && self.link_in(table, &file.sstable)?;
        let outputs = if is_linked { vec![file.sstable.id()] } else { self.write_anew(store, file)? };
        Ok(Placed { files: self.open_staged(table, &outputs)?, is_linked })
    }

    /// Opens files beside the table's, or removes them.
    fn open_staged(&self, table: TableId, files: &[SstableId]) -> Result<Vec<Arc<Sstable>>> {
        let opened = self.open_outputs(table, files);
        if opened.is_err() {
            for file in files {
                let _ = self.env.disk.remove(&sstable::path_of(table, *file));
            }
        }
        opened
    }

    /// Links a file into the table's directory. False if that does not do: it lies on another disk, or the
    /// table has had it before, and has not removed it yet.
    fn link_in(&self, table: TableId, file: &Sstable) -> Result<bool> {
        let directory = sstable::directory_of(table);
        let disk = &self.env.disk;
        disk.create_dir_all(&directory).during("creating", &directory)?;
        if disk.hard_link(file.path(), &sstable::path_of(table, file.id())).is_err() {
            return Ok(false);
        }
        disk.sync_dir(&directory).during("syncing", &directory)?;
        Ok(true)
    }

    fn write_anew(&self, store: &TableStore, file: &Foreign) -> Result<Vec<SstableId>> {
        let mut source = Source::Sstable(SstableSource::new(Arc::clone(&file.sstable), Access::Uncached));
        source.seek(&RangeBound::Unbounded)?;
        let split = store.settings.load().compaction.split_of_flush(store.flush_bytes.load(Relaxed));
        let output = self.job_output(store, split, Vec::new());
        let nothing = PurgeRule::nothing();
        let scan = MergedScan::new(vec![source]);
        let mut job = MergeJob::new(self.env.clone(), scan, output, nothing);
        if !self.env.mutants.has("import-keeps-column-numbers") {
            job = job.mapped(file.mapping.clone());
        }
        self.run_job(store, job, |_| Ok(()))
    }

    /// Has staged files count, and removes where they come from unless they are to stay.
    ///
    /// # Errors
    /// The table was dropped, or the manifest or a backup could not be written: the files are discarded.
    pub fn publish_staged(&self, staged: Staged, options: &ImportOptions) -> Result<Imported> {
        let Staged { store, sstables, sources, mut imported } = staged;
        let table = store.settings.load().id;
        let mut edit = Edit::new(table);
        edit.added = sstables.iter().map(|sstable| sstable.id()).collect();
        edit.describe(&sstables);
        imported.files = sstables.len();
        imported.bytes = sstables.iter().map(|sstable| sstable.file_bytes()).sum();
        if !edit.added.is_empty() {
            let _publish = store.publish.lock();
            if store.is_dropped() {
                self.discard_files(&store, &edit.added);
                return Err(StorageError::NoSuchTable(table));
            }
            self.back_up(&store, &edit.added)?;
            self.publish(&store, &edit)?;
            store.update(|view| view.apply(&edit, sstables));
        }
        self.files_changed.notify_one();
        if !options.copy {
            for path in sources {
                if let Err(error) = self.env.disk.remove(&path) {
                    tracing::warn!(path, %error, "a file that was imported could not be removed");
                }
            }
        }
        Ok(imported)
    }

    /// Reads what staged files hold, as [`Self::read_answer`] does.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn read_staged(&self, staged: &Staged, command: &ReadCommand, max_bytes: usize) -> Result<Vec<u8>> {
        let nothing = Arc::new(Memtable::new(1, u64::MAX, self.env.clock.mono()));
        let view = TableView::new(nothing, staged.sstables.clone(), BTreeMap::new());
        let rules = DigestRules::new(command.now_seconds, staged.store.settings.load().gc_grace_seconds);
        let reading = Reading { max_bytes, access: Access::Uncached, ..Reading::unbounded(rules) };
        reconcile::read_answer(&view, command, reading).map(|found| found.answer)
    }

    /// Removes staged files.
    pub fn discard_staged(&self, staged: Staged) {
        let ids: Vec<SstableId> = staged.sstables.iter().map(|sstable| sstable.id()).collect();
        self.discard_files(&staged.store, &ids);
    }
}
