//! What goes elsewhere and comes from there: the archived log and backups, restored by another engine, and files of
//! another table. Writes note their numbers in what is restored, so that it says itself what it must show.

use super::changes::{facts_of, put_change};
use super::model::{Ever, Model, key_of};
use super::reads::{self, Way, note_number, numbers_in};
use super::step::{Change, Place, Query, Write};
use super::tables::settings_of;
use super::world::{ARCHIVE, JOURNAL, PARTITIONS, Stop, World};
use crate::disk::SimDisk;
use dodona_env::Env;
use dodona_env::disk::Disk;
use dodona_storage::engine::import::ImportOptions;
use dodona_storage::engine::restore::RestoreSettings;
use dodona_storage::sstable;
use dodona_storage::{Engine, StorageError, TableSettings};
use dodona_types::{MutationBuilder, TableId};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The table that imported files are of.
const OTHER: TableId = TableId(Uuid::from_u128(50));

/// The other of two columns.
const fn swapped(place: Place) -> Place {
    match place {
        Place::Column(column) => Place::Column(1 - column),
        Place::Element(_) => place,
    }
}

fn with_swapped_columns(change: &Change) -> Change {
    match change.clone() {
        Change::Row { row, marker, empty_map, mut cells } => {
            cells.iter_mut().for_each(|(place, _)| *place = swapped(*place));
            Change::Row { row, marker, empty_map, cells }
        }
        other => other,
    }
}

type Files = Vec<(String, Vec<u8>)>;

impl World {
    /// The files of a directory that end so.
    fn files_in(&self, directory: &str, end: &str) -> Result<Files, Stop> {
        let names = Disk::list(&self.life_disk, directory).unwrap_or_default();
        let names = names.into_iter().filter(|name| name.ends_with(end));
        names
            .map(|name| {
                let path = format!("{directory}/{name}");
                let bytes = Disk::read(&self.life_disk, &path);
                let bytes = bytes.map_err(|error| Stop::Violation(format!("{path}: {error}")))?;
                Ok((name, bytes))
            })
            .collect()
    }

    /// Another engine, on a disk that has these files in a directory.
    fn other_engine(
        &mut self,
        table: TableSettings,
        directory: &str,
        files: &Files,
    ) -> Result<(Engine, SimDisk), Stop> {
        self.others += 1;
        let random = self.random.split(&format!("other {}", self.others));
        let disk = SimDisk::new(random.split("disk")).next_life();
        put_files(&disk, directory, files).map_err(|error| Stop::Violation(error.to_string()))?;
        let env = Env { random, ..self.env(disk.clone()) };
        let settings = dodona_storage::EngineSettings {
            archive: Default::default(),
            incremental_backups: false,
            ..self.engine_settings()
        };
        let tables = vec![World::journal_settings(), table];
        let opened = Engine::open(env, settings, Uuid::from_u128(6), tables);
        let (engine, _) = opened.map_err(|error| Stop::Violation(format!("elsewhere: {error}")))?;
        Ok((engine, disk))
    }

    /// Compares all that another engine shows with what some of the mutations said.
    fn compare_elsewhere(
        &mut self,
        engine: &Engine,
        what: &str,
        is_there: impl Fn(&Ever) -> bool,
    ) -> Result<(), Stop> {
        let now = self.now();
        let mut model = Model::default();
        for ever in self.ever.iter().filter(|ever| is_there(ever)) {
            ever.facts.iter().for_each(|fact| model.add(ever.number, ever.partition, fact.clone()));
        }
        let all = Query::all(None, false);
        model.dropped.clone_from(&self.model.dropped);
        let seen = reads::read(engine, self.table(), &all, &self.dropped_cells(), now, Way::Page)
            .map_err(|error| Stop::Violation(format!("{what}: {error}")))?;
        let expected = model.answer(&all, PARTITIONS, now);
        self.compare(&all, what, seen.as_ref(), &expected)
    }

    /// Archives the whole log, and restores it elsewhere: all of it, and what is older than the latest write by
    /// some microseconds.
    ///
    /// # Errors
    /// A write that was acknowledged is not in the archive, or something else is read than was written by then.
    pub fn restore_log(&mut self, back: u8) -> Result<(), Stop> {
        let archived = self.engine()?.archive_whole_log();
        if self.take("archiving", archived)?.is_none() {
            return Ok(());
        }
        let files = self.files_in(ARCHIVE, "")?;
        let settings = RestoreSettings {
            directories: vec![ARCHIVE.to_owned()],
            micros_per_step: 1,
            ..RestoreSettings::default()
        };
        let wrong = |error: StorageError| Stop::Violation(format!("a restored log: {error}"));
        let table = self.table_settings();
        let (engine, _) = self.other_engine(table.clone(), ARCHIVE, &files)?;
        engine.restore(&settings, &|_| true).map_err(wrong)?;
        let archived = numbers_in(&engine, JOURNAL, self.now()).map_err(wrong)?;
        let is_lost = |number: &u64| self.acknowledged.contains(number) && !archived.contains(number);
        if let Some(lost) = self.promised(JOURNAL).find(is_lost) {
            return Err(Stop::Violation(format!(
                "write {lost} was acknowledged, and is lost from the archive"
            )));
        }
        self.compare_elsewhere(&engine, "restored from the log", |ever| archived.contains(&ever.number))?;
        let up_to = self.latest_timestamp - i64::from(back);
        let (engine, _) = self.other_engine(table, ARCHIVE, &files)?;
        engine
            .restore(&RestoreSettings { up_to_micros: Some(up_to), ..settings }, &|_| true)
            .map_err(wrong)?;
        let what = format!("restored from the log up to {up_to}");
        self.compare_elsewhere(&engine, &what, |ever| {
            archived.contains(&ever.number) && ever.newest() <= up_to
        })
    }

