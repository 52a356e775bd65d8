//! A simulated disk. What is appended is in the operating system's memory; what is synced is on
//! the platter. A power cut keeps a random subset of the pages that were not synced, each as it
//! was written, as it was before or (where there was nothing before) as zeros, and a random prefix
//! of each directory's operations that were not synced. A killed process loses nothing that the
//! operating system has. A slow disk needs simulated time: whoever awaits work on it waits so long.

use dodona_env::Random;
use dodona_env::disk::{Disk, DiskReader, DiskWriter};
use dodona_env::task::TakesTime;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const PAGE_BYTES: usize = 4_096;
/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Where files lie that are links of others, or will be.
const LINKS: [&str; 3] = ["snapshots/", "backups/", "upload/"];

type FileId = u64;

#[derive(Clone, Debug)]
enum NameChange {
    Link(String, FileId),
    Unlink(String),
}

#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    /// What is on the platter.
    durable: Vec<u8>,
    /// Pages written since the last sync, by their numbers.
    dirty: BTreeSet<usize>,
}

impl File {
    /// Writes over what is there, and behind its end.
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[at..end].copy_from_slice(bytes);
        self.dirty.extend(at / PAGE_BYTES..end.div_ceil(PAGE_BYTES));
    }

    fn flip(&mut self, at: usize, mask: u8) {
        for bytes in [&mut self.bytes, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= mask;
            }
        }
    }

    fn sync(&mut self) {
        self.durable.resize(self.bytes.len(), 0);
        for page in std::mem::take(&mut self.dirty) {
            let range = page * PAGE_BYTES..((page + 1) * PAGE_BYTES).min(self.bytes.len());
            self.durable[range.clone()].copy_from_slice(&self.bytes[range]);
        }
    }
}

#[derive(Default)]
struct State {
    files: BTreeMap<FileId, File>,
    next_file: FileId,
    /// Names as the process sees them.
    names: BTreeMap<String, FileId>,
    /// Names on the platter.
    durable_names: BTreeMap<String, FileId>,
    /// Changes of names since the directory was synced last.
    pending: BTreeMap<String, Vec<NameChange>>,
    directories: BTreeSet<String>,
    locked: bool,
    /// Handles of earlier lives are refused.
    life: u64,
    bytes_left: Option<u64>,
    /// Writes that were refused since there was no room.
    refused: u64,
    /// Syncs of files that still succeed; the next one fails.
    syncs_left: Option<u64>,
    operations: u64,
    /// The longest that a sync takes, if the disk is slow.
    slowest_sync: Option<Duration>,
    /// What was done since it was last looked takes so long.
    taken: Duration,
    /// Simulated time at which it has done everything.
    done_at: Duration,
}

/// What was on the platter of a disk at some moment.
pub struct Image {
    files: BTreeMap<FileId, Vec<u8>>,
    names: BTreeMap<String, FileId>,
    directories: BTreeSet<String>,
}

/// A disk that several lives of a node use in turn.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    random: Random,
    /// How long it takes.
    speed: Random,
    life: u64,
}

fn directory_of(path: &str) -> String {
    path.rsplit_once('/').map_or_else(String::new, |(directory, _)| directory.to_owned())
}

