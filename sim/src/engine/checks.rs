//! What is compared with the model, and what is asked of files.

use super::model::SeenPartition;
use super::reads::{self, Way};
use super::step::{End, Query};
use super::world::{JOURNAL, PARTITIONS, Stop, World};
use dodona_env::Random;
use dodona_storage::StorageError;
use dodona_storage::engine::snapshot::SnapshotRequest;

impl World {
    /// Compares a read with the model.
    ///
    /// # Errors
    /// They differ, or the engine refuses.
    pub fn judge(&mut self, query: &Query) -> Result<(), Stop> {
        let now = self.now();
        let expected = self.model.answer(query, PARTITIONS, now);
        if query.page_rows > 0 {
            let seen = reads::read_in_pages(self.engine()?, self.table(), query, &self.dropped_cells(), now);
            let seen = self.take("a read in pages", seen)?;
            self.compare(query, "in pages", seen.as_ref(), &expected)?;
            return Ok(());
        }
        let has_limits = query.limits != (0, 0);
        for way in [Way::Page, Way::Memory, Way::Replica] {
            if way == Way::Replica && has_limits {
                continue;
            }
            let seen = reads::read(self.engine()?, self.table(), query, &self.dropped_cells(), now, way);
            let seen = self.take("a read", seen)?.flatten();
            self.compare(query, &format!("{way:?}"), seen.as_ref(), &expected)?;
        }
        Ok(())
    }

    pub(super) fn compare(
        &mut self,
        query: &Query,
        way: &str,
        seen: Option<&Vec<SeenPartition>>,
        expected: &[SeenPartition],
    ) -> Result<(), Stop> {
        let Some(seen) = seen else { return Ok(()) };
        self.judged += 1;
        self.trace.note(&format!("{seen:?}"));
        if seen == expected {
            return Ok(());
        }
        Err(Stop::Violation(format!("{query:?} ({way}) shows {seen:?}, but was to show {expected:?}")))
    }

    /// Takes a snapshot, and checks that it holds the table's files.
    ///
    /// # Errors
    /// As [`Self::take`]; a file is missing.
    pub fn snapshot(&mut self) -> Result<(), Stop> {
        self.snapshots += 1;
        let name = format!("s{}", self.snapshots);
        let request = SnapshotRequest {
            name: &name,
            created_at: "2026-01-01T00:00:00Z",
            expires_at: None,
            schema: "",
            skip_flush: false,
        };
        let taken = self.engine()?.snapshot(self.table(), request);
        if let Some(files) = self.take("a snapshot", taken)? {
            self.promise_flushed();
            let count = self.engine()?.files(self.table()).map_or(0, |files| files.len());
            if files != count {
                return Err(Stop::Violation(format!("a snapshot has {files} files of {count}")));
            }
        }
        Ok(())
    }

    /// Flips a bit of a file: reads name the file or are right, and `verify` finds it.
    ///
    /// # Errors
    /// Something else was read.
    pub fn rot(&mut self, seed: u64, queries: &[Query]) -> Result<(), Stop> {
        let Some((path, at, mask)) = self.life_disk.rot_by(".sst", &Random::from_seed(seed)) else {
            return Ok(());
        };
        let now = self.now();
        for query in queries {
            let expected = self.model.answer(query, PARTITIONS, now);
            match reads::read(self.engine()?, self.table(), query, &self.dropped_cells(), now, Way::Page) {
                Err(StorageError::Corrupt { path: named, .. }) if named == path => {}
                seen => {
                    let seen = self.take("a read of a damaged file", seen)?.flatten();
                    self.compare(query, "with a damaged file", seen.as_ref(), &expected)?;
                }
            }
        }
        for table in [JOURNAL, self.table()] {
            let is_used =
                self.engine()?.files(table).is_ok_and(|files| files.iter().any(|(file, _)| *file == path));
            let verified = self.engine()?.verify(table);
            let damages = self.take("verify", verified)?.unwrap_or_default();
            let is_found = damages.iter().any(|damage| {
                damage.path == path && (damage.offset..damage.offset + damage.bytes).contains(&(at as u64))
            });
            if is_used != is_found || (!is_used && !damages.is_empty()) {
                let wrong =
                    format!("byte {at} of {path} is damaged, in use: {is_used}; verify says {damages:?}");
                return Err(Stop::Violation(wrong));
            }
        }
        self.life_disk.flip(&path, at, mask);
        Ok(())
    }

