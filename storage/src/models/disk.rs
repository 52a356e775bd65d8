//! A disk in memory on which every operation is a point where another thread may go on.

use dodona_env::disk::DiskWriter;
use dodona_env::{Disk, DiskReader};
use shuttle_parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// A file: what the operating system has of it, and what is on disk.
#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// A sync has failed: what was to be brought to the disk then is lost, whatever later ones say.
    has_failed: bool,
    /// Nobody may read it any more.
    is_removed: bool,
}

type Shared = Arc<Mutex<File>>;

#[derive(Default)]
struct State {
    files: BTreeMap<String, Shared>,
    /// The next sync of a file whose path begins so fails.
    fails: Option<&'static str>,
    /// How many lives it has seen before.
    lives: u64,
}

/// The disk. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct ModelDisk(Arc<Mutex<State>>);

impl ModelDisk {
    /// What a killed process leaves, or a power cut if only what is `durable` counts, at this moment.
    pub(crate) fn copy(&self, durable: bool) -> Self {
        let state = self.0.lock();
        let files = state.files.iter().map(|(path, file)| {
            let file = file.lock();
            let bytes = if durable { file.durable.clone() } else { file.bytes.clone() };
            (path.clone(), Arc::new(Mutex::new(File { durable: bytes.clone(), bytes, ..File::default() })))
        });
        let files = files.collect();
        Self(Arc::new(Mutex::new(State { files, fails: None, lives: state.lives + 1 })))
    }

    /// How many lives it has seen before.
    pub(crate) fn lives(&self) -> u64 {
        self.0.lock().lives
    }

    /// Lets the next sync of a file whose path begins so fail.
    pub(crate) fn fail_sync(&self, prefix: &'static str) {
        self.0.lock().fails = Some(prefix);
    }

    fn file(&self, path: &str) -> io::Result<Shared> {
        self.0.lock().files.get(path).cloned().ok_or_else(|| not_found(path))
    }
}

fn not_found(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, path.to_owned())
}

struct Writer {
    disk: ModelDisk,
    path: String,
    file: Shared,
    position: Mutex<usize>,
}

impl DiskWriter for Writer {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut position = self.position.lock();
        let mut file = self.file.lock();
        let end = *position + bytes.len();
        let length = file.bytes.len().max(end);
        file.bytes.resize(length, 0);
        file.bytes[*position..end].copy_from_slice(bytes);
        *position = end;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let fails = self.disk.0.lock().fails.take_if(|prefix| self.path.starts_with(*prefix)).is_some();
        let mut file = self.file.lock();
        if fails {
            file.has_failed = true;
            return Err(io::Error::other("the sync fails"));
        }
        if !file.has_failed {
            file.durable = file.bytes.clone();
        }
        Ok(())
    }
}

struct Reader(String, Shared);

impl DiskReader for Reader {
    fn len(&self) -> io::Result<u64> {
        Ok(self.1.lock().bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let file = self.1.lock();
        assert!(!file.is_removed, "{} is read and was removed", self.0);
        let offset = offset as usize;
        let bytes = file.bytes.get(offset..offset + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn try_read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        self.read_at(offset, buffer).map(|()| true)
    }
}

impl Disk for ModelDisk {
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskWriter>> {
        let file = Shared::default();
        let mut state = self.0.lock();
        if state.files.contains_key(path) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, path.to_owned()));
        }
        state.files.insert(path.to_owned(), Arc::clone(&file));
        drop(state);
        Ok(Arc::new(Writer { disk: self.clone(), path: path.to_owned(), file, position: Mutex::new(0) }))
    }

    fn overwrite(&self, path: &str) -> io::Result<Arc<dyn DiskWriter>> {
        let file = self.file(path)?;
        Ok(Arc::new(Writer { disk: self.clone(), path: path.to_owned(), file, position: Mutex::new(0) }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskReader>> {
        Ok(Arc::new(Reader(path.to_owned(), self.file(path)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        let file = state.files.remove(from).ok_or_else(|| not_found(from))?;
        state.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn hard_link(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.file(from)?;
        let mut state = self.0.lock();
        if state.files.contains_key(to) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, to.to_owned()));
        }
        state.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let file = self.0.lock().files.remove(path).ok_or_else(|| not_found(path))?;
        file.lock().is_removed = true;
        Ok(())
    }

    fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        let directory = format!("{path}/");
        self.0.lock().files.retain(|path, _| !path.starts_with(&directory));
        Ok(())
    }

    fn create_dir_all(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let directory = format!("{path}/");
        let state = self.0.lock();
        let mut names: Vec<String> = state
            .files
            .keys()
            .filter_map(|path| path.strip_prefix(&directory))
            .map(|rest| rest.split_once('/').map_or_else(|| rest.to_owned(), |(name, _)| format!("{name}/")))
            .collect();
        names.dedup();
        Ok(names)
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &str) -> io::Result<Box<dyn Send + Sync>> {
        Ok(Box::new(()))
    }

    fn available_bytes(&self) -> io::Result<u64> {
        Ok(1 << 40)
    }
}
