//! The start: opens the data directory and replays the commit log. The only place that does.

use super::{Engine, FIRST_SHARD_BITS, FoundLog, Tables};
use crate::commit_log::archive::Schemas;
use crate::commit_log::writer::prepare_directory;
use crate::commit_log::{self, CommitLog};
use crate::compaction::throttle::Throttle;
use crate::error::{IoContext, Result, StorageError};
use crate::manifest::{Edit, Manifest};
use crate::memtable::Memtable;
use crate::repair_state::RepairState;
use crate::settings::EngineSettings;
use crate::sstable::cache::BlockCache;
use crate::sstable::{self, Sstable, SstableId};
use crate::sync::ArcSwap;
use crate::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize};
use crate::sync::{Mutex, RwLock};
use crate::table::{TableSettings, TableStore, TableView};
use dodona_env::Env;
use dodona_types::{MutationView, TableId};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Notify;
use uuid::Uuid;

/// The version of the layout of the data directory.
const LAYOUT_VERSION: u16 = 1;
const LAYOUT_FILE: &str = "LAYOUT";
const LOCK_FILE: &str = "LOCK";

/// How a start found the data directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Mutations replayed from the commit log.
    pub mutations: u64,
    /// Segments whose end was torn, as a crash leaves them.
    pub torn_tails: usize,
    /// Files opened.
    pub sstables: usize,
}

/// The lock of a data directory: whoever holds it is alone in there. Nothing in the directory is
/// read or written without it.
pub struct DirectoryLock(#[expect(dead_code, reason = "held until it is dropped")] Box<dyn Send + Sync>);

impl DirectoryLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// Another process has it, or the operating system refuses.
    pub fn take(env: &Env) -> Result<Self> {
        env.disk.lock(LOCK_FILE).map(Self).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => StorageError::InUse,
            _ => StorageError::Io { action: "locking", path: LOCK_FILE.into(), source: Arc::new(error) },
        })
    }
}

impl Engine {
    /// Takes the lock of the data directory and opens it.
    ///
    /// # Errors
    /// The directory is in use, or what [`Self::open_locked`] says.
    ///
    /// # Errors
    /// The directory is in use, of a newer format, damaged, or the operating system refuses.
    pub fn open(
        env: Env,
        settings: EngineSettings,
        host: Uuid,
        tables: Vec<TableSettings>,
    ) -> Result<(Self, Recovered)> {
        let lock = DirectoryLock::take(&env)?;
        Self::open_locked(lock, env, settings, host, tables)
    }

    /// Opens a data directory that is locked: reads the manifest, opens the files of `tables` and
    /// replays the commit log. What belongs to other tables is removed.
    ///
    /// # Errors
    /// The directory is of a newer format, damaged, or the operating system refuses.
    pub fn open_locked(
        lock: DirectoryLock,
        env: Env,
        settings: EngineSettings,
        host: Uuid,
        tables: Vec<TableSettings>,
    ) -> Result<(Self, Recovered)> {
        check_layout(&env)?;
        prepare_directory(&*env.disk)?;
        env.disk.create_dir_all(sstable::DIRECTORY).during("creating", sstable::DIRECTORY)?;
        let mut manifest = Manifest::open(Arc::clone(&env.disk), env.mutants.clone())?;
        let cache = Arc::new(BlockCache::new(settings.block_cache_bytes, &env.mutants));
        let mut stores = Tables::new();
        let mut recovered = Recovered::default();
        for table in tables {
            let (store, sstables) = open_table(&env, &cache, &mut manifest, table, host)?;
            recovered.sstables += sstables;
            stores.insert(store.settings.load().id, Arc::new(store));
        }
        drop_unknown_tables(&env, &mut manifest, &stores)?;
        let memtable_bytes = replay(&env, &manifest, &stores, &mut recovered)?;
        let covered_end =
            manifest.state().values().filter_map(|files| files.covered.last()).map(|range| range.end).max();
        let replayed = memtable_bytes.1;
        let end = replayed.end_position.max(covered_end.unwrap_or(0));
        let last = replayed.segments.iter().map(|segment| segment.end_position).max();
        let found = FoundLog { end, last_record: last.max(covered_end).unwrap_or(0) };
        let mode = (settings.sync_mode, settings.segment_bytes);
        let log = CommitLog::open(env.clone(), mode, settings.archive.clone(), &replayed, end);
        let mut schemas = Schemas::default();
        stores.values().for_each(|store: &Arc<TableStore>| schemas.add(&store.settings.load()));
        let throttle = Throttle::new(settings.compaction_bytes_per_second);
        let backs_up = AtomicBool::new(settings.incremental_backups);
        let engine = Self {
            env,
            settings,
            host,
            log,
            found,
            tables: ArcSwap::from_pointee(stores),
            tables_change: Mutex::new(()),
            manifest: Mutex::new(manifest),
            cache,
            switch: RwLock::new(()),
            memtable_bytes: AtomicIsize::new(memtable_bytes.0),
            obsolete: Mutex::default(),
            flushes_refused: AtomicBool::new(false),
            compactions_refused: AtomicBool::new(false),
            work: Notify::new(),
            shrunk: Notify::new(),
            files_changed: Notify::new(),
            compactions: Arc::default(),
            throttle,
            backs_up,
            schemas: Mutex::new(schemas),
            next_table: AtomicUsize::new(0),
            _lock: lock,
        };
        Ok((engine, recovered))
    }
}