fn not_found(path: &str) -> io::Error {
    io::Error::new(ErrorKind::NotFound, path.to_owned())
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(random: Random) -> Self {
        let speed = random.split("speed");
        Self { state: Arc::default(), random, speed, life: 0 }
    }

    /// The disk for the next life of the node: handles of earlier lives fail from now on.
    #[must_use]
    pub fn next_life(&self) -> Self {
        let mut state = self.state.lock();
        state.life += 1;
        state.locked = false;
        Self { state: Arc::clone(&self.state), life: state.life, ..self.clone() }
    }

    /// Refuses all handles at once, as a dead machine does.
    pub fn fence(&self) {
        self.state.lock().life += 1;
    }

    /// Limits the bytes that can still be written; `None` for no limit.
    pub fn limit_space(&self, bytes: Option<u64>) {
        self.state.lock().bytes_left = bytes;
    }

    /// Writes that were refused since there was no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.state.lock().refused
    }

    /// Lets a sync of a file fail behind `count` that succeed; `None` for none.
    pub fn fail_sync_after(&self, count: Option<u64>) {
        self.state.lock().syncs_left = count;
    }

    /// Makes the disk slow: a sync takes so long at most, anything else a tenth of that. `None` for one that needs no time.
    pub fn slow_down(&self, slowest_sync: Option<Duration>) {
        self.state.lock().slowest_sync = slowest_sync;
    }

    /// Operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// Flips a bit of a random synced byte of a file whose name ends so. The name, if there is one.
    pub fn rot(&self, suffix: &str) -> Option<String> {
        self.rot_by(suffix, &self.random).map(|(name, ..)| name)
    }

    /// As [`Self::rot`], as `random` says. Returns where as well, and the mask of the bit.
    pub fn rot_by(&self, suffix: &str, random: &Random) -> Option<(String, usize, u8)> {
        let mut state = self.state.lock();
        let names: Vec<(String, FileId)> = state
            .names
            .iter()
            .filter(|(name, _)| name.ends_with(suffix) && !LINKS.iter().any(|links| name.starts_with(links)))
            .map(|(name, file)| (name.clone(), *file))
            .collect();
        let (name, file) = names.get(usize::try_from(random.below(names.len().max(1) as u64)).ok()?)?.clone();
        let file = state.files.get_mut(&file)?;
        if file.bytes.is_empty() {
            return None;
        }
        let at = random.below(file.bytes.len() as u64) as usize;
        let mask = 1 << random.below(8);
        file.flip(at, mask);
        Some((name, at, mask))
    }

    /// True if there is a file of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.state.lock().names.contains_key(name)
    }

    /// Flips bits of a byte of a file.
    pub fn flip(&self, name: &str, at: usize, mask: u8) {
        let mut state = self.state.lock();
        if let Some(id) = state.names.get(name).copied()
            && let Some(file) = state.files.get_mut(&id)
        {
            file.flip(at, mask);
        }
    }

    /// Cuts the power.
    pub fn power_cut(&self) {
        self.power_cut_by(&self.random);
    }

    /// Puts an empty disk in its place.
    pub fn lose_all(&self) {
        let mut state = self.state.lock();
        *state = State { life: state.life + 1, slowest_sync: state.slowest_sync, ..State::default() };
    }

    /// What is on the platter.
    #[must_use]
    pub fn image(&self) -> Image {
        let state = self.state.lock();
        let durable = |id: &FileId| state.files.get(id).map(|file| (*id, file.durable.clone()));
        Image {
            files: state.durable_names.values().filter_map(durable).collect(),
            names: state.durable_names.clone(),
            directories: state.directories.clone(),
        }
    }

    /// Puts the disk of a machine that is down back to what it was.
    pub fn put_back(&self, image: Image) {
        let Image { files, names, directories } = image;
        let mut state = self.state.lock();
        let file = |bytes: Vec<u8>| File { durable: bytes.clone(), bytes, dirty: BTreeSet::new() };
        *state = State {
            files: files.into_iter().map(|(id, bytes)| (id, file(bytes))).collect(),
            next_file: state.next_file,
            durable_names: names.clone(),
            names,
            directories,
            life: state.life + 1,
            slowest_sync: state.slowest_sync,
            ..State::default()
        };
    }

    /// Cuts the power; `random` says what is lost.
    pub fn power_cut_by(&self, random: &Random) {
        let mut state = self.state.lock();
        state.life += 1;
        state.locked = false;
        let pending = std::mem::take(&mut state.pending);
        for changes in pending.into_values() {
            let kept = random.below(changes.len() as u64 + 1) as usize;
            for change in changes.into_iter().take(kept) {
                apply(&mut state.durable_names, change);
            }
        }
        state.names = state.durable_names.clone();
        let named: Vec<FileId> = state.names.values().copied().collect();
        state.files.retain(|id, _| named.contains(id));
        for file in state.files.values_mut() {
            lose_unsynced(file, random);
        }
    }

    fn alive(&self) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        if state.life != self.life {
            return Err(io::Error::other("the machine is down"));
        }
        state.operations += 1;
        if let Some(slowest) = state.slowest_sync {
            state.taken += self.part_of(slowest / 10);
        }
        Ok(state)
    }

    /// A random part of a time, in whole milliseconds.
    fn part_of(&self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX - 1);
        Duration::from_millis(self.speed.below(most + 1))
    }
}

impl TakesTime for SimDisk {
    fn before(&self) -> Duration {
        let mut state = self.state.lock();
        let Some(slowest) = state.slowest_sync else {
            state.taken = Duration::ZERO;
            return Duration::ZERO;
        };
        let now = turmoil::sim_elapsed().unwrap_or_default();
        state.done_at.saturating_sub(now) + self.part_of(slowest / 2)
    }

    fn behind(&self) -> Duration {
        let mut state = self.state.lock();
        let now = turmoil::sim_elapsed().unwrap_or_default();
        let taken = std::mem::take(&mut state.taken);
        if taken.is_zero() {
            return taken;
        }
        state.done_at = state.done_at.max(now) + taken;
        state.done_at - now
    }
}

