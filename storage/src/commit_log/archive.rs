//! Archives segments of the commit log: each one once it has ended, before its file is used again or
//! removed.
//!
//! An archived segment is named by its number and a checksum of what it holds, so that the same name is the
//! same segment, whichever life of whichever node wrote it. Beside segments lie `schema-CHECKSUM.json` files
//! ([`Schemas`]): what tables and columns the numbers in them are.

use super::format::{self, Header};
use super::segment_path;
use crate::error::{IoContext, Result, corrupt};
use crate::settings::ArchiveSettings;
use crate::sstable::statistics::StoredColumn;
use crate::sync::Mutex;
use crate::table::TableSettings;
use dodona_env::Env;
use dodona_types::TableId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How the names of files begin that say what tables are.
pub(crate) const SCHEMA_PREFIX: &str = "schema-";
/// Where files lie while a command takes them.
const DIRECTORY: &str = "archiving";
/// What was archived and may still be here: a command may not take a file twice.
const KEPT: &str = "archived.json";

/// A table as mutations in the log know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedTable {
    /// Keyspace and name.
    pub name: String,
    /// The columns that it has, or had.
    pub columns: Vec<StoredColumn>,
}

/// The tables that a log writes of. Numbers are never used again: what was added first stays true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schemas {
    /// By their ids.
    pub tables: BTreeMap<TableId, LoggedTable>,
}

impl Schemas {
    /// Adds a table as it is now.
    pub fn add(&mut self, settings: &TableSettings) {
        if !settings.volatile {
            self.merge(
                settings.id,
                &LoggedTable { name: settings.name.clone(), columns: settings.columns.clone() },
            );
        }
    }

    /// Adds what is known of a table.
    pub fn merge(&mut self, table: TableId, known: &LoggedTable) {
        let here = self.tables.entry(table).or_default();
        here.name.clone_from(&known.name);
        for column in &known.columns {
            // A column may have been renamed, or its types have got more fields.
            match here.columns.iter_mut().find(|other| other.id == column.id) {
                Some(other) => other.clone_from(column),
                None => here.columns.push(column.clone()),
            }
        }
    }
}

/// What has been archived in this life.
#[derive(Default)]
struct Done {
    segments: BTreeMap<u64, String>,
    schemas: Option<Schemas>,
    /// In this life and those before, once that was read.
    kept: Option<Kept>,
}

/// `archived.json`: the names of what is in the archive, as far as it may be here as well.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Kept {
    schema: Option<String>,
    segments: BTreeSet<String>,
}

/// Takes segments to the archive.
pub(super) struct Archive {
    env: Env,
    settings: ArchiveSettings,
    done: Mutex<Done>,
    /// Held by the one that archives: a command may not take a file twice.
    pub(super) alone: Mutex<()>,
}

impl Archive {
    pub(super) fn new(env: Env, settings: ArchiveSettings) -> Self {
        Self { env, settings, done: Mutex::default(), alone: Mutex::new(()) }
    }

    pub(super) const fn is_on(&self) -> bool {
        self.settings.is_on()
    }

    /// True if a file that was archived must not be written over: a command may have linked it.
    pub(super) const fn may_share_files(&self) -> bool {
        self.settings.command.is_some()
    }

    pub(super) fn has(&self, sequence: u64) -> bool {
        self.done.lock().segments.contains_key(&sequence)
    }

    pub(super) fn forget(&self, sequence: u64) {
        let mut done = self.done.lock();
        let name = done.segments.remove(&sequence);
        // It is left out of the file when that is written next.
        if let (Some(name), Some(kept)) = (name, &mut done.kept) {
            kept.segments.remove(&name);
        }
    }

