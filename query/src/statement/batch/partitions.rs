//! Which partitions a batch changes: those of several tables of a keyspace with the same key are one.

use crate::ast::BatchKind;
use crate::host::Host;
use crate::statement::modification::counting::Updates;
use dodona_types::{MutationView, TableId};
use std::collections::BTreeSet;

/// Notes a batch that is executed, with what it adds to counters.
pub(crate) fn note(host: &Host, kind: BatchKind, mutations: &[Vec<u8>], updates: &Updates) {
    let views = mutations.iter().filter_map(|mutation| MutationView::parse(mutation).ok());
    let written = views.map(|view| (view.table, view.key.bytes));
    let counted = updates.keys().map(|(table, key)| (*table, &**key));
    let partitions = count(host, written.chain(counted));
    if partitions > 0 {
        host.batch_partitions.note(kind, host.node.env.clock.mono(), partitions);
    }
}

fn count<'a>(host: &Host, mut keys: impl Iterator<Item = (TableId, &'a [u8])>) -> usize {
    let Some(first) = keys.next() else { return 0 };
    // Most batches change one partition.
    let Some(other) = keys.find(|key| *key != first) else { return 1 };
    let schema = host.node.schema();
    let keyspace = |table| schema.table_by_id(table).map(|table| &*table.keyspace);
    let all = [first, other].into_iter().chain(keys);
    all.map(|(table, key)| (keyspace(table), key)).collect::<BTreeSet<_>>().len()
}