fn lose_unsynced(file: &mut File, random: &Random) {
    if file.dirty.is_empty() {
        return;
    }
    // The length itself is one of the things that may not have reached the platter.
    let grown = file.bytes.len() - file.durable.len();
    let kept = match random.below(3) {
        0 => 0,
        1 => grown,
        _ => random.below(grown as u64 + 1) as usize,
    };
    let before = file.durable.len();
    file.bytes.truncate(before + kept);
    file.durable.resize(before + kept, 0);
    for page in std::mem::take(&mut file.dirty) {
        let (from, to) = (page * PAGE_BYTES, ((page + 1) * PAGE_BYTES).min(file.bytes.len()));
        if from >= to || random.chance(0.7) {
            continue;
        }
        // The page as it was before; sometimes only from some sector on.
        let sectors = if random.chance(0.5) { 0 } else { random.below(8) as usize };
        let from = (from + sectors * SECTOR_BYTES).min(to);
        file.bytes[from..to].copy_from_slice(&file.durable[from..to]);
    }
    file.durable.clone_from(&file.bytes);
}

fn apply(names: &mut BTreeMap<String, FileId>, change: NameChange) {
    match change {
        NameChange::Link(name, file) => {
            names.insert(name, file);
        }
        NameChange::Unlink(name) => {
            names.remove(&name);
        }
    }
}

