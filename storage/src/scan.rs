//! Merged reading: memtables and SSTables as one sorted stream of partitions, rows and markers.

use crate::error::{Result, StorageError};
use crate::item::Item;
use crate::source::Source;
use dodona_types::merge::{self, merge_deletions};
use dodona_types::row::RowView;
use dodona_types::{ClusteringSlice, Deletion, KeyRef, Token};
use std::cmp::Ordering;

/// A row or marker of the merged stream.
#[derive(Clone, Copy, Debug)]
pub enum Merged<'a> {
    /// A row, without what any deletion covers.
    Row(&'a [u8], &'a [u8]),
    /// From here on (in the direction of the read) this range deletion is in force.
    Marker(&'a [u8], Deletion),
}

/// What a scan came to: its position and deletion say the rest.
enum Step {
    Marker,
    Row(Lies),
}

/// Where the present row lies.
#[derive(Clone, Copy)]
enum Lies {
    /// In the only source that has it, as it is.
    InSource,
    /// Merged, in the scan's buffer.
    InBuffer,
}

/// The rows of one partition, slice by slice in the direction of a read.
pub(crate) trait PartitionScan {
    /// Goes to a slice.
    fn seek_slice(&mut self, slice: &ClusteringSlice, reversed: bool) -> Result<()>;

    /// The slice's next row or marker.
    fn next_item(&mut self) -> Result<Option<Merged<'_>>>;
}

/// Sources merged: partitions in the order of the ring, each with its rows and markers in order.
pub struct MergedScan {
    sources: Vec<Source>,
    /// The token on which each source stands, none at its end.
    tokens: Vec<Option<Token>>,
    /// The sources that hold the present partition, with their open range deletions.
    members: Vec<(usize, Deletion)>,
    /// The present partition, if there is one.
    token: Option<Token>,
    key: Vec<u8>,
    deletion: Deletion,
    static_row: Option<Vec<u8>>,
    reversed: bool,
    /// Sources that stand on what was shown last.
    to_advance: Vec<usize>,
    /// The effective range deletion shown last.
    shown: Deletion,
    /// Rows and markers that may still be passed.
    steps_left: u64,
    merged: Vec<u8>,
    spare: Vec<u8>,
    position: Vec<u8>,
}

impl MergedScan {
    /// Merges sources, each standing on its first partition.
    #[must_use]
    pub fn new(sources: Vec<Source>) -> Self {
        Self {
            tokens: sources.iter().map(token_of).collect(),
            sources,
            members: Vec::new(),
            token: None,
            key: Vec::new(),
            deletion: Deletion::NONE,
            static_row: None,
            reversed: false,
            to_advance: Vec::new(),
            shown: Deletion::NONE,
            steps_left: u64::MAX,
            merged: Vec::new(),
            spare: Vec::new(),
            position: Vec::new(),
        }
    }

    /// Lets the scan pass so many rows and markers at most, shown or not, before it fails with
    /// [`StorageError::NeedsDisk`].
    #[must_use]
    pub const fn of_steps(mut self, steps: u64) -> Self {
        self.steps_left = steps;
        self
    }

