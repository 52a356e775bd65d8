//! Removes partitions that a node does not hold any more.

use super::Engine;
use super::compact::Extra;
use crate::compaction::Choice;
use crate::error::Result;
use crate::sstable::cursor::SstableSource;
use crate::sstable::reader::Access;
use crate::sstable::{Sstable, SstableId};
use crate::table::{Pause, TableStore};
use dodona_types::read_command::RangeBound;
use dodona_types::token::TokenRange;
use dodona_types::{TableId, Token};
use std::sync::Arc;

/// What came of a cleanup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanedUp {
    /// Files that were removed or written anew.
    pub files: usize,
    /// Bytes by which the table has become smaller on disk.
    pub bytes: u64,
}

impl Engine {
    /// Brings what a table has in memory to files, and tells which files it has then.
    ///
    /// # Errors
    /// A file could not be written, or the engine does not know the table.
    pub fn files_to_clean_up(&self, table: TableId) -> Result<Vec<SstableId>> {
        self.flush(table)?;
        let view = self.store(table)?.view.load_full();
        Ok(view.sstables.iter().map(|sstable| sstable.id()).collect())
    }

    /// Removes from these files, as far as they still are there, the partitions that lie in none of the
    /// ranges `keep`, which are disjoint and in order (the first may wrap). Files that hold nothing else go as they are. Compactions of the table that are
    /// under way end without effect.
    ///
    /// # Errors
    /// A file could not be read or written, there is no space, or someone stopped it.
    pub fn clean_up(&self, table: TableId, files: &[SstableId], keep: &[TokenRange]) -> Result<CleanedUp> {
        let store = self.store(table)?;
        let _pause = Pause::new(&store);
        self.stop_compactions_of(&store);
        let keep: Arc<[TokenRange]> = keep.into();
        let mut cleaned = CleanedUp::default();
        for file in self.free_files(&store).into_iter().filter(|file| files.contains(&file.id)) {
            let choice = match share_of(&keep, file.tokens) {
                Share::All => continue,
                Share::None => Choice::expired(vec![file.id]),
                Share::Some if !self.has_others(&store, file.id, &keep)? => continue,
                Share::Some => {
                    let split = store.settings.load().compaction.split_of_one(&file);
                    Choice { split, ..Choice::tombstones(&file) }
                }
            };
            let before = self.table_statistics(table)?.disk_bytes;
            if let Some(claimed) = self.claim(&store, choice)
                && let Some(compaction) = self.begin_claimed(claimed, Extra::Keep(Arc::clone(&keep)))?
            {
                self.run_compaction(compaction)?;
                cleaned.files += 1;
                cleaned.bytes += before.saturating_sub(self.table_statistics(table)?.disk_bytes);
            }
        }
        Ok(cleaned)
    }

    /// True if a file of the table has a partition between these ranges.
    fn has_others(&self, store: &TableStore, file: SstableId, keep: &[TokenRange]) -> Result<bool> {
        let view = store.view.load_full();
        match view.sstables.iter().find(|sstable| sstable.id() == file) {
            Some(sstable) => holds_others(sstable, keep),
            None => Ok(false),
        }
    }
}