impl State {
    fn change(&mut self, change: NameChange) {
        let (NameChange::Link(name, _) | NameChange::Unlink(name)) = &change;
        self.pending.entry(directory_of(name)).or_default().push(change.clone());
        apply(&mut self.names, change);
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskWriter>> {
        let mut state = self.alive()?;
        if state.names.contains_key(path) {
            return Err(io::Error::new(ErrorKind::AlreadyExists, path.to_owned()));
        }
        let id = state.next_file;
        state.next_file += 1;
        state.files.insert(id, File::default());
        state.change(NameChange::Link(path.to_owned(), id));
        Ok(Arc::new(Handle { disk: self.clone(), id, at: AtomicUsize::new(0) }))
    }

    fn overwrite(&self, path: &str) -> io::Result<Arc<dyn DiskWriter>> {
        let state = self.alive()?;
        let id = *state.names.get(path).ok_or_else(|| not_found(path))?;
        Ok(Arc::new(Handle { disk: self.clone(), id, at: AtomicUsize::new(0) }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskReader>> {
        let state = self.alive()?;
        let id = *state.names.get(path).ok_or_else(|| not_found(path))?;
        Ok(Arc::new(Handle { disk: self.clone(), id, at: AtomicUsize::new(0) }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.alive()?;
        let id = *state.names.get(from).ok_or_else(|| not_found(from))?;
        // Within one directory a rename is atomic: both names change in one step.
        let directory = directory_of(to);
        state.names.remove(from);
        state.names.insert(to.to_owned(), id);
        let pending = state.pending.entry(directory).or_default();
        pending.push(NameChange::Link(to.to_owned(), id));
        pending.push(NameChange::Unlink(from.to_owned()));
        Ok(())
    }

    fn hard_link(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.alive()?;
        let id = *state.names.get(from).ok_or_else(|| not_found(from))?;
        if state.names.contains_key(to) {
            return Err(io::Error::new(ErrorKind::AlreadyExists, to.to_owned()));
        }
        state.change(NameChange::Link(to.to_owned(), id));
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.alive()?;
        if !state.names.contains_key(path) {
            return Err(not_found(path));
        }
        state.change(NameChange::Unlink(path.to_owned()));
        Ok(())
    }

    fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        let mut state = self.alive()?;
        let prefix = format!("{path}/");
        let inside: Vec<String> =
            state.names.keys().filter(|name| name.starts_with(&prefix)).cloned().collect();
        for name in inside {
            state.change(NameChange::Unlink(name));
        }
        state.directories.retain(|directory| directory != path && !directory.starts_with(&prefix));
        Ok(())
    }

    fn create_dir_all(&self, path: &str) -> io::Result<()> {
        let mut state = self.alive()?;
        let mut directory = path;
        while !directory.is_empty() {
            state.directories.insert(directory.to_owned());
            directory = directory.rsplit_once('/').map_or("", |(above, _)| above);
        }
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let state = self.alive()?;
        let inside = |name: &str| {
            let rest = if path.is_empty() { name } else { name.strip_prefix(path)?.strip_prefix('/')? };
            (!rest.is_empty() && !rest.contains('/')).then(|| rest.to_owned())
        };
        let mut names: Vec<String> = state.names.keys().filter_map(|name| inside(name)).collect();
        names.extend(state.directories.iter().filter_map(|name| inside(name)).map(|name| name + "/"));
        names.sort_unstable();
        Ok(names)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        let mut state = self.alive()?;
        for change in state.pending.remove(path).unwrap_or_default() {
            apply(&mut state.durable_names, change);
        }
        Ok(())
    }

    fn lock(&self, _: &str) -> io::Result<Box<dyn Send + Sync>> {
        let mut state = self.alive()?;
        if std::mem::replace(&mut state.locked, true) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Lock { state: Arc::clone(&self.state), life: self.life }))
    }

    fn available_bytes(&self) -> io::Result<u64> {
        Ok(self.alive()?.bytes_left.unwrap_or(1 << 40))
    }
}

/// Holds the directory's lock.
struct Lock {
    state: Arc<Mutex<State>>,
    life: u64,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        // A life that has ended holds nothing.
        if state.life == self.life {
            state.locked = false;
        }
    }
}

struct Handle {
    disk: SimDisk,
    id: FileId,
    /// Where the next append goes.
    at: AtomicUsize,
}

impl Handle {
    fn with_file<T>(&self, work: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.alive()?;
        match state.files.get_mut(&self.id) {
            Some(file) => work(file),
            None => Err(io::Error::other("the file is gone")),
        }
    }
}

impl DiskWriter for Handle {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.alive()?;
        let at = self.at.load(Relaxed);
        let length = state.files.get(&self.id).map_or(0, |file| file.bytes.len());
        let grown = (at + bytes.len()).saturating_sub(length);
        let mut taken = bytes;
        if let Some(left) = &mut state.bytes_left {
            let room = grown.min(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= room as u64;
            taken = &bytes[..bytes.len() - (grown - room)];
        }
        if let Some(file) = state.files.get_mut(&self.id) {
            file.write(at, taken);
        }
        self.at.store(at + taken.len(), Relaxed);
        if taken.len() == bytes.len() {
            return Ok(());
        }
        state.refused += 1;
        Err(ErrorKind::StorageFull.into())
    }

    fn sync(&self) -> io::Result<()> {
        {
            let mut state = self.disk.state.lock();
            if let Some(left) = &mut state.syncs_left {
                let Some(fewer) = left.checked_sub(1) else {
                    state.syncs_left = None;
                    return Err(io::Error::other("the disk did not take what it was given"));
                };
                *left = fewer;
            }
        }
        self.with_file(|file| {
            file.sync();
            Ok(())
        })?;
        let mut state = self.disk.state.lock();
        if let Some(slowest) = state.slowest_sync {
            state.taken += self.disk.part_of(slowest);
        }
        Ok(())
    }
}

impl DiskReader for Handle {
    fn len(&self) -> io::Result<u64> {
        self.with_file(|file| Ok(file.bytes.len() as u64))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.with_file(|file| {
            let start = usize::try_from(offset).map_err(io::Error::other)?;
            let found = file.bytes.get(start..start + buffer.len()).ok_or(ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(found);
            Ok(())
        })
    }

    fn try_read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        if self.disk.random.chance(0.2) {
            return Ok(false);
        }
        self.read_at(offset, buffer).map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_is_not_given_to_another_file() {
        let disk = SimDisk::new(Random::from_seed(1)).next_life();
        for name in ["one", "other"] {
            disk.create(name).unwrap().append(name.as_bytes()).unwrap();
        }
        let taken = [disk.create("other").map(drop), disk.hard_link("one", "other")];
        for refused in taken {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::AlreadyExists);
        }
        assert_eq!(disk.read("other").unwrap(), b"other");
        disk.hard_link("one", "second name").unwrap();
        disk.rename("second name", "other").unwrap();
        assert_eq!(disk.read("other").unwrap(), b"one");
    }

    #[test]
    fn synced_bytes_and_names_survive_a_power_cut_and_others_may_not() {
        let mut lost = 0;
        for seed in 0..50 {
            let first = SimDisk::new(Random::from_seed(seed)).next_life();
            let safe = first.create("a/safe").unwrap();
            safe.append(b"synced").unwrap();
            safe.sync().unwrap();
            first.sync_dir("a").unwrap();
            safe.append(b" not synced").unwrap();
            first.create("a/unsynced name").unwrap().sync().unwrap();
            first.power_cut();
            assert!(safe.append(b"x").is_err(), "a handle of an earlier life");
            let second = first.next_life();
            assert!(second.read("a/safe").unwrap().starts_with(b"synced"));
            lost += usize::from(second.open("a/unsynced name").is_err());
        }
        assert!((5..45).contains(&lost), "lost {lost} of 50");
    }
}