    /// Flushes, and restores elsewhere what was backed up.
    ///
    /// # Errors
    /// A write that was acknowledged is not in backups, or something else is read than was written.
    pub fn restore_backups(&mut self) -> Result<(), Stop> {
        if self.has_damage {
            // Backups are links.
            return Ok(());
        }
        let flushed = self.engine()?.flush(self.table());
        if self.take("a flush", flushed)?.is_none() {
            return Ok(());
        }
        self.promise_flushed();
        let files = self.files_in(&format!("backups/{}", self.table()), ".sst")?;
        let table = self.table_settings();
        let (engine, _) = self.other_engine(table, "taken", &files)?;
        let wrong = |error: StorageError| Stop::Violation(format!("restored backups: {error}"));
        let options = ImportOptions { verify: true, within: None, copy: true };
        if !files.is_empty() {
            engine.import(self.table(), &["taken".to_owned()], &options).map_err(wrong)?;
        }
        let there = numbers_in(&engine, self.table(), self.now()).map_err(wrong)?;
        if let Some(lost) = self.promised(self.table()).find(|number| !there.contains(number)) {
            return Err(Stop::Violation(format!("write {lost} was acknowledged, and is lost from backups")));
        }
        self.compare_elsewhere(&engine, "restored from backups", |ever| there.contains(&ever.number))
    }

    /// Writes to another table elsewhere, of which two columns have changed their numbers, and imports its files.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn import(&mut self, writes: &[Write]) -> Result<(), Stop> {
        let number = self.next_write;
        self.next_write += 1;
        let now = self.now();
        let mut other = settings_of(OTHER, self.table_setup);
        for column in &mut other.columns {
            let (start, end) = column.name.split_at(column.name.len() - 1);
            column.name = match end {
                "0" => format!("{start}1"),
                "1" => format!("{start}0"),
                _ => continue,
            };
        }
        let (donor, disk) = self.other_engine(other, "taken", &Vec::new())?;
        let wrong = |error: StorageError| Stop::Violation(format!("the other table: {error}"));
        let mut evers = Vec::new();
        for write in writes {
            let timestamp = self.timestamp(write.when);
            if timestamp <= self.purged_up_to(write.partition) {
                continue;
            }
            let mut builder = MutationBuilder::new();
            builder.begin(OTHER, 0, &key_of(write.partition));
            for change in &write.changes {
                put_change(&mut builder, change, timestamp, now);
                let facts = facts_of(&with_swapped_columns(change), timestamp, now);
                evers.push(Ever::new(number, write.partition, facts));
            }
            if !builder.is_empty() {
                donor.apply(&[builder.view()]).map_err(wrong)?;
                // A file each.
                donor.flush(OTHER).map_err(wrong)?;
            }
        }
        donor.apply(&[note_number(OTHER, number, self.latest_timestamp).view()]).map_err(wrong)?;
        donor.flush(OTHER).map_err(wrong)?;
        let directory = format!("upload/{number}");
        let from = sstable::directory_of(OTHER);
        let mut files = Files::new();
        for name in Disk::list(&disk, &from).unwrap_or_default() {
            let bytes = Disk::read(&disk, &format!("{from}/{name}"));
            files.push((name, bytes.map_err(|error| Stop::Violation(error.to_string()))?));
        }
        if put_files(&self.life_disk, &directory, &files).is_err() {
            return Ok(());
        }
        for ever in &evers {
            ever.facts.iter().for_each(|fact| self.model.add(number, ever.partition, fact.clone()));
        }
        self.ever.extend(evers);
        let options = ImportOptions { verify: true, within: None, copy: false };
        let imported = self.engine()?.import(self.table(), &[directory], &options);
        if self.take("an import", imported)?.is_some() {
            self.promise_imported(number);
        } else {
            self.model.retain(|write| write != number);
        }
        Ok(())
    }

    /// Numbers of writes that must be found.
    fn promised(&self, table: TableId) -> impl Iterator<Item = u64> {
        let numbers: BTreeSet<u64> = self.promises[usize::from(table == JOURNAL)].acknowledged.clone();
        numbers.into_iter()
    }
}

fn put_files(disk: &SimDisk, directory: &str, files: &Files) -> std::io::Result<()> {
    disk.create_dir_all(directory)?;
    for (name, bytes) in files {
        let writer = disk.create(&format!("{directory}/{name}"))?;
        writer.append(bytes)?;
        writer.sync()?;
    }
    disk.sync_dir(directory)
}
