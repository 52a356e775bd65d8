//! The algebra of the merge rule, as properties.

use crate::cell::{Cell, CellKind, ColumnId, Liveness, RowItem};
use crate::counter::{self, Shard};
use crate::deletion::Deletion;
use crate::merge::{compare_cells, compare_liveness, merge_rows, shadow_row};
use crate::row::{RowBuilder, RowHeader, RowView};
use proptest::prelude::*;
use uuid::Uuid;

/// A cell with few possible values, so that ties of every kind are common.
#[derive(Clone, Debug)]
struct SmallCell {
    column: u32,
    path: Option<u8>,
    timestamp: i64,
    kind: CellKind,
    value: Vec<u8>,
}

fn kinds() -> impl Strategy<Value = CellKind> {
    prop_oneof![
        Just(CellKind::Live),
        (1u32..3, 10i64..13).prop_map(|(ttl_seconds, expires_at_seconds)| CellKind::Expiring {
            ttl_seconds,
            expires_at_seconds
        }),
        (10i64..13).prop_map(|deleted_at_seconds| CellKind::Tombstone { deleted_at_seconds }),
    ]
}

fn cells() -> impl Strategy<Value = SmallCell> {
    (0u32..3, prop::option::of(0u8..3), 1i64..4, kinds(), 0u8..2).prop_map(
        |(column, path, timestamp, kind, value)| {
            // Column 0 is a column of one cell, the others are multi-cell ones.
            let path = if column == 0 { None } else { Some(path.unwrap_or(0)) };
            let value = if matches!(kind, CellKind::Tombstone { .. }) { vec![] } else { vec![value] };
            SmallCell { column, path, timestamp, kind, value }
        },
    )
}

fn deletions() -> impl Strategy<Value = Deletion> {
    prop_oneof![
        3 => Just(Deletion::NONE),
        1 => (1i64..4, 10i64..12).prop_map(|(timestamp_micros, deleted_at_seconds)| Deletion {
            timestamp_micros,
            deleted_at_seconds
        }),
    ]
}

fn livenesses() -> impl Strategy<Value = Liveness> {
    (1i64..4, 0u32..3, 10i64..12).prop_map(|(timestamp, ttl, expires)| match ttl {
        0 => Liveness::new(timestamp),
        1 => Liveness::expiring(timestamp, Liveness::EXPIRED_TTL, expires),
        _ => Liveness::expiring(timestamp, ttl, expires),
    })
}

/// An encoded row in normal form, as every writer makes them.
fn rows() -> impl Strategy<Value = Vec<u8>> {
    let column_deletions = prop::collection::btree_map(1u32..3, deletions(), 0..2);
    (
        prop::option::of(livenesses()),
        deletions(),
        prop::collection::vec(cells(), 0..5),
        column_deletions,
        1i64..4,
    )
        .prop_map(|(liveness, deletion, mut cells, column_deletions, base)| {
            cells.sort_by_key(|cell| (cell.column, cell.path));
            cells.dedup_by_key(|cell| (cell.column, cell.path));
            let mut raw = Vec::new();
            let header = RowHeader { liveness, deletion, originals: None };
            let mut row = RowBuilder::new(&mut raw, base, &header);
            for column in 0..3 {
                if let Some(deletion) = column_deletions.get(&column).filter(|deletion| !deletion.is_none()) {
                    row.push_column_deletion(ColumnId(column), *deletion);
                }
                for cell in cells.iter().filter(|cell| cell.column == column) {
                    row.push_cell(&Cell {
                        column: ColumnId(column),
                        path: cell.path.as_ref().map(std::slice::from_ref),
                        timestamp_micros: cell.timestamp,
                        kind: cell.kind,
                        value: &cell.value,
                    });
                }
            }
            let mut normal = Vec::new();
            shadow_row(&RowView::parse(&raw).unwrap(), Deletion::NONE, &mut normal).unwrap();
            normal
        })
}

fn merged(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    merge_rows(&RowView::parse(a).unwrap(), &RowView::parse(b).unwrap(), &mut out).unwrap();
    RowView::validate(&out).unwrap();
    out
}

/// A row by meaning: the base timestamp is a matter of encoding alone.
fn meaning(row: &[u8]) -> String {
    format!("{:?}", parts(row))
}

fn parts(row: &[u8]) -> (RowHeader<'_>, Vec<RowItem<'_>>) {
    let row = RowView::parse(row).unwrap();
    (row.header, row.items().map(Result::unwrap).collect())
}

