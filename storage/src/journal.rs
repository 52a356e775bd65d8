//! A file of records, each of which counts once it is on disk: what the manifest and the metadata
//! log are made of.
//!
//! ```text
//! file   := magic 8 bytes, version u16, record*
//! record := crc32c u32 of (length, payload), length u32, payload
//! ```
//! Integers are little-endian. A payload is JSON. Where it is a number, the record is a *mark*: all
//! bytes before that one are on disk. A mark follows each record and is not synced itself. So
//! damage below a mark is damage, and what is torn above the last mark never counted.

use crate::error::{IoContext, Result, StorageError, corrupt};
use dodona_env::Disk;
use dodona_env::disk::DiskWriter;
use dodona_types::codec::Reader;
use std::io;
use std::sync::Arc;

/// A file that is longer than this, and than four times its first records, should be written anew.
const LARGEST_BYTES: u64 = 1 << 20;

/// A kind of file.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Its first bytes.
    pub magic: [u8; 8],
    /// The version that is written, and the newest that is read.
    pub version: u16,
    /// The first version with marks.
    pub marked_since: u16,
    /// What it is, for errors.
    pub name: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    /// Takes records.
    Open,
    /// Ends in a part of a record that a full disk did not take.
    Torn,
    /// What is on disk is unknown: only a restart may decide.
    Failed,
}

/// A file that takes records.
pub struct Journal {
    path: String,
    writer: Arc<dyn DiskWriter>,
    name: &'static str,
    bytes: u64,
    first_bytes: u64,
    condition: Condition,
}

impl Journal {
    /// Writes a new file with these records, and syncs it. Its directory is left to the caller.
    ///
    /// # Errors
    /// The operating system's. Nothing is left of the file then.
    pub fn begin(
        disk: &dyn Disk,
        format: &Format,
        path: &str,
        payloads: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Self> {
        remove_if_there(disk, path)?;
        let mut bytes = format.magic.to_vec();
        bytes.extend_from_slice(&format.version.to_le_bytes());
        for payload in payloads {
            put_record(&mut bytes, &payload);
        }
        let end = bytes.len() as u64;
        put_mark(&mut bytes, end);
        let writer = disk.create(path).during("creating", path)?;
        let written = writer.append(&bytes).during("writing", path);
        if let Err(error) = written.and_then(|()| writer.sync().during("syncing", path)) {
            // It was never in use.
            let _ = disk.remove(path);
            return Err(error);
        }
        let bytes = bytes.len() as u64;
        Ok(Self {
            path: path.to_owned(),
            writer,
            name: format.name,
            bytes,
            first_bytes: bytes,
            condition: Condition::Open,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Notes that the file has another name now.
    pub fn renamed(&mut self, path: &str) {
        path.clone_into(&mut self.path);
    }

    /// True if another file has to be begun before the next record, or should be.
    #[must_use]
    pub fn needs_successor(&self) -> bool {
        match self.condition {
            Condition::Open => self.bytes > LARGEST_BYTES.max(4 * self.first_bytes),
            Condition::Torn => true,
            Condition::Failed => false,
        }
    }

    /// Goes on behind a part of a record, which is wrong: what follows is not found again. For the
    /// simulation, which must notice it.
    pub(crate) fn ignore_tear(&mut self) {
        if self.condition == Condition::Torn {
            self.condition = Condition::Open;
        }
    }

    /// Makes a record durable. Without `sync`, only the operating system has it (mutants do that).
    ///
    /// # Errors
    /// The disk is full: the record does not count, and a successor may take it. Or the disk has
    /// failed, and no record is taken any more.
    pub fn append(&mut self, payload: &[u8], sync: bool) -> Result<()> {
        if self.condition != Condition::Open {
            return Err(StorageError::LogFailed(format!("{} could not be written earlier", self.name)));
        }
        let mut bytes = Vec::with_capacity(payload.len() + 64);
        put_record(&mut bytes, payload);
        self.put(&bytes)?;
        if sync && let Err(error) = self.writer.sync() {
            self.condition = Condition::Failed;
            return Err(error).during("syncing", &self.path);
        }
        bytes.clear();
        put_mark(&mut bytes, self.bytes);
        // The record counts whether or not its mark has room.
        let _ = self.put(&bytes);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let appended = self.writer.append(bytes).during("writing", &self.path);
        match &appended {
            Ok(()) => self.bytes += bytes.len() as u64,
            Err(StorageError::NoSpace) => self.condition = Condition::Torn,
            Err(_) => self.condition = Condition::Failed,
        }
        appended
    }
}

/// Removes a file, if it is there.
///
/// # Errors
/// The operating system's.
pub fn remove_if_there(disk: &dyn Disk, path: &str) -> Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).during("removing", path),
        _ => Ok(()),
    }
}

fn put_record(out: &mut Vec<u8>, payload: &[u8]) {
    let length = (payload.len() as u32).to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&length), payload);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&length);
    out.extend_from_slice(payload);
}