    /// Moves to the next partition. False if there is none.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn next_partition(&mut self) -> Result<bool> {
        self.to_advance.clear();
        for (index, _) in self.members.drain(..) {
            self.sources[index].next_partition()?;
            self.tokens[index] = token_of(&self.sources[index]);
        }
        self.token = self.tokens.iter().flatten().min().copied();
        if self.token.is_none() {
            return Ok(false);
        }
        let at_token = self.tokens.iter().enumerate().filter(|(_, token)| **token == self.token);
        self.members.extend(at_token.map(|(index, _)| (index, Deletion::NONE)));
        if self.members.len() > 1 {
            // Several keys may have the token.
            let key = |index: usize| self.sources[index].key();
            let first = self.members.iter().filter_map(|(index, _)| key(*index)).min();
            self.members.retain(|(index, _)| key(*index) == first);
        }
        let members = self.members.iter().map(|(index, _)| self.sources[*index].deletion());
        self.deletion = members.fold(Deletion::NONE, merge_deletions);
        let Some(first) = self.members.first().and_then(|(index, _)| self.sources[*index].key()) else {
            return Ok(false);
        };
        self.key.clear();
        self.key.extend_from_slice(first.bytes);
        self.static_row = self.merge_static_rows()?;
        Ok(true)
    }

    fn merge_static_rows(&mut self) -> Result<Option<Vec<u8>>> {
        let mut merged: Option<Vec<u8>> = None;
        for (index, _) in &self.members {
            let Some(row) = self.sources[*index].static_row() else {
                continue;
            };
            merged = Some(match merged {
                None => row.to_vec(),
                Some(present) => {
                    let mut out = Vec::with_capacity(present.len() + row.len());
                    merge::merge_rows(&RowView::parse(&present)?, &RowView::parse(row)?, &mut out)?;
                    out
                }
            });
        }
        let Some(row) = merged else { return Ok(None) };
        if self.deletion.is_none() {
            return Ok(Some(row));
        }
        let mut out = Vec::with_capacity(row.len());
        merge::shadow_row(&RowView::parse(&row)?, self.deletion, &mut out)?;
        Ok((!RowView::parse(&out)?.is_empty()).then_some(out))
    }

    /// The key of the present partition.
    #[must_use]
    pub fn key(&self) -> Option<KeyRef<'_>> {
        self.token.map(|token| KeyRef { token, bytes: &self.key })
    }

    /// Gives away the key of the present partition, for a buffer: the scan does not know it any more.
    pub(crate) fn take_key(&mut self, buffer: &mut Vec<u8>) -> Option<Token> {
        let token = self.token.take()?;
        std::mem::swap(buffer, &mut self.key);
        Some(token)
    }

    /// The present partition's deletion.
    #[must_use]
    pub const fn deletion(&self) -> Deletion {
        self.deletion
    }

    /// The present partition's static row, without what the partition's deletion covers.
    #[must_use]
    pub fn static_row(&self) -> Option<&[u8]> {
        self.static_row.as_deref()
    }

    /// Goes to a slice of the present partition. Slices must be taken in the direction of the
    /// read. Returns the range deletion in force where it begins (in that direction).
    ///
    /// # Errors
    /// A file could not be read.
    pub fn seek_slice(&mut self, slice: &ClusteringSlice, reversed: bool) -> Result<Deletion> {
        self.to_advance.clear();
        self.reversed = reversed;
        for (index, open) in &mut self.members {
            let source = &mut self.sources[*index];
            source.seek_slice(slice, reversed)?;
            *open = source.open();
        }
        self.shown = self.effective();
        Ok(self.shown)
    }

    /// The strongest open range deletion, if it says more than the partition's deletion.
    fn effective(&self) -> Deletion {
        let strongest = self.members.iter().map(|(_, open)| *open).fold(Deletion::NONE, merge_deletions);
        if strongest > self.deletion { strongest } else { Deletion::NONE }
    }

    /// The slice's next row or marker.
    ///
    /// # Errors
    /// A file could not be read; a row is malformed.
    pub fn next_item(&mut self) -> Result<Option<Merged<'_>>> {
        Ok(match self.step()? {
            None => None,
            Some(Step::Marker) => Some(Merged::Marker(&self.position, self.shown)),
            Some(Step::Row(Lies::InBuffer)) => Some(Merged::Row(&self.position, &self.merged)),
            Some(Step::Row(Lies::InSource)) => {
                let (position, row) = self.first_row();
                Some(Merged::Row(position, row))
            }
        })
    }

    fn step(&mut self) -> Result<Option<Step>> {
        loop {
            for index in self.to_advance.drain(..) {
                self.sources[index].advance()?;
            }
            self.steps_left = self.steps_left.checked_sub(1).ok_or(StorageError::NeedsDisk)?;
            if let [(index, _)] = self.members[..]
                && self.deletion.is_none()
                && self.shown.is_none()
            {
                match self.sources[index].is_on_row() {
                    None => return Ok(None),
                    Some(true) => {
                        self.to_advance.push(index);
                        return Ok(Some(Step::Row(Lies::InSource)));
                    }
                    Some(false) => {}
                }
            }
            if !self.find_next() {
                return Ok(None);
            }
            if self.take_markers() {
                let effective = self.effective();
                if effective != self.shown {
                    self.shown = effective;
                    return Ok(Some(Step::Marker));
                }
            } else if let Some(lies) = self.merge_row()? {
                return Ok(Some(Step::Row(lies)));
            }
        }
    }

    /// Finds the sources with the next position, and copies the position.
    fn find_next(&mut self) -> bool {
        let mut best: Option<&[u8]> = None;
        for (index, _) in &self.members {
            let Some(item) = self.sources[*index].item() else {
                continue;
            };
            let position = item.position();
            let order = best.map_or(Ordering::Less, |best| {
                if self.reversed { best.cmp(position) } else { position.cmp(best) }
            });
            if order.is_lt() {
                best = Some(position);
                self.to_advance.clear();
            }
            if order.is_le() {
                self.to_advance.push(*index);
            }
        }
        let Some(best) = best else { return false };
        self.position.clear();
        self.position.extend_from_slice(best);
        true
    }

    /// Notes the markers at the present position. False if it is a row's.
    fn take_markers(&mut self) -> bool {
        let mut any = false;
        for (index, open) in &mut self.members {
            if self.to_advance.contains(index)
                && let Some(Item::Marker { before, behind, .. }) = self.sources[*index].item()
            {
                *open = if self.reversed { before } else { behind };
                any = true;
            }
        }
        any
    }

    /// The row of the first source that stands on what is shown, with its position.
    #[inline]
    fn first_row(&self) -> (&[u8], &[u8]) {
        self.to_advance.first().map_or((&[], &[]), |index| self.sources[*index].row())
    }

    /// Merges the rows at the present position. `None` if nothing is left of them.
    fn merge_row(&mut self) -> Result<Option<Lies>> {
        let covering = merge_deletions(self.effective(), self.deletion);
        if self.to_advance.len() == 1 && covering.is_none() {
            return Ok(Some(Lies::InSource));
        }
        let mut merged = std::mem::take(&mut self.merged);
        merged.clear();
        merged.extend_from_slice(self.first_row().1);
        self.merged = merged;
        for index in self.to_advance.iter().skip(1) {
            let Some(Item::Row(_, row)) = self.sources[*index].item() else {
                continue;
            };
            self.spare.clear();
            merge::merge_rows(&RowView::parse(&self.merged)?, &RowView::parse(row)?, &mut self.spare)?;
            std::mem::swap(&mut self.merged, &mut self.spare);
        }
        if !covering.is_none() {
            self.spare.clear();
            merge::shadow_row(&RowView::parse(&self.merged)?, covering, &mut self.spare)?;
            std::mem::swap(&mut self.merged, &mut self.spare);
        }
        Ok((!RowView::parse(&self.merged)?.is_empty()).then_some(Lies::InBuffer))
    }
}

fn token_of(source: &Source) -> Option<Token> {
    source.key().map(|key| key.token)
}

impl PartitionScan for MergedScan {
    fn seek_slice(&mut self, slice: &ClusteringSlice, reversed: bool) -> Result<()> {
        Self::seek_slice(self, slice, reversed).map(drop)
    }

    fn next_item(&mut self) -> Result<Option<Merged<'_>>> {
        Self::next_item(self)
    }
}
