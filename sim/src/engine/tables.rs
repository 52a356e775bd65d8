//! Settings of tables, sized for a simulation.

use super::generate::COLUMNS;
use super::reads::{MAP, STATIC_BASE};
use super::step::{StrategyKind, TableSetup};
use dodona_storage::compaction::leveled::Leveled;
use dodona_storage::compaction::size_tiered::{Buckets, SizeTiered, Thresholds};
use dodona_storage::compaction::time_window::TimeWindow;
use dodona_storage::compaction::tombstones::TombstoneOptions;
use dodona_storage::compaction::unified::{OverlapInclusion, Unified};
use dodona_storage::compaction::{CompactionSettings, OverlappingTombstones, Strategy};
use dodona_storage::sstable::WriterOptions;
use dodona_storage::sstable::compression::Compression;
use dodona_storage::sstable::statistics::StoredColumn;
use dodona_storage::{RowShape, TableSettings};
use dodona_types::{ColumnId, TableId};
use std::sync::Arc;

fn shape_of(setup: TableSetup) -> RowShape {
    let columns = || (0..u32::from(COLUMNS)).chain((!setup.plain).then_some(MAP.0));
    RowShape {
        columns: columns().map(ColumnId).collect(),
        statics: columns().map(|column| ColumnId(STATIC_BASE + column)).collect(),
        one_row: false,
        is_plain: setup.plain,
    }
}

/// A table's settings.
#[must_use]
pub fn settings_of(table: TableId, setup: TableSetup) -> TableSettings {
    let buckets = Buckets { min_sstable_bytes: 600, low: 0.5, high: 1.5 };
    let thresholds = Thresholds { min: 2, max: 4 };
    let strategy = match setup.strategy {
        StrategyKind::SizeTiered => Strategy::SizeTiered(SizeTiered { buckets, thresholds }),
        StrategyKind::Leveled => Strategy::Leveled(Leveled {
            sstable_bytes: 700,
            fanout: 2,
            single_sstable_uplevel: true,
            buckets,
            thresholds,
        }),
        StrategyKind::TimeWindow => Strategy::TimeWindow(TimeWindow {
            window_seconds: 25,
            timestamps_per_second: 1,
            expired_check_seconds: 5,
            buckets,
            thresholds,
        }),
        StrategyKind::Unified(parameter) => Strategy::Unified(Unified {
            scaling: vec![parameter],
            min_sstable_bytes: 400,
            target_sstable_bytes: 1_500,
            sstable_growth: 0.3,
            base_shard_count: 4,
            max_sstables: 4,
            overlaps: if parameter == 0 { OverlapInclusion::Single } else { OverlapInclusion::Transitive },
            flush_bytes: 500,
            expired_check_seconds: 5,
        }),
    };
    let compaction = CompactionSettings {
        strategy,
        enabled: true,
        tombstones: TombstoneOptions {
            enabled: true,
            threshold: 0.1,
            interval_seconds: 10,
            unchecked: false,
        },
        only_purge_repaired: setup.only_purge_repaired,
        overlapping_tombstones: match setup.overlapping {
            None => OverlappingTombstones::None,
            Some(false) => OverlappingTombstones::Row,
            Some(true) => OverlappingTombstones::Cell,
        },
    };
    let columns = || (0..u32::from(COLUMNS)).chain([MAP.0]);
    let name = |column: &u32| if *column == MAP.0 { "m".to_owned() } else { format!("c{column}") };
    let stored =
        |id, name, role: &str| StoredColumn { id, name, role: role.into(), ..StoredColumn::default() };
    let named = columns().map(|column| stored(column, name(&column), "regular"));
    let statics =
        columns().map(|column| stored(STATIC_BASE + column, format!("s{}", name(&column)), "static"));
    TableSettings {
        columns: if setup.named { named.chain(statics).collect() } else { Vec::new() },
        shape: Some(Arc::new(shape_of(setup))),
        gc_grace_seconds: setup.gc_grace_seconds,
        writer: WriterOptions {
            compression: if setup.compressed { Compression::Lz4 } else { Compression::None },
            block_bytes: 160,
            long_block_bytes: 640,
            filter_false_positives: 0.1,
            watch: None,
        },
        ..TableSettings::new(table, &format!("sim.t{}", table.0.as_u128()), compaction)
    }
}