    /// Archives what tables are, unless that was done since they changed.
    pub(super) fn put_schemas(&self, schemas: &Schemas) -> Result<()> {
        if self.done.lock().schemas.as_ref() == Some(schemas) {
            return Ok(());
        }
        let json = serde_json::to_vec(schemas).unwrap_or_default();
        let name = format!("{SCHEMA_PREFIX}{:08x}.json", crc32c::crc32c(&json));
        let disk = &self.env.disk;
        let mut kept = self.kept()?;
        if kept.schema.as_ref() == Some(&name) {
            self.done.lock().schemas = Some(schemas.clone());
            return Ok(());
        }
        if self.settings.command.is_some() {
            disk.create_dir_all(DIRECTORY).during("creating", DIRECTORY)?;
            let path = format!("{DIRECTORY}/{name}");
            disk.replace(&path, &json).during("writing", &path)?;
            self.run(&path, &name)?;
            disk.remove(&path).during("removing", &path)?;
        }
        self.copy(&name, &json)?;
        kept.schema = Some(name);
        self.keep(kept)?;
        self.done.lock().schemas = Some(schemas.clone());
        Ok(())
    }

    /// What is in the archive, by name.
    fn kept(&self) -> Result<Kept> {
        if let Some(kept) = &self.done.lock().kept {
            return Ok(kept.clone());
        }
        match self.env.disk.read(KEPT) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Kept::default()),
            Err(error) => Err(error).during("reading", KEPT),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| corrupt(KEPT, 0, error.to_string())),
        }
    }

    fn keep(&self, kept: Kept) -> Result<()> {
        let json = serde_json::to_vec(&kept).unwrap_or_default();
        self.env.disk.replace(KEPT, &json).during("writing", KEPT)?;
        self.done.lock().kept = Some(kept);
        Ok(())
    }

    /// Archives an ended segment.
    pub(super) fn put_segment(&self, sequence: u64) -> Result<()> {
        let path = segment_path(sequence);
        let bytes = self.env.disk.read(&path).during("reading", &path)?;
        let held = &bytes[..held_bytes(&path, &bytes)?];
        let name = name_of(sequence, held);
        let mut kept = self.kept()?;
        if !kept.segments.contains(&name) {
            if self.settings.command.is_some() {
                self.run(&path, &name)?;
            }
            self.copy(&name, held)?;
            kept.segments.insert(name.clone());
            self.keep(kept)?;
        }
        self.done.lock().segments.insert(sequence, name);
        Ok(())
    }

    fn copy(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let Some(directory) = &self.settings.directory else { return Ok(()) };
        let disk = &self.env.disk;
        disk.create_dir_all(directory).during("creating", directory)?;
        let path = format!("{directory}/{name}");
        let is_there =
            disk.open(&path).and_then(|file| file.len()).is_ok_and(|length| length == bytes.len() as u64);
        if is_there { Ok(()) } else { disk.replace(&path, bytes).during("writing", &path) }
    }

    fn run(&self, path: &str, name: &str) -> Result<()> {
        let Some(command) = &self.settings.command else { return Ok(()) };
        let full = self.env.disk.full_path(path);
        run(&self.env, command, &[("%path", &full), ("%name", name)]).during("archiving", path)
    }
}

/// Runs a command with values in the place of their names.
pub(crate) fn run(env: &Env, command: &str, values: &[(&str, &str)]) -> std::io::Result<()> {
    let mut words = command
        .split_whitespace()
        .map(|word| values.iter().fold(word.to_owned(), |word, (name, value)| word.replace(name, value)));
    let program = words.next().unwrap_or_default();
    env.programs.run(&program, &words.collect::<Vec<_>>())
}

/// How long what a segment holds is, with its header.
pub(crate) fn held_bytes(path: &str, bytes: &[u8]) -> Result<usize> {
    let header = Header::parse(path, bytes)?;
    let mut at = header.header_bytes;
    while let Some(record) =
        format::parse_record(&bytes[at..], header.base_position + (at - header.header_bytes) as u64)
    {
        at += record.total_bytes();
    }
    Ok(at)
}

/// The name of a segment in the archive.
pub(crate) fn name_of(sequence: u64, held: &[u8]) -> String {
    format!("{sequence:020}-{:08x}.log", crc32c::crc32c(held))
}