fn put_mark(out: &mut Vec<u8>, durable_bytes: u64) {
    put_record(out, durable_bytes.to_string().as_bytes());
}

fn read_record<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let crc = reader.u32().ok()?;
    let length = reader.u32().ok()?;
    let payload = reader.bytes(length as usize).ok()?;
    (crc == crc32c::crc32c_append(crc32c::crc32c(&length.to_le_bytes()), payload)).then_some(payload)
}

/// The byte below which everything is on disk, if the payload is a mark's.
fn mark(payload: &[u8]) -> Option<u64> {
    std::str::from_utf8(payload).ok()?.parse().ok()
}

/// The payloads of a file's records, marks left out, each with its offset.
///
/// # Errors
/// The file is damaged, of another kind or of a newer version.
pub fn read<'a>(format: &Format, path: &str, bytes: &'a [u8]) -> Result<Vec<(u64, &'a [u8])>> {
    let mut reader = Reader::new(bytes);
    if reader.bytes(8).ok() != Some(&format.magic) {
        return Err(corrupt(path, 0, format!("not {}", format.name)));
    }
    let found = reader.u16().map_err(|_| corrupt(path, 8, "the version is missing"))?;
    if found > format.version {
        let supported = format.version;
        return Err(StorageError::NewerFormat { path: path.to_owned(), found, supported });
    }
    let mut payloads = Vec::new();
    while !reader.is_empty() {
        let at = reader.position();
        match read_record(&mut reader) {
            Some(payload) if mark(payload).is_some() => {}
            Some(payload) => payloads.push((at as u64, payload)),
            None if is_durable(bytes, at, found >= format.marked_since) => {
                return Err(corrupt(path, at as u64, "a record's checksum does not match"));
            }
            None => break,
        }
    }
    Ok(payloads)
}

/// True if what begins at `at` was on disk once: a mark behind it says so or, where there are no
/// marks, another record is behind it.
fn is_durable(bytes: &[u8], at: usize, has_marks: bool) -> bool {
    (at + 1..bytes.len()).filter_map(|next| read_record(&mut Reader::new(&bytes[next..]))).any(|payload| {
        if has_marks { mark(payload).is_some_and(|durable| durable > at as u64) } else { true }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format { magic: *b"DODONATE", version: 2, marked_since: 2, name: "a test" };

    fn file() -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let disk = dodona_env::os::env(directory.path()).unwrap().disk;
        let mut journal = Journal::begin(&*disk, &FORMAT, "test", [b"[1]".to_vec()]).unwrap();
        journal.append(b"[22]", true).unwrap();
        journal.append(b"[333]", true).unwrap();
        disk.read("test").unwrap()
    }

    #[test]
    fn a_file_has_these_bytes() {
        let hex: String = file().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(&hex[..20], "444f444f4e4154450200");
        assert_eq!(hex[20..].matches("5b32325d").count(), 1);
        let payloads: Vec<(u64, Vec<u8>)> = read(&FORMAT, "test", &file())
            .unwrap()
            .into_iter()
            .map(|(at, payload)| (at, payload.to_vec()))
            .collect();
        assert_eq!(payloads, [(10, b"[1]".to_vec()), (31, b"[22]".to_vec()), (53, b"[333]".to_vec())]);
    }

    #[test]
    fn damage_is_named_and_a_torn_end_is_left_out() {
        let bytes = file();
        let last_record = 53;
        let last_mark = bytes.len() - 10;
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x01;
            let found = read(&FORMAT, "test", &damaged);
            if at >= last_mark {
                assert_eq!(found.unwrap().len(), 3, "byte {at}");
            } else {
                let error = found.expect_err(&format!("byte {at}"));
                let named = matches!(error, StorageError::Corrupt { .. } | StorageError::NewerFormat { .. });
                assert!(named, "{error}");
            }
            let torn = read(&FORMAT, "test", &bytes[..at]);
            match at {
                ..10 => assert!(torn.is_err()),
                10..21 => assert_eq!(torn.unwrap().len(), 0),
                21..43 => assert_eq!(torn.unwrap().len(), 1),
                _ if at < last_mark => assert_eq!(torn.unwrap().len(), 2, "byte {at} of {last_record}"),
                _ => assert_eq!(torn.unwrap().len(), 3),
            }
        }
    }
}
