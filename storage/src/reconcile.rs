//! What replicas send a coordinator that asks several: the requested part of each partition with
//! its deletions, as mutations; and the merging of several such answers.

use crate::error::{Result, StorageError};
use crate::memtable::Memtable;
use crate::page::{Page, PageBuilder};
use crate::read;
use crate::scan::{Merged, MergedScan};
use crate::sstable::reader::Access;
use crate::table::TableView;
use dodona_types::codec::{Reader, put_length_prefixed};
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::{ClusteringSlice, Deletion, MutationBuilder, MutationView};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Executes a command and gives what it finds as mutations, each behind its length.
///
/// # Errors
/// A file could not be read, or the answer would be longer than `max_bytes`.
pub fn read_mutations(view: &TableView, command: &ReadCommand, max_bytes: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut builder = MutationBuilder::new();
    let (mut scan, range) = match &command.partitions {
        PartitionSelection::Key(key) => {
            (MergedScan::new(read::sources_of_key(view, key, Access::Disk)?), None)
        }
        PartitionSelection::Range(range) => {
            (MergedScan::new(read::sources_of_range(view, range, Access::Disk)?), Some(range))
        }
    };
    while scan.next_partition()? {
        let Some(key) = scan.key().cloned() else { break };
        if range.is_some_and(|range| !range.ends_after(key.as_ref())) {
            break;
        }
        builder.begin(command.table, command.epoch, key.bytes());
        if !scan.deletion().is_none() {
            builder.partition_deletion(scan.deletion());
        }
        if let Some(row) = scan.static_row() {
            builder.encoded_row(None, row);
        }
        for slice in read::forward_slices(&command.clustering) {
            put_slice(&mut scan, &slice, &mut builder)?;
        }
        if !builder.is_empty() {
            put_length_prefixed(&mut out, builder.view().bytes());
        }
        if out.len() > max_bytes {
            return Err(StorageError::TooLarge(format!(
                "a read between nodes found more than {max_bytes} bytes"
            )));
        }
    }
    Ok(out)
}

fn put_slice(scan: &mut MergedScan, slice: &ClusteringSlice, builder: &mut MutationBuilder) -> Result<()> {
    let mut open = (slice.start.clone(), scan.seek_slice(slice, false)?);
    let close = |open: &(Vec<u8>, Deletion), end: &[u8], builder: &mut MutationBuilder| {
        if !open.1.is_none() && open.0.as_slice() < end {
            builder.range_deletion(&ClusteringSlice { start: open.0.clone(), end: end.to_vec() }, open.1);
        }
    };
    while let Some(item) = scan.next_item()? {
        match item {
            Merged::Row(clustering, row) => builder.encoded_row(Some(clustering), row),
            Merged::Marker(position, deletion) => {
                close(&open, position, builder);
                open = (position.to_vec(), deletion);
            }
        }
    }
    close(&open, &slice.end, builder);
    Ok(())
}

/// Merges the answers of replicas, and gives the live rows that the command asks for.
///
/// # Errors
/// An answer is malformed.
pub fn merge_answers(command: &ReadCommand, answers: &[Vec<u8>], max_bytes: usize) -> Result<Page> {
    let merged = Memtable::new(1, u64::MAX, Duration::ZERO);
    for answer in answers {
        let mut reader = Reader::new(answer);
        while !reader.is_empty() {
            let mutation = MutationView::parse(reader.length_prefixed()?)?;
            mutation.validate()?;
            merged.apply(&mutation)?;
        }
    }
    let view = TableView::new(Arc::new(merged), Vec::new(), BTreeMap::new());
    let mut page = PageBuilder::new(max_bytes);
    read::read(&view, command, Access::Disk, &mut page)?;
    Ok(page.finish())
}
