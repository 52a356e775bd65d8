use super::*;
use dodona_env::{Clock, Disk, DiskReader};
use dodona_types::{MutationBuilder, TableId};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::Duration;

const TABLE: TableId = TableId(Uuid::from_u128(7));
const TARGET: Uuid = Uuid::from_u128(2);
const OTHER: Uuid = Uuid::from_u128(3);

/// A clock that is set.
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn mono(&self) -> Duration {
        Duration::from_secs(self.0.load(Relaxed).cast_unsigned())
    }

    fn wall_micros(&self) -> i64 {
        self.0.load(Relaxed) * 1_000_000
    }
}

fn open_with(folder: &Path, settings: HintSettings) -> (Hints, Arc<SetClock>) {
    let clock = Arc::new(SetClock(AtomicI64::new(1_700_000_000)));
    let env = Env { clock: clock.clone(), ..dodona_env::os::env(folder).unwrap() };
    (Hints::open(env, settings, lookup()).unwrap(), clock)
}

fn lookup() -> Lookup {
    Lookup {
        gc_grace: Arc::new(|table| (table == TABLE).then_some(864_000)),
        data_center: Arc::new(|host| (host == TARGET).then(|| "far".into())),
    }
}

fn open(folder: &Path) -> Hints {
    open_with(folder, HintSettings::default()).0
}

fn mutation(table: TableId, key: &[u8]) -> Vec<u8> {
    let mut builder = MutationBuilder::new();
    builder.begin(table, 1, key);
    builder.view().bytes().to_vec()
}

fn files(hints: &Hints) -> Vec<String> {
    hints.inner.env.disk.list(FOLDER).unwrap()
}

#[test]
fn hints_outlast_a_restart_once_they_are_synced() {
    let folder = tempfile::tempdir().unwrap();
    let hints = open(folder.path());
    assert!(hints.write(TARGET, &mutation(TABLE, b"a")) && hints.write(OTHER, &mutation(TABLE, b"b")));
    assert_eq!((hints.pending().len(), files(&hints).len()), (2, 0));
    hints.sync().unwrap();
    let before = hints.pending();
    assert_eq!((before[&TARGET].files, files(&hints).len()), (1, 2));
    assert!(hints.write(TARGET, &mutation(TABLE, b"lost by the crash")));
    let again = open(folder.path());
    assert_eq!(again.pending(), before);
    assert!(again.write(TARGET, &mutation(TABLE, b"c")));
    again.sync().unwrap();
    assert_eq!(again.pending()[&TARGET].files, 2);
}

#[test]
fn what_is_past_a_bound_is_refused_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let settings = HintSettings {
        max_bytes_per_target: 600,
        max_bytes: 1_000,
        max_buffered_bytes: 500,
        ..HintSettings::default()
    };
    let (hints, _) = open_with(folder.path(), settings);
    let bytes = mutation(TABLE, &[1; 100]);
    let kept = |target| (0..9).filter(|_| hints.write(target, &bytes)).count();
    assert_eq!(format::hint_bytes(bytes.len()), 148);
    assert_eq!(kept(TARGET), 3);
    hints.sync().unwrap();
    assert_eq!((kept(TARGET), kept(OTHER)), (0, 3));
    hints.sync().unwrap();
    assert_eq!((hints.pending()[&TARGET].bytes, kept(OTHER)), (3 * 148 + 38, 0));
    hints.forget(TARGET);
    assert_eq!(kept(TARGET), 3);
    assert_eq!(hints.counts(), Counts { written: 9, refused: 36, ..Counts::default() });
}

#[test]
fn none_is_kept_for_a_target_whose_oldest_hint_is_older_than_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let (hints, clock) = open_with(folder.path(), HintSettings::default());
    assert!(hints.write(TARGET, &mutation(TABLE, b"a")));
    clock.0.fetch_add(3 * 3_600, Relaxed);
    hints.sync().unwrap();
    assert!(hints.write(TARGET, &mutation(TABLE, b"b")));
    clock.0.fetch_add(1, Relaxed);
    assert!(!hints.write(TARGET, &mutation(TABLE, b"c")));
    assert!(hints.write(OTHER, &mutation(TABLE, b"c")));
    hints.switches().set_max_window(Duration::from_secs(4 * 3_600));
    assert!(hints.write(TARGET, &mutation(TABLE, b"d")));
    hints.switches().set_max_window(Duration::ZERO);
    assert!(!hints.write(Uuid::from_u128(4), &mutation(TABLE, b"d")));
}

#[test]
fn none_is_kept_where_operators_want_none() {
    let folder = tempfile::tempdir().unwrap();
    let hints = open(folder.path());
    let kept = || [TARGET, OTHER].map(|target| hints.write(target, &mutation(TABLE, b"a")));
    assert_eq!(kept(), [true, true]);
    hints.switches().enable_data_center("far", false);
    assert_eq!(kept(), [false, true], "only of the data centre");
    hints.switches().enable(false);
    assert_eq!(kept(), [false, false]);
    hints.switches().enable_data_center("far", true);
    assert_eq!(kept(), [false, false]);
    hints.switches().enable(true);
    assert_eq!(kept(), [true, true]);
    let settings = HintSettings { disabled_data_centers: ["far".into()].into(), ..HintSettings::default() };
    assert!(!open_with(folder.path(), settings).0.write(TARGET, &mutation(TABLE, b"a")));
    let settings = HintSettings { enabled: false, ..HintSettings::default() };
    assert!(!open_with(folder.path(), settings).0.write(OTHER, &mutation(TABLE, b"a")));
}

