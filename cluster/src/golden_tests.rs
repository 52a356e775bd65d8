//! Golden bytes of what replicas are asked and answer whose encoding is below this layer.

use crate::replica::encode_read;
use crate::testing::hex;
use dodona_storage::compaction::CompactionSettings;
use dodona_storage::{Engine, EngineSettings, TableSettings};
use dodona_types::key::ROW_END;
use dodona_types::read_command::{PartitionSelection, ReadCommand, ReadLimits};
use dodona_types::row::RowHeader;
use dodona_types::{
    Cell, CellKind, ClusteringSlice, ColumnId, Deletion, Liveness, MutationBuilder, PartitionKey, TableId,
};
use uuid::Uuid;

const TABLE: TableId = TableId(Uuid::from_u128(7));

/// A mutation with a part of every kind.
fn mutation() -> Vec<u8> {
    let mut builder = MutationBuilder::new();
    builder.begin(TABLE, 9, b"key");
    builder.partition_deletion(Deletion { timestamp_micros: 1, deleted_at_seconds: 200 });
    let cell =
        |column, kind, value| Cell { column: ColumnId(column), path: None, timestamp_micros: 5, kind, value };
    builder.static_row(5, &RowHeader::EMPTY, |row| row.push_cell(&cell(1, CellKind::Live, b"s")));
    let header = RowHeader { liveness: Some(Liveness::new(5)), ..RowHeader::EMPTY };
    builder.row(&[0x10, ROW_END], 5, &header, |row| row.push_cell(&cell(2, CellKind::Live, b"v")));
    let deletion = Deletion { timestamp_micros: 4, deleted_at_seconds: 200 };
    builder.range_deletion(&ClusteringSlice { start: vec![0x20], end: vec![0x30] }, deletion);
    builder.view().bytes().to_vec()
}

/// Version, table, epoch and key of the mutation.
const HEAD: &str = "0100000000000000000000000000000000070900000000000000036b6579";
/// Its deletion.
const DELETED: &str = "010100000000000000c800000000000000";
/// Its static row, and the other one.
const ROWS: &str = "020d00000000050000000000000001000173030210400e0000000105000000000000000002000176";
/// The deletion of a range.
const RANGE: &str = "04012001300400000000000000c800000000000000";

#[test]
fn a_mutation_has_these_bytes() {
    assert_eq!(hex(&mutation()), [HEAD, DELETED, ROWS, RANGE].concat());
}

#[test]
fn a_read_with_its_answers_and_digest_have_these_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let env = dodona_env::os::env(directory.path()).unwrap();
    let tables = vec![TableSettings::new(TABLE, "ks.t", CompactionSettings::disabled().unwrap())];
    let engine = Engine::open(env, EngineSettings::default(), Uuid::nil(), tables).unwrap().0;
    let mutation = mutation();
    engine.apply(&[dodona_types::MutationView::parse(&mutation).unwrap()]).unwrap();
    let partition = PartitionSelection::Key(PartitionKey::new(b"key".as_slice().into()));
    let everything = ReadCommand::everything(TABLE, 9, partition, 300);
    let request = encode_read(&everything, 300);
    assert_eq!(hex(&request[..2]), "ac02");
    assert_eq!(request[2..], everything.encode());
    let one = ReadCommand { limits: ReadLimits { rows: 1, per_partition: 1 }, ..everything.clone() };
    // It met two tombstones, and has all that is asked for of one partition.
    let answer = ["02020000006c", HEAD, DELETED, ROWS, RANGE, "00"].concat();
    assert_eq!(hex(&engine.read_answer(&everything, 1 << 20).unwrap()), answer);
    let found = [
        engine.read_answer(&one, 1 << 20).unwrap(),
        engine.read_digest(&everything, 1 << 20).unwrap().to_vec(),
        engine.read_digest(&one, 1 << 20).unwrap().to_vec(),
    ];
    assert_eq!(
        found.map(|bytes| hex(&bytes)),
        [
            "00570100000000000000000000000000000000070900000000000000036b6579010100000000000000c800000000000000020d00000000050000000000000001000173030210400e000000010500000000000000000200017601021040",
            "c5b4748a85b8c14cc29b7b9fcfeac743",
            "fe1e58f4045566a3186045006c219d97",
        ]
    );
}