/// True if a file has a partition between these ranges.
pub(super) fn holds_others(sstable: &Arc<Sstable>, keep: &[TokenRange]) -> Result<bool> {
    let mut source = SstableSource::new(Arc::clone(sstable), Access::Uncached);
    let mut begins_in = |start: RangeBound, end: Token| -> Result<bool> {
        source.seek(&start)?;
        Ok(source.key().is_some_and(|key| key.token <= end))
    };
    for (before, behind) in keep.iter().zip(keep.iter().cycle().skip(1)) {
        let (start, end) = (before.end, behind.start);
        let behind_start = RangeBound::Token(start, false);
        let found = if start <= end {
            begins_in(behind_start, end)?
        } else {
            begins_in(behind_start, Token::MAX)? || begins_in(RangeBound::Unbounded, end)?
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// True if all partitions of a file lie in these ranges, which are as [`Engine::clean_up`] has them.
///
/// # Errors
/// The file could not be read.
pub(super) fn lies_within(sstable: &Arc<Sstable>, ranges: &[TokenRange]) -> Result<bool> {
    match share_of(ranges, sstable.summary().tokens()) {
        Share::All => Ok(true),
        Share::None => Ok(false),
        Share::Some => Ok(!holds_others(sstable, ranges)?),
    }
}

/// How much of a file lies in ranges.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Share {
    All,
    Some,
    None,
}

/// How much lies in ranges of a file with this first and last token.
pub(super) fn share_of(keep: &[TokenRange], (first, last): (Token, Token)) -> Share {
    let holds = |range: &TokenRange| {
        if range.start < range.end {
            range.start < first && last <= range.end
        } else {
            range.start < first || last <= range.end || range.start == range.end
        }
    };
    let meets = |range: &TokenRange| {
        if range.start < range.end {
            range.start < last && first <= range.end
        } else {
            range.start < last || first <= range.end || range.start == range.end
        }
    };
    if keep.iter().any(holds) {
        Share::All
    } else if keep.iter().any(meets) {
        Share::Some
    } else {
        Share::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine_tests::{Model, Step, TABLE, apply, open};
    use proptest::prelude::*;

    fn range() -> impl Strategy<Value = TokenRange> {
        (-9..9i64, -9..9i64).prop_map(|(start, end)| TokenRange { start: Token(start), end: Token(end) })
    }

    proptest! {
        #[test]
        fn a_file_goes_or_stays_as_it_is_only_if_all_its_tokens_do(
            keep in prop::collection::vec(range(), 0..4),
            first in -9..9i64,
            length in 0..9i64,
        ) {
            let kept = |token: i64| keep.iter().any(|range| range.contains(Token(token)));
            let mut tokens = first..=first + length;
            match share_of(&keep, (Token(first), Token(first + length))) {
                Share::All => prop_assert!(tokens.all(kept)),
                Share::None => prop_assert!(!tokens.any(kept)),
                Share::Some => prop_assert!(tokens.any(kept)),
            }
        }
    }

    #[test]
    fn what_lies_elsewhere_goes_and_the_rest_stays() {
        let directory = tempfile::tempdir().unwrap();
        let engine = open(directory.path());
        let mut model = Model::default();
        for key in 0..40 {
            apply(&engine, &mut model, &Step::Put { key, row: 1, timestamp: 5, value: key });
        }
        let token = |key: u8| Token::of_key(&crate::engine_tests::key(key));
        let mut tokens: Vec<Token> = (0..40).map(token).collect();
        tokens.sort_unstable();
        // All but the ten behind the fifth, as one range that wraps.
        let keep = TokenRange { start: tokens[14], end: tokens[4] };
        let files = engine.files_to_clean_up(TABLE).unwrap();
        assert_eq!(engine.table_statistics(TABLE).unwrap().rows, 40);
        assert_eq!(engine.clean_up(TABLE, &files, &[TokenRange::FULL]).unwrap(), CleanedUp::default());
        let cleaned = engine.clean_up(TABLE, &files, &[keep]).unwrap();
        assert!(cleaned.files == 1 && cleaned.bytes > 0, "{cleaned:?}");
        assert_eq!(engine.table_statistics(TABLE).unwrap().rows, 30);
        let again = engine.files_to_clean_up(TABLE).unwrap();
        assert_eq!(engine.clean_up(TABLE, &again, &[keep]).unwrap(), CleanedUp::default());
        let (before, behind) =
            (TokenRange { start: tokens[14], ..keep }, TokenRange { end: tokens[4], ..keep });
        let halves = [TokenRange { start: tokens[39], ..behind }, TokenRange { end: tokens[39], ..before }];
        assert_eq!(engine.clean_up(TABLE, &again, &halves).unwrap(), CleanedUp::default());
        // What was written since is not touched, and a file of others goes whole.
        assert_eq!(engine.clean_up(TABLE, &files, &[]).unwrap(), CleanedUp::default());
        let files = engine.files_to_clean_up(TABLE).unwrap();
        assert_eq!(engine.clean_up(TABLE, &files, &[]).unwrap().files, 1);
        assert_eq!(engine.table_statistics(TABLE).unwrap().rows, 0);
        assert_eq!(engine.files(TABLE).unwrap(), []);
    }
}