fn shard_lists() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::btree_map((0u128..3, 0u64..2), (0i64..3, -2i64..3), 0..4).prop_map(|shards| {
        let mut out = Vec::new();
        for ((leader, incarnation), (clock, count)) in shards {
            Shard { leader: Uuid::from_u128(leader), incarnation, clock, count }.encode(&mut out);
        }
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_row_may_have_dead_cells_if_not_all_of_its_items_live_for_ever(row in rows()) {
        let row = RowView::parse(&row).unwrap();
        let lives = |item| matches!(item, Ok(RowItem::Cell(Cell { kind: CellKind::Live, .. })));
        prop_assert_eq!(row.may_have_dead_cells(), !row.items().all(lives));
    }

    #[test]
    fn merging_rows_is_commutative(a in rows(), b in rows()) {
        prop_assert_eq!(meaning(&merged(&a, &b)), meaning(&merged(&b, &a)));
    }

    #[test]
    fn merging_rows_is_associative(a in rows(), b in rows(), c in rows()) {
        prop_assert_eq!(meaning(&merged(&merged(&a, &b), &c)), meaning(&merged(&a, &merged(&b, &c))));
    }

    #[test]
    fn merging_rows_is_idempotent(a in rows(), b in rows()) {
        prop_assert_eq!(meaning(&merged(&a, &a)), meaning(&a));
        let both = merged(&a, &b);
        prop_assert_eq!(meaning(&merged(&both, &b)), meaning(&both));
    }

    #[test]
    fn shadowing_by_a_range_commutes_with_merging(a in rows(), b in rows(), outer in deletions()) {
        let shadow = |row: &[u8]| {
            let mut out = Vec::new();
            shadow_row(&RowView::parse(row).unwrap(), outer, &mut out).unwrap();
            out
        };
        prop_assert_eq!(
            meaning(&shadow(&merged(&a, &b))),
            meaning(&shadow(&merged(&shadow(&a), &shadow(&b))))
        );
    }

    #[test]
    fn rows_survive_their_encoding(a in rows()) {
        let (header, items) = parts(&a);
        let mut again = Vec::new();
        let mut row = RowBuilder::new(&mut again, 7, &header);
        items.iter().for_each(|item| row.push(item));
        prop_assert_eq!(parts(&again), (header, items));
    }

    #[test]
    fn hostile_rows_are_errors_not_panics(bytes: Vec<u8>) {
        let _ = RowView::validate(&bytes);
    }

    #[test]
    fn counters_merge_commutatively_associatively_and_idempotently(
        a in shard_lists(), b in shard_lists(), c in shard_lists()
    ) {
        let merge = |a: &[u8], b: &[u8]| counter::merge(a, b).unwrap();
        prop_assert_eq!(merge(&a, &b), merge(&b, &a));
        prop_assert_eq!(merge(&merge(&a, &b), &c), merge(&a, &merge(&b, &c)));
        prop_assert_eq!(merge(&a, &a), a);
    }
}

fn cell(timestamp: i64, kind: CellKind, value: &[u8]) -> Cell<'_> {
    Cell { column: ColumnId(1), path: None, timestamp_micros: timestamp, kind, value }
}

#[test]
fn ties_fall_as_cassandra_has_them() {
    let live = |value| cell(5, CellKind::Live, value);
    let expiring = |ttl_seconds, expires_at_seconds, value| {
        cell(5, CellKind::Expiring { ttl_seconds, expires_at_seconds }, value)
    };
    let tombstone = |deleted_at_seconds| cell(5, CellKind::Tombstone { deleted_at_seconds }, b"");
    let wins = |a: Cell<'_>, b: Cell<'_>| {
        assert!(compare_cells(&a, &b).is_gt(), "{a:?} should beat {b:?}");
        assert!(compare_cells(&b, &a).is_lt());
    };
    wins(cell(6, CellKind::Live, b"a"), tombstone(100));
    wins(tombstone(1), live(b"z"));
    wins(tombstone(1), expiring(10, 100, b"z"));
    wins(expiring(10, 100, b"a"), live(b"z"));
    wins(expiring(10, 101, b"a"), expiring(10, 100, b"z"));
    wins(expiring(9, 100, b"a"), expiring(10, 100, b"z"));
    wins(expiring(9, 100, b"b"), expiring(9, 100, b"a"));
    wins(live(b"\x80"), live(b"\x7f"));
    wins(tombstone(2), tombstone(1));
    let counter = cell(9, CellKind::Counter, b"");
    wins(tombstone(1), counter);
}

#[test]
fn markers_tie_as_cassandra_has_them() {
    let wins = |a: Liveness, b: Liveness| assert!(compare_liveness(&a, &b).is_gt());
    wins(Liveness::new(2), Liveness::expiring(1, 5, 100));
    wins(Liveness::expiring(1, 5, 100), Liveness::new(1));
    wins(Liveness::expiring(1, Liveness::EXPIRED_TTL, 1), Liveness::expiring(1, 5, 100));
    wins(Liveness::expiring(1, 5, 101), Liveness::expiring(1, 5, 100));
    wins(Liveness::expiring(1, 4, 100), Liveness::expiring(1, 5, 100));
}

#[test]
fn a_row_of_one_live_cell_has_these_bytes() {
    let mut out = Vec::new();
    let header = RowHeader { liveness: Some(Liveness::new(0x0102)), ..RowHeader::EMPTY };
    let mut row = RowBuilder::new(&mut out, 0x0102, &header);
    row.push_cell(&cell(0x0102, CellKind::Live, b"v"));
    row.push_cell(&Cell { column: ColumnId(300), ..cell(0x0101, CellKind::Live, b"") });
    let golden: &[u8] = &[1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, b'v', 0xac, 2, 32, 1, 0];
    assert_eq!(out, golden);
}