#[test]
fn dropped_tables_and_what_is_no_mutation_get_no_hints() {
    let folder = tempfile::tempdir().unwrap();
    let hints = open(folder.path());
    assert!(!hints.write(TARGET, &mutation(TableId(Uuid::from_u128(8)), b"a")));
    assert!(!hints.write(TARGET, b"hello"));
}

#[test]
fn the_files_of_a_forgotten_member_go_with_the_next_sync() {
    let folder = tempfile::tempdir().unwrap();
    let hints = open(folder.path());
    assert!(hints.write(TARGET, &mutation(TABLE, b"a")) && hints.write(OTHER, &mutation(TABLE, b"b")));
    hints.sync().unwrap();
    hints.forget(TARGET);
    assert_eq!(hints.pending().keys().collect::<Vec<_>>(), [&OTHER]);
    // Whatever comes for it nevertheless goes to another file.
    assert!(hints.write(TARGET, &mutation(TABLE, b"c")));
    hints.sync().unwrap();
    assert_eq!(files(&hints), [format!("{TARGET}.0000000002.hints"), format!("{OTHER}.0000000001.hints")]);
    assert_eq!(open(folder.path()).pending(), hints.pending());
}

#[test]
fn long_files_are_not_added_to() {
    let folder = tempfile::tempdir().unwrap();
    let (hints, _) = open_with(folder.path(), HintSettings { file_bytes: 300, ..HintSettings::default() });
    for _ in 0..6 {
        assert!(hints.write(TARGET, &mutation(TABLE, &[1; 100])));
        hints.sync().unwrap();
    }
    assert_eq!(hints.pending()[&TARGET].files, 3);
}

#[test]
fn a_start_sorts_out_headers_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let hints = open(folder.path());
    let disk = &hints.inner.env.disk;
    let header = Header { target: TARGET, created_seconds: 1 }.encode();
    let mut damaged = header.clone();
    damaged[20] ^= 1;
    disk.replace(&format!("{FOLDER}/x.5.hints"), &damaged).unwrap();
    disk.replace(&format!("{FOLDER}/x.6.hints"), &header[..9]).unwrap();
    disk.replace(&format!("{FOLDER}/README"), b"not ours").unwrap();
    let again = open(folder.path());
    assert_eq!((again.pending(), again.counts().damaged_files), (BTreeMap::new(), 1));
    again.sync().unwrap();
    assert_eq!(files(&again), ["README", "x.5.hints.damaged"]);
    let mut newer = header.clone();
    newer[8] = 9;
    disk.replace(&format!("{FOLDER}/x.7.hints"), &newer).unwrap();
    let env = dodona_env::os::env(folder.path()).unwrap();
    let error = Hints::open(env, HintSettings::default(), lookup()).err().unwrap();
    assert!(error.to_string().contains("x.7.hints has format version 9"), "{error}");
}

/// A disk that is full while its flag is set; a part of what is appended lands on it all the same.
struct FullDisk(Arc<dyn Disk>, Arc<AtomicBool>);

struct FullWriter(Arc<dyn DiskWriter>, Arc<AtomicBool>);

impl DiskWriter for FullWriter {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        if self.1.load(Relaxed) {
            self.0.append(&bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Disk for FullDisk {
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskWriter>> {
        Ok(Arc::new(FullWriter(self.0.create(path)?, Arc::clone(&self.1))))
    }

    fn overwrite(&self, path: &str) -> io::Result<Arc<dyn DiskWriter>> {
        self.0.overwrite(path)
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskReader>> {
        self.0.open(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn hard_link(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.hard_link(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.0.remove(path)
    }

    fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        self.0.remove_dir_all(path)
    }

    fn create_dir_all(&self, path: &str) -> io::Result<()> {
        self.0.create_dir_all(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.0.list(path)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.0.sync_dir(path)
    }

    fn lock(&self, path: &str) -> io::Result<Box<dyn Send + Sync>> {
        self.0.lock(path)
    }

    fn available_bytes(&self) -> io::Result<u64> {
        self.0.available_bytes()
    }
}

/// All mutations of the files, in their order.
fn kept(hints: &Hints) -> Vec<Vec<u8>> {
    let read = |name: String| {
        let file = hints.inner.env.disk.open(&format!("{FOLDER}/{name}")).unwrap();
        let (hints, next) = format::read(&*file, HEADER_BYTES as u64, 1 << 20).unwrap();
        assert_eq!(next, format::Next::End);
        hints.into_iter().map(|hint| hint.mutation.into_owned())
    };
    files(hints).into_iter().flat_map(read).collect()
}

#[test]
fn what_a_full_disk_does_not_take_is_counted_and_later_hints_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let is_full = Arc::new(AtomicBool::new(false));
    let env = dodona_env::os::env(folder.path()).unwrap();
    let env = Env { disk: Arc::new(FullDisk(Arc::clone(&env.disk), Arc::clone(&is_full))), ..env };
    let hints = Hints::open(env, HintSettings::default(), lookup()).unwrap();
    let write = |key: &[u8]| assert!(hints.write(TARGET, &mutation(TABLE, key)));
    write(b"a");
    hints.sync().unwrap();
    is_full.store(true, Relaxed);
    for lost in [b"b", b"c"] {
        write(lost);
        assert!(hints.sync().is_err());
    }
    is_full.store(false, Relaxed);
    write(b"d");
    hints.sync().unwrap();
    assert_eq!(kept(&hints), [mutation(TABLE, b"a"), mutation(TABLE, b"d")]);
    assert_eq!((hints.counts().lost, hints.pending()[&TARGET].files), (2, 2));
    let again = open(folder.path());
    assert_eq!(again.pending()[&TARGET].files, 2);
}