    /// No file is left of anything that is over.
    ///
    /// # Errors
    /// The file.
    pub fn no_leftovers(&mut self) -> Result<(), Stop> {
        let engine = self.engine()?;
        let used = engine.files(self.table()).unwrap_or_default();
        let directory = format!("tables/{}", self.table());
        let names = dodona_env::Disk::list(&self.life_disk, &directory).unwrap_or_default();
        for name in names {
            let path = format!("{directory}/{name}");
            if !used.iter().any(|(file, _)| *file == path) {
                return Err(Stop::Violation(format!("{path} is left and belongs to nothing")));
            }
        }
        Ok(())
    }

    /// Damages a file of the table and scrubs it. What is left must be sound: all of it, if no data
    /// was hit; nothing that nobody wrote in any case. True if something may be lost.
    ///
    /// # Errors
    /// Something else is read; the table is still damaged.
    pub fn scrub(&mut self, seed: u64) -> Result<bool, Stop> {
        if self.sync_may_fail {
            // Whether the rebuilt file counts would then be open.
            return Ok(false);
        }
        let suffix = {
            let files = self.engine()?.files(self.table()).unwrap_or_default();
            let random = Random::from_seed(seed);
            let Some((path, _)) = files.get(random.below(files.len().max(1) as u64) as usize) else {
                return Ok(false);
            };
            path.clone()
        };
        // Without space the scrub cannot be done, and the damage would stay.
        self.limit_space(None);
        let Some((path, at, mask)) = self.life_disk.rot_by(&suffix, &Random::from_seed(seed)) else {
            return Ok(false);
        };
        self.has_damage = true;
        let scrubbed = match self.engine()?.scrub(self.table(), &format!("scrub{seed}")) {
            Ok(scrubbed) => scrubbed,
            Err(error) => {
                self.life_disk.flip(&path, at, mask);
                return self.take("a scrub", Err::<bool, _>(error)).map(Option::unwrap_or_default);
            }
        };
        let lost: usize = scrubbed.rebuilt.iter().map(|(_, salvaged)| salvaged.lost.len()).sum();
        if scrubbed.rebuilt.len() != 1 {
            return Err(Stop::Violation(format!(
                "byte {at} of {path} is damaged; a scrub says {scrubbed:?}"
            )));
        }
        let verified = self.engine()?.verify(self.table());
        if let Some(damage) = self.take("verify", verified)?.and_then(|damages| damages.into_iter().next()) {
            return Err(Stop::Violation(format!("behind a scrub verify finds {damage:?}")));
        }
        let now = self.now();
        let all = Query::all(None, false);
        let seen = reads::read(self.engine()?, self.table(), &all, &self.dropped_cells(), now, Way::Page);
        let seen = self.take("a read behind a scrub", seen)?.flatten().unwrap_or_default();
        if lost == 0 {
            let expected = self.model.answer(&all, PARTITIONS, now);
            self.compare(&all, "behind a scrub that lost nothing", Some(&seen), &expected)?;
        }
        for (partition, statics, rows) in &seen {
            let rows = rows.iter().map(|(row, cells)| (Some(*row), cells)).chain([(None, statics)]);
            for (row, (place, value)) in
                rows.flat_map(|(row, cells)| cells.iter().map(move |cell| (row, *cell)))
            {
                if !self.model.was_written(*partition, row, place, value) {
                    let what = format!("{place:?} of row {row:?} of partition {partition} shows {value}");
                    return Err(Stop::Violation(format!("behind a scrub {what}, which nobody wrote")));
                }
            }
        }
        Ok(true)
    }

    /// Flips a bit between two lives. The next one starts: it makes anew what it reads of files.
    ///
    /// # Errors
    /// It does not start, or something is lost.
    pub fn rot_at_rest(&mut self, seed: u64) -> Result<(), Stop> {
        self.has_damage = true;
        self.rotten = self.life_disk.rot_by(".sst", &Random::from_seed(seed));
        self.restart(End::Kill)
    }
}