fn check_layout(env: &Env) -> Result<()> {
    match env.disk.read(LAYOUT_FILE) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let found: u16 = text.trim().parse().map_err(|_| {
                crate::error::corrupt(
                    LAYOUT_FILE,
                    0,
                    "not a version number: this is not a data directory of Dodona",
                )
            })?;
            if found > LAYOUT_VERSION {
                return Err(StorageError::NewerFormat {
                    path: LAYOUT_FILE.into(),
                    found,
                    supported: LAYOUT_VERSION,
                });
            }
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => env
            .disk
            .replace(LAYOUT_FILE, LAYOUT_VERSION.to_string().as_bytes())
            .during("writing", LAYOUT_FILE),
        Err(error) => Err(error).during("reading", LAYOUT_FILE),
    }
}

fn open_table(
    env: &Env,
    cache: &Arc<BlockCache>,
    manifest: &mut Manifest,
    settings: TableSettings,
    host: Uuid,
) -> Result<(TableStore, usize)> {
    let table = settings.id;
    let directory = sstable::directory_of(table);
    let files = manifest.state().get(&table).cloned().unwrap_or_default();
    let mut present = BTreeSet::new();
    // The first file of a table makes its directory.
    let names = match env.disk.list(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        names => names.during("listing", &directory)?,
    };
    for name in names {
        let id = name.strip_suffix(".sst").and_then(|id| id.parse().ok()).map(SstableId);
        let leftover = name.ends_with(".tmp") || id.is_some_and(|id| !files.sstables.contains(&id));
        if leftover {
            let path = format!("{directory}/{name}");
            env.disk.remove(&path).during("removing", &path)?;
        } else {
            present.extend(id);
        }
    }
    let mut sstables = Vec::with_capacity(files.sstables.len());
    let mut unknown = Vec::new();
    for id in files.sstables {
        if let Some(summary) = files.summaries.get(&id).filter(|_| present.contains(&id)) {
            let (disk, mutants, summary) = (&env.disk, &env.mutants, Arc::clone(summary));
            sstables.push(Arc::new(Sstable::known(disk, mutants, cache, table, id, summary)));
            continue;
        }
        let open = |id| Sstable::open(&env.disk, &env.mutants, cache, table, id).map(Arc::new);
        unknown.push(match open(id) {
            Err(error @ StorageError::Corrupt { .. }) => {
                match super::heal::heal(env, cache, manifest, &settings, host, id)? {
                    Some(healed) => open(healed)?,
                    None => return Err(error),
                }
            }
            sstable => sstable?,
        });
    }
    if !unknown.is_empty() {
        let mut edit = Edit::new(table);
        edit.describe(&unknown);
        manifest.commit(&edit)?;
        sstables.append(&mut unknown);
    }
    let count = sstables.len();
    let memtable = Memtable::new(FIRST_SHARD_BITS, 0, env.clock.mono());
    // Healing has changed them.
    let (levels, repaired) = match manifest.state().get(&table) {
        Some(files) => (files.levels.clone(), files.repaired.clone()),
        None => Default::default(),
    };
    let mut view = TableView::new(Arc::new(memtable), sstables, levels);
    view.set_repairs(repaired.into_iter().map(|(id, at)| (id, RepairState::Repaired(at))));
    Ok((TableStore::new(settings, view), count))
}

/// Removes what is left of tables that the schema does not have any more.
fn drop_unknown_tables(env: &Env, manifest: &mut Manifest, stores: &Tables) -> Result<()> {
    let unknown: Vec<TableId> =
        manifest.state().keys().filter(|table| !stores.contains_key(table)).copied().collect();
    for table in unknown {
        manifest.commit(&Edit { dropped: true, ..Edit::new(table) })?;
    }
    for name in env.disk.list(sstable::DIRECTORY).during("listing", sstable::DIRECTORY)? {
        let Some(directory) = name.strip_suffix('/') else { continue };
        let is_known = |table: TableId| stores.contains_key(&table) && table.to_string() == directory;
        if !directory.parse().is_ok_and(|table| is_known(TableId(table))) {
            let path = format!("{}/{directory}", sstable::DIRECTORY);
            tracing::info!(path, "removing the files of a table that was dropped");
            env.disk.remove_dir_all(&path).during("removing", &path)?;
        }
    }
    Ok(())
}

/// Applies what the commit log holds and no file covers. Returns the bytes it takes in memtables.
fn replay(
    env: &Env,
    manifest: &Manifest,
    stores: &Tables,
    recovered: &mut Recovered,
) -> Result<(isize, commit_log::reader::Replayed)> {
    let mut growth = 0;
    let replayed = commit_log::reader::replay(&*env.disk, |position, payload| {
        for mutation in commit_log::format::mutations(payload) {
            let mutation = MutationView::parse(mutation?)?;
            let Some(store) = stores.get(&mutation.table) else {
                continue;
            };
            if manifest.state().get(&mutation.table).is_some_and(|files| files.covers(position)) {
                continue;
            }
            growth += store.view.load().active.apply(&mutation)?;
            recovered.mutations += 1;
        }
        Ok(())
    })?;
    recovered.torn_tails = replayed.torn_tails;
    if !env.mutants.has("replayed-log-no-sync") {
        commit_log::reader::sync(&*env.disk, &replayed)?;
    }
    Ok((growth, replayed))
}
